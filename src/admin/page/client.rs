//! The page of a client: its secrets, the next step, and the uses of the last day.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::chrome::Chrome;
use super::guest::Guest;
use super::next::{Does, Step};
use super::query::Queried;
use super::sorry::Sorry;
use super::{Room, layout, next, picture, secrets};
use crate::admin::answer::Fault;
use crate::admin::ground::View;
use crate::admin::wish::client_key;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::segment::encoded;
use crate::lifecycle::Refused;
use crate::registry::{Client, Record};

/// Which client, and which of its secrets. In the query: an id may be anything, and a path would make `..` of one.
#[derive(Deserialize)]
pub(super) struct Whom {
    id: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    pub(super) secret: String,
}

impl Whom {
    pub(super) fn key(&self) -> Result<ClientKey, Fault> {
        client_key(&self.tenant, &self.id)
    }
}

/// Where something about a client is.
pub(super) fn link(path: &str, client: &ClientKey, secret: Option<&SecretId>) -> String {
    let mut link = format!("{path}?id={}", encoded(client.id.as_str()));
    if !client.tenant.is_empty() {
        link = format!("{link}&tenant={}", encoded(client.tenant.as_str()));
    }
    secret.map_or(link.clone(), |secret| format!("{link}&secret={}", secret.as_str()))
}

/// The client of a form, hidden in it.
pub(super) fn fields(client: &ClientKey, secret: Option<&SecretId>) -> Markup {
    html! {
        input type="hidden" name="id" value=(client.id.as_str());
        @if !client.tenant.is_empty() { input type="hidden" name="tenant" value=(client.tenant.as_str()); }
        @if let Some(secret) = secret { input type="hidden" name="secret" value=(secret.as_str()); }
    }
}

pub(super) fn find<'v>(view: &'v View, key: &ClientKey) -> Result<&'v Client, Fault> {
    view.snapshot.client(key).ok_or_else(|| Refused::NoClient(key.clone()).into())
}

pub(super) fn record<'c>(client: &'c Client, id: &SecretId) -> Result<&'c Record, Fault> {
    let missing = || Refused::NoSecret { client: client.key.clone(), secret: id.clone() };
    client.records().iter().find(|record| record.id == *id).ok_or_else(|| missing().into())
}

/// Above what is about a client: the way back.
pub(super) fn crumbs(client: &ClientKey, here: Option<&str>) -> Markup {
    html! {
        nav.crumbs aria-label="Where you are" {
            ol {
                li { a href="/" { "Clients" } }
                @match here {
                    Some(here) => { li { a href=(link("/client", client, None)) { (client.id.as_str()) } } li aria-current="page" { (here) } }
                    None => li aria-current="page" { (client.id.as_str()) },
                }
            }
        }
    }
}

pub(super) async fn show(
    State(room): State<Arc<Room>>,
    guest: Guest,
    Queried(whom): Queried<Whom>,
) -> Result<Response, Sorry> {
    let key = whom.key()?;
    let view = room.ground.view(Some(&key)).await;
    let client = find(&view, &key)?;
    let (holder, now) = (view.holder(client), view.now);
    let step = next::step(&holder, now);
    let tracks = {
        let mut history = room.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.look(client, now);
        history.of(&key)
    };
    let picture = picture::of(&tracks, client.current(now).map(|record| &record.id));
    let content = html! {
        (crumbs(&key, None))
        div.head {
            h1 { (key.id.as_str()) }
            (next::badge(client, &holder, now))
            @if !key.tenant.is_empty() { span.tag { "tenant " (key.tenant.as_str()) } }
            @if !client.name.is_empty() { p.sub { (client.name) } }
        }
        div.aside {
            (next_step(&key, &step, guest.may_change()))
            @if let Some(picture) = picture { (picture) }
        }
        section.secrets aria-labelledby="secrets" {
            div.head {
                h2 #secrets { "OAuth secrets" }
                p.sub { (holder.active()) " of " (holder.max_active) " active" }
                @if guest.may_change() { (generate(&key, &holder)) }
            }
            (secrets::table(&view, client, &holder, guest.may_change()))
        }
    };
    let chrome = Chrome::of(&room, &guest, &view);
    Ok(layout::answer(StatusCode::OK, layout::document(key.id.as_str(), Some(&chrome), &content)))
}

fn next_step(key: &ClientKey, step: &Step, may_change: bool) -> Markup {
    html! {
        section.next aria-labelledby="next" {
            h2 #next { span.label { "Next step" } (step.what) }
            p { (step.why) }
            @match (&step.does, may_change) {
                (Some(Does::Generate), true) => a.button.primary href=(link("/client/generate", key, None)) { "Generate new secret" },
                (Some(Does::Revoke(secret)), true) => a.button.primary href=(link("/client/revoke", key, Some(secret))) { "Revoke " (secret.as_str()) },
                _ => {},
            }
        }
    }
}

/// At the limit the button says which one is to be revoked first.
fn generate(key: &ClientKey, holder: &crate::lifecycle::Holder) -> Markup {
    html! {
        @match holder.room() {
            Ok(()) => a.button.primary href=(link("/client/generate", key, None)) { "Generate new secret" },
            Err(Refused::AtLimit { revoke: Some(secret), .. }) => {
                p.limit { "At the limit. First " a href=(link("/client/revoke", key, Some(&secret))) { "revoke " (secret.as_str()) } ", the one that is quiet for the longest." }
            },
            Err(_) => p.limit { "At the limit: raise max_active_secrets in the list." },
        }
    }
}
