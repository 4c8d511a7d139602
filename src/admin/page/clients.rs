//! The first page: every client, a page at a time. What is not shown is not looked into further than the search needs.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::chrome::Chrome;
use super::client::link;
use super::guest::Guest;
use super::query::Queried;
use super::sorry::Sorry;
use super::time::time_or;
use super::{Room, layout, next};
use crate::admin::ground::View;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::AuthResult;
use crate::domain::segment::encoded;
use crate::domain::spoken::{count, plural};
use crate::lifecycle::{Holder, Usage};
use crate::registry::{Client, SecretState, expiry};

/// Clients of one page.
const SHOWN: usize = 50;

/// What is looked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// Part of an id or a name.
    q: String,
    /// Only those that a person should look at.
    attention: String,
    /// Which page; the first is 1.
    page: String,
}

impl Wanted {
    fn attention(&self) -> bool {
        !self.attention.is_empty()
    }

    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    /// The same search at another page.
    fn at(&self, page: usize) -> String {
        let attention = if self.attention() { "&attention=1" } else { "" };
        format!("/?q={}{attention}&page={page}", encoded(&self.q))
    }
}

pub(super) async fn show(
    State(room): State<Arc<Room>>,
    guest: Guest,
    Queried(wanted): Queried<Wanted>,
) -> Result<Response, Sorry> {
    let view = room.ground.view(None).await;
    let all = view.snapshot.clients.len();
    let word = wanted.q.trim().to_lowercase();
    let matching = view.snapshot.clients.iter().filter(|client| {
        (word.is_empty() || has_word(client, &word)) && (!wanted.attention() || wants_attention(client, &view))
    });
    let mut found: Vec<&Client> = matching.skip((wanted.page() - 1) * SHOWN).take(SHOWN + 1).collect();
    let more = found.len() > SHOWN;
    found.truncate(SHOWN);
    let content = html! {
        div.head {
            h1 { "Clients" }
            p.sub { (plural(all, "client")) " in the list" }
        }
        (search(&wanted))
        @if found.is_empty() {
            p.empty { @if all == 0 { "The list is empty. " code { "relatch client add ID" } " adds a client." } @else { "No client is like that." } }
        } @else {
            (table(&found, &view))
            (pages(&wanted, more))
        }
    };
    let chrome = Chrome::of(&room, &guest, &view);
    Ok(layout::answer(StatusCode::OK, layout::document("Clients", Some(&chrome), &content)))
}

fn has_word(client: &Client, word: &str) -> bool {
    let has = |text: &str| match text.is_ascii() {
        // Without a copy: there may be very many of them.
        true => text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes())),
        false => text.to_lowercase().contains(word),
    };
    has(client.key.id.as_str())
        || has(&client.name)
        || (!client.key.tenant.is_empty() && has(client.key.tenant.as_str()))
}

/// Whether a person should look at it. One secret that is good for long needs nobody, and is most of what there is.
fn wants_attention(client: &Client, view: &View) -> bool {
    let mut active = client.records().iter().filter(|record| record.state(view.now) == SecretState::Active);
    let plain = match (active.next(), active.next()) {
        (Some(only), None) => client.enabled && expiry::notice(only.expires, view.now).is_none(),
        _ => false,
    };
    let holder = || view.holder(client);
    (!plain && next::wants_attention(&holder(), view.now)) || is_refused(client, view)
}

/// Whether a dead secret of it is still presented.
pub(super) fn is_refused(client: &Client, view: &View) -> bool {
    let dead = |state| !matches!(state, SecretState::Active | SecretState::Pending);
    client.records().iter().any(|record| dead(record.state(view.now)) && view.refusals(client, record).count > 0)
}

fn search(wanted: &Wanted) -> Markup {
    html! {
        form.search role="search" method="get" action="/" {
            label.field { span { "Id or name" } input type="search" name="q" value=(wanted.q) maxlength="512"; }
            label.check { input type="checkbox" name="attention" value="1" checked[wanted.attention()]; span { "Needs attention" } }
            button type="submit" { "Search" }
        }
    }
}

fn table(clients: &[&Client], view: &View) -> Markup {
    let now = view.now;
    html! {
        table.cards role="table" {
            caption.hidden { "Clients and where their rotation stands" }
            thead role="rowgroup" {
                tr role="row" {
                    @for name in ["Client", "Rotation", "Active", "Newest secret", "Oldest last used", "Failures"] {
                        th role="columnheader" scope="col" { (name) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for client in clients {
                    @let holder = view.holder(client);
                    tr role="row" {
                        th role="rowheader" scope="row" data-label="Client" {
                            a.name href=(link("/client", &client.key, None)) { (client.key.id.as_str()) }
                            @if !client.key.tenant.is_empty() { span.tag { "tenant " (client.key.tenant.as_str()) } }
                            @if !client.name.is_empty() { span.sub { (client.name) } }
                        }
                        td role="cell" data-label="Rotation" { (next::badge(client, &holder, now)) }
                        td.number role="cell" data-label="Active" { (holder.active()) " of " (holder.max_active) }
                        td role="cell" data-label="Newest secret" { (time_or(newest(&holder), now, "unknown")) }
                        td role="cell" data-label="Oldest last used" { (time_or(oldest_use(&holder), now, "not seen")) }
                        td.number role="cell" data-label="Failures" {
                            @let failures = failures(client);
                            @if failures == 0 { span.none { "0" } } @else { (count(failures)) }
                        }
                    }
                }
            }
        }
    }
}

fn newest(holder: &Holder) -> Option<Timestamp> {
    holder.secrets.iter().filter(|secret| secret.counts()).filter_map(|secret| secret.created).max()
}

/// Of the secrets that are accepted, the use that is the longest ago.
fn oldest_use(holder: &Holder) -> Option<Timestamp> {
    let last = |usage: &Usage| if let Usage::Seen { last_used, .. } = usage { *last_used } else { None };
    holder.usable().filter_map(|secret| last(&secret.usage)).min()
}

/// Since the start.
fn failures(client: &Client) -> u64 {
    let results = AuthResult::OF_A_CLIENT.iter().filter(|result| **result != AuthResult::Success);
    results.filter_map(|result| Some(client.counted()?.results(*result))).sum()
}

fn pages(wanted: &Wanted, more: bool) -> Markup {
    let page = wanted.page();
    html! {
        @if page > 1 || more {
            nav.pages aria-label="Pages" {
                @if page > 1 { a.button rel="prev" href=(wanted.at(page - 1)) { "Previous" } }
                span { "Page " (page) }
                @if more { a.button rel="next" href=(wanted.at(page + 1)) { "Next" } }
            }
        }
    }
}
