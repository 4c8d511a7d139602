//! The admin API in the shapes of other providers, for the SDKs that people have: each route says what it wants by a route
//! of our own, or by the same rules, and answers in the provider's words. Nothing is decided here.

mod auth0;
mod hydra;
pub(super) mod login;
mod okta;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::Method;
use http::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::Fault;
use super::caller::Caller;
use super::change::Wish;
use super::ground::{Ground, View};
use super::object::SecretObject;
use super::wish::{Guard, Made, RotateWish, SecretWish, client_key};
use crate::config::tokens::Scope;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::lifecycle::{Action, Refused};
use crate::registry::{Client, Snapshot};

/// The routes of all of them.
pub(super) fn routes() -> Router<Arc<Ground>> {
    auth0::routes().merge(okta::routes()).merge(hydra::routes())
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

/// What the query of a request may say beside the provider's own words: whose client it is, and how strict the guard is.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    tenant: Option<String>,
    #[serde(default)]
    force: bool,
    quiet_for: Option<String>,
}

impl Beside {
    /// The client of that id.
    fn client(&self, id: &str) -> Result<ClientKey, Fault> {
        client_key(self.tenant.as_deref().unwrap_or_default(), id)
    }

    fn guard(&self) -> Guard {
        Guard { force: self.force, quiet_for: self.quiet_for.clone() }
    }
}

impl Ground {
    /// Does one thing to one client, as far as the rules allow it; `action` is what is to be done by what stands there then.
    /// How things stand after it.
    async fn wish(
        self: &Arc<Self>,
        client: &ClientKey,
        guard: Guard,
        action: impl FnOnce(&View) -> Result<Action, Fault>,
    ) -> Result<Arc<View>, Fault> {
        let _turn = self.turn().await?;
        self.catch_up().await?;
        let view = self.view_back(Some(client), guard.quiet_for()?).await;
        let action = action(&view)?;
        self.change_one(&view, client, action, guard, None).await?;
        Ok(self.view(Some(client)).await)
    }

    /// A new secret of our making; for who asks again the one that it was given.
    async fn renew(
        self: &Arc<Self>,
        caller: &Caller,
        client: &ClientKey,
        wish: &RotateWish,
    ) -> Result<SecretObject, Fault> {
        let made = self.rotate(caller, vec![client.clone()], wish, |_| Ok(())).await?.into_iter().next();
        made.map_or_else(|| Err(Refused::NoClient(client.clone()).into()), |(_, made)| made)
    }

    /// A secret that a caller made itself becomes the newest of a client, where it is not that already: who asks again is
    /// told that it was done.
    async fn take(
        self: &Arc<Self>,
        client: &ClientKey,
        text: Zeroizing<String>,
        grace: Option<Duration>,
        guard: Guard,
    ) -> Result<SecretId, Fault> {
        let _turn = self.turn().await?;
        self.catch_up().await?;
        let view = self.view_back(Some(client), guard.quiet_for()?).await;
        let Made { secret, given, .. } = given(Some(text)).make(view.now)?;
        let id = secret.id.clone();
        let action = Action::Rotate { secret, grace };
        let wish = Wish { client: client.clone(), action, policy: guard.policy(view.now)?, given };
        let current = view.snapshot.client(client).and_then(|client| client.current(view.now)).map(|record| &record.id);
        match self.change(&view, vec![wish]).await?.into_iter().next() {
            Some(Err(Refused::SameSecret(same))) if current == Some(&same) => Ok(same),
            Some(Err(refused)) => Err(refused.into()),
            Some(Ok(_)) | None => Ok(id),
        }
    }
}

/// A client of the list.
fn known<'s>(list: &'s Snapshot, client: &ClientKey) -> Result<&'s Client, Fault> {
    list.client(client).map(|client| &**client).ok_or_else(|| Refused::NoClient(client.clone()).into())
}

/// The wish for a secret that was made elsewhere, where it was.
fn given(text: Option<Zeroizing<String>>) -> SecretWish {
    SecretWish { client_secret: text, ..SecretWish::default() }
}

/// Stands around every route: what is refused is told in the words that the path's callers know.
pub(super) async fn told(State(ground): State<Arc<Ground>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    in_own_words(&path, response, ground.clock.now())
}

/// An answer as it is, or what it refuses in the words of the provider whose path it is.
pub(super) fn in_own_words(path: &str, mut response: Response, now: Timestamp) -> Response {
    let Some(fault) = response.extensions_mut().remove::<Fault>() else { return response };
    let refusal: fn(&Refusal<'_>) -> Value = match path {
        login::PATH => login::refusal,
        _ if path.starts_with(auth0::ALL) => auth0::refusal,
        _ if path.starts_with(okta::ALL) => okta::refusal,
        _ if path.starts_with(hydra::ALL) => hydra::refusal,
        _ => return response,
    };
    let refused = Refusal::of(&fault);
    let mut told = (refused.status, Json(refusal(&refused))).into_response();
    if let Some((name, value)) = &fault.header {
        told.headers_mut().insert(name, value.clone());
        // Okta's SDKs ask for no other word of when to come again.
        let seconds = value.to_str().ok().and_then(|seconds| seconds.parse().ok());
        if let (true, Some(seconds)) = (path.starts_with(okta::ALL), seconds) {
            let reset = now.plus(Duration::from_secs(seconds)).millis() / 1000;
            for (name, value) in
                [("x-rate-limit-limit", 1), ("x-rate-limit-remaining", 0), ("x-rate-limit-reset", reset)]
            {
                told.headers_mut().insert(name, HeaderValue::from(value));
            }
        }
    }
    // Which methods a path is for.
    if let Some(allow) = response.headers().get(http::header::ALLOW) {
        told.headers_mut().insert(http::header::ALLOW, allow.clone());
    }
    told
}

/// A refusal on its way into a provider's words.
struct Refusal<'f> {
    status: http::StatusCode,
    code: &'static str,
    /// What is the matter.
    what: &'f str,
    /// That nothing was changed, and what to do next.
    next: Vec<&'f str>,
}

impl<'f> Refusal<'f> {
    fn of(fault: &'f Fault) -> Self {
        let mut lines = fault.message.lines().map(str::trim);
        // A 409 is tried again by some of the SDKs, and a rule is no passing trouble.
        let status = match fault.status {
            http::StatusCode::CONFLICT => http::StatusCode::BAD_REQUEST,
            status => status,
        };
        Self { status, code: fault.code, what: lines.next().unwrap_or_default(), next: lines.collect() }
    }

    /// All of it in one line.
    fn text(&self) -> String {
        let next = self.next.iter().map(|line| format!(" {line}"));
        format!("{}.{}", self.what.trim_end_matches('.'), next.collect::<String>())
    }
}

/// Something to tell one answer from another by.
fn answer_id() -> String {
    let mut bytes = [0; 8];
    // Without it the answer is as good.
    let _zeros_then = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
