//! The **OAuth secrets** table: which secrets there are, who uses them, and what can be done with each.

use maud::{Markup, html};

use super::client::link;
use super::time::{exact, time, time_or};
use crate::admin::ground::View;
use crate::domain::spoken::{count, plural};
use crate::lifecycle::{Held, Holder, Usage};
use crate::registry::cells::Sighting;
use crate::registry::{Client, Record, SecretState};

/// Callers that are named; the others are counted.
const NAMED: usize = 3;

pub(super) fn table(view: &View, client: &Client, holder: &Holder, may_change: bool) -> Markup {
    let now = view.now;
    let mut rows: Vec<(&Record, &Held)> = client.records().iter().zip(&holder.secrets).collect();
    // What is alive first, the newest on top.
    rows.sort_by_key(|(_, held)| (!held.counts(), std::cmp::Reverse(held.created)));
    let current = client.current(now).map(|record| &record.id);
    html! {
        table.cards.wide role="table" {
            caption.hidden { "OAuth secrets of " (client.key.id.as_str()) }
            thead role="rowgroup" {
                tr role="row" {
                    @for name in ["Name", "ID", "Hint", "Created", "Expires", "Last Used", "Uses", "From", "Status"] {
                        th role="columnheader" scope="col" { (name) }
                    }
                    @if may_change { th role="columnheader" scope="col" { "Actions" } }
                }
            }
            tbody role="rowgroup" {
                @for (record, held) in rows {
                    tr role="row" class=[(!held.counts()).then_some("dead")] {
                        th role="rowheader" scope="row" data-label="Name" {
                            @if record.name().is_empty() { span.none { "unnamed" } } @else { (record.name()) }
                        }
                        td role="cell" data-label="ID" { code { (record.id.as_str()) } }
                        td role="cell" data-label="Hint" {
                            @match &record.hint { Some(hint) => code { "…" (hint) }, None => span.none { "none" } }
                        }
                        td role="cell" data-label="Created" { (time_or(held.created, now, "unknown")) }
                        td role="cell" data-label="Expires" { (time_or(held.expires, now, "never")) }
                        (uses(view, held))
                        td role="cell" data-label="Status" {
                            (status(record, held, current == Some(&record.id)))
                            @let refused = view.refusals(client, record);
                            @if refused.count > 0 && held.state != SecretState::Active {
                                p.refused { "presented and refused " (plural(usize::try_from(refused.count).unwrap_or(usize::MAX), "time")) (callers(&refused.from)) }
                            }
                        }
                        @if may_change { td.actions role="cell" data-label="Actions" { (actions(client, record, held)) } }
                    }
                }
            }
        }
    }
}

/// Last Used, Uses and From.
fn uses(view: &View, held: &Held) -> Markup {
    let now = view.now;
    html! {
        @match &held.usage {
            Usage::Unknown(why) => {
                td role="cell" data-label="Last Used" { span.none title=(why) { "not known" } span.hidden { ": " (why) } }
                td role="cell" data-label="Uses" { span.none { "-" } }
                td role="cell" data-label="From" { span.none { "-" } }
            }
            Usage::Seen { tracking_since, last_used, uses, from, .. } => {
                td.used role="cell" data-label="Last Used" {
                    @match last_used {
                        Some(at) => (time(*at, now)),
                        None => { @let since = format!("not seen since {}", exact(*tracking_since)); span.none title=(since) { "not seen" } span.hidden { " since " (exact(*tracking_since)) } }
                    }
                }
                td.number role="cell" data-label="Uses" { (count(*uses)) }
                td role="cell" data-label="From" { (from_list(from, now)) }
            }
        }
    }
}

/// The latest callers: address, and what each says of itself.
pub(super) fn from_list(from: &[Sighting], now: crate::domain::clock::Timestamp) -> Markup {
    html! {
        @if from.is_empty() { span.none { "nobody" } } @else {
            ul.from {
                @for sighting in from.iter().take(NAMED) {
                    li { code { (sighting.address) } " " span.sub { (agent(sighting)) } span.hidden { ", last " (crate::domain::spoken::ago(sighting.at, now)) } }
                }
                @if from.len() > NAMED { li.sub { "and " (from.len() - NAMED) " more" } }
            }
        }
    }
}

/// ` by 10.0.0.7, 10.0.0.9`
fn callers(from: &[Sighting]) -> String {
    let named: Vec<String> = from.iter().take(NAMED).map(|sighting| sighting.address.to_string()).collect();
    if named.is_empty() { String::new() } else { format!(", last by {}", named.join(", ")) }
}

/// The program that it says it is, without the rest of the story.
fn agent(sighting: &Sighting) -> &str {
    sighting.user_agent.split(' ').next().unwrap_or_default()
}

fn status(record: &Record, held: &Held, current: bool) -> Markup {
    let (class, word) = match held.state {
        SecretState::Active if current => ("good", "active, current"),
        SecretState::Active => ("busy", "active, previous"),
        SecretState::Pending => ("calm", "pending"),
        SecretState::Disabled if held.refused_until.is_some() => ("warn", "rehearsing its end"),
        state @ (SecretState::Expired | SecretState::Disabled | SecretState::Revoked) => ("off", state.as_str()),
    };
    html! {
        span class=(format!("badge {class}")) { (word) }
        @if let Some(reason) = record.revoked_reason() { span.sub { (reason) } }
    }
}

fn actions(client: &Client, record: &Record, held: &Held) -> Markup {
    let to = |verb: &str| link(&format!("/client/{verb}"), &client.key, Some(&record.id));
    let name = |verb: &str| format!("{verb} {}", record.id);
    html! {
        @match held.state {
            SecretState::Active | SecretState::Pending => {
                a href=(to("disable")) aria-label=(name("Disable")) { "Disable" }
                a.danger href=(to("revoke")) aria-label=(name("Revoke")) { "Revoke" }
            }
            SecretState::Disabled => {
                a href=(to("enable")) aria-label=(name("Enable")) { "Enable" }
                a.danger href=(to("revoke")) aria-label=(name("Revoke")) { "Revoke" }
            }
            SecretState::Expired => a.danger href=(to("revoke")) aria-label=(name("Revoke")) { "Revoke" },
            SecretState::Revoked => span.none { "none" },
        }
    }
}
