//! The admin API in the shapes of other providers, for the SDKs that people have: each route says what it wants by the same
//! rules and changes as the routes of our own, and answers in the provider's words. Nothing is decided here.

mod auth0;
mod deeds;
mod hydra;
pub(super) mod login;
mod okta;
pub(super) mod refusal;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use http::Method;
use http::request::Parts;
use serde::Deserialize;

use super::answer::Fault;
use super::etag::{IfMatch, Tag};
use super::ground::{Ground, View};
use super::named::{Ids, secret_id};
use super::wish::{Guard, client_key};
use super::words::Words;
use crate::config::tokens::Scope;
use crate::domain::ids::{ClientKey, SecretId};
use crate::lifecycle::Refused;
use crate::registry::{Client, Snapshot};

/// The routes of all of them.
pub(super) fn routes() -> Router<Arc<Ground>> {
    auth0::routes().merge(okta::routes()).merge(hydra::routes())
}

/// What a route is for, in the words of the audit log.
pub(super) fn word(method: &Method, route: &str) -> Option<&'static str> {
    Some(match (method.as_str(), route) {
        ("POST", auth0::CLIENTS) => "client.add",
        ("PATCH", auth0::CLIENT) => "client.set",
        ("DELETE", auth0::CLIENT) => "client.remove",
        ("POST", auth0::ROTATE | hydra::ROTATE) => "secret.rotate",
        ("DELETE", hydra::ROTATE) => "secret.revoke_previous",
        ("POST", okta::SECRETS) => "secret.add",
        ("POST", okta::ACTIVATE) => "secret.enable",
        ("POST", okta::DEACTIVATE) => "secret.disable",
        ("DELETE", okta::SECRET) => "secret.revoke",
        _ => return None,
    })
}

/// The scope for a method of a route, where the route is one of these.
pub(super) fn needed(method: &Method, route: &str) -> Option<Scope> {
    let read = matches!(*method, Method::GET | Method::HEAD);
    match route {
        auth0::ROTATE | hydra::ROTATE | okta::ACTIVATE | okta::DEACTIVATE => Some(Scope::UpdateClientKeys),
        auth0::CLIENTS | auth0::CLIENT | hydra::CLIENT if read => Some(Scope::ReadClients),
        auth0::CLIENTS | auth0::CLIENT => Some(Scope::UpdateClients),
        okta::SECRETS | okta::SECRET if read => Some(Scope::ReadClients),
        okta::SECRETS | okta::SECRET => Some(Scope::UpdateClientKeys),
        _ => None,
    }
}

/// Which client a request is about, how strict the guard is and in which state of the client it is meant: the id in the path,
/// in the query what may be said there for every provider, and `If-Match`.
struct About {
    client: ClientKey,
    guard: Guard,
    if_match: IfMatch,
}

impl About {
    /// Whether the client is as the request means it.
    fn holds(&self, view: &View) -> Result<(), Fault> {
        match self.if_match {
            IfMatch::Absent => Ok(()),
            _ => self.if_match.holds(&Tag::of(view, &self.client)?),
        }
    }
}

/// ... and which of its secrets.
struct AboutSecret(About, SecretId);

/// What the query may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    tenant: Option<String>,
    #[serde(default)]
    force: bool,
    quiet_for: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for About {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let Ids { id, .. } = Ids::from_request_parts(parts, state).await?;
        let Words(Beside { tenant, force, quiet_for }) = Words::from_request_parts(parts, state).await?;
        let Ok(if_match) = IfMatch::from_request_parts(parts, state).await;
        let client = client_key(&tenant.unwrap_or_default(), &id)?;
        Ok(Self { client, guard: Guard { force, quiet_for }, if_match })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AboutSecret {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let about = About::from_request_parts(parts, state).await?;
        let Ids { secret, .. } = Ids::from_request_parts(parts, state).await?;
        let secret = secret_id(&about.client, &secret)?;
        Ok(Self(about, secret))
    }
}

/// A client of the list.
fn known<'s>(list: &'s Snapshot, client: &ClientKey) -> Result<&'s Client, Fault> {
    list.client(client).ok_or_else(|| Refused::NoClient(client.clone()).into())
}

/// Something to tell one answer from another by.
fn answer_id() -> String {
    let mut bytes = [0; 8];
    // Without it the answer is as good.
    let _zeros_then = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
