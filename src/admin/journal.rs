//! What the audit log says of a request that may change something: what was asked, of which client and secret, and how it
//! ended.
//!
//! Lines are written when nobody works at the request any more. A caller that hangs up does not break off a write of the
//! list that has begun, and does not keep it out of the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use super::answer::Fault;
use super::caller::Caller;
use super::change::{Granted, Wish};
use super::compatible;
use super::ground::{Ground, Hands};
use crate::config::tokens::Token;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, ClientKey, SecretId, Tenant};
use crate::event::entry::{Entry, More, Outcome, Who};
use crate::lifecycle::{Action, ClientChange};

tokio::task_local! {
    /// The request that is being done. Whoever writes finds it here: no door can forget to say who asked.
    static ASKED: Arc<Journal>;
}

/// A request, and what became of it so far.
pub(super) struct Journal {
    ground: Arc<Ground>,
    who: Who,
    /// Where it did not come as far as a wish.
    fallback: Deed,
    request: Option<String>,
    request_id: Option<String>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    deeds: Vec<(Deed, Option<Outcome>)>,
    answer: Option<Outcome>,
}

/// Something that is wished.
struct Deed {
    what: &'static str,
    client: Option<ClientKey>,
    secret: Option<SecretId>,
    more: More,
}

/// Stands before every route, those of a page too: writes down who asked for a change and what came of it, whichever door it came by.
pub async fn keep(State(ground): State<Arc<Ground>>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    // A stranger is told of elsewhere, and more sparingly.
    let Some(who) = caller.map(Caller::who).filter(|_| !matches!(*request.method(), Method::GET | Method::HEAD)) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let param = |name: &str| params.iter().flatten().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let client = param("id").and_then(|id| ground.known_client(&tenant(parts.uri.query()), &id));
    let secret = param("secret").and_then(|id| ground.known_secret(client.as_ref()?, &SecretId::parse(&id)?));
    let verb = param("verb").unwrap_or_default();
    let fallback = Deed { what: word(&parts.method, route, &verb), client, secret, more: More::default() };
    let id = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let journal = Arc::new(Journal {
        who,
        fallback,
        request: Some(format!("{} {route}", parts.method)),
        request_id: id.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID).map(str::to_owned),
        told: Mutex::default(),
        ground,
    });
    // On its own feet: a caller that hangs up would else leave a secret in the list that nobody remembers having made.
    #[expect(clippy::disallowed_methods, reason = "it belongs to the request, and ends with what was asked")]
    let done = tokio::spawn(async move {
        let response = ASKED.scope(journal.clone(), next.run(Request::from_parts(parts, body))).await;
        journal.told().answer = Some(ended(&response));
        response
    });
    done.await.unwrap_or_else(|_| {
        let message = "it broke off\n  Look at the list before you ask again: some of it may have been done.";
        Fault::failed(message.to_owned()).into_response()
    })
}

/// The file of the tokens was changed, by a command or by hand: whose are new, whose are gone, or why it is not in force.
pub(super) fn tokens_in_force(ground: &Ground, before: &[Token], after: &[Token], refused: Option<String>) {
    let missing = |from: &[Token], of: &[Token]| -> Vec<String> {
        of.iter().filter(|token| !from.contains(token)).map(|token| token.name.to_string()).take(MOST_TOKENS).collect()
    };
    let (added, removed) = (missing(before, after), missing(after, before));
    let outcome = match refused {
        Some(why) => Outcome::Failed("tokens_refused".to_owned(), why),
        None if added.is_empty() && removed.is_empty() => return,
        None => Outcome::Done,
    };
    let mut entry = Entry::new(ground.clock.now(), Who::instance(), "token.reload", outcome);
    entry.generation = Some(ground.snapshot.load().generation);
    entry.more.tokens_added = added;
    entry.more.tokens_removed = removed;
    ground.audit.write(&entry);
}

/// Names of tokens in one line.
const MOST_TOKENS: usize = 50;

/// A longer id is none that another log would be searched for.
const LONGEST_ID: usize = 128;

/// How an answer says that it ended.
fn ended(response: &Response) -> Outcome {
    let status = response.status();
    match response.extensions().get::<Outcome>() {
        Some(outcome) => outcome.clone(),
        None if status.is_success() => Outcome::Done,
        None if status.is_server_error() => Outcome::Failed(status.as_str().to_owned(), String::new()),
        None => Outcome::Refused(match status {
            // The library's own answer to a body or a path that it cannot read.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "invalid".to_owned(),
            _ => status.as_str().to_owned(),
        }),
    }
}

fn tenant(query: Option<&str>) -> String {
    let pairs: Vec<(String, String)> =
        query.and_then(|query| serde_urlencoded::from_str(query).ok()).unwrap_or_default();
    pairs.into_iter().find(|(key, _)| key == "tenant").map(|(_, value)| value).unwrap_or_default()
}

/// What a route is for, where what was wished there was not understood.
fn word(method: &Method, route: &str, verb: &str) -> &'static str {
    match (method.as_str(), route) {
        ("POST", "/api/v1/clients") => "client.add",
        ("PATCH", "/api/v1/clients/{id}") => "client.set",
        ("DELETE", "/api/v1/clients/{id}") => "client.remove",
        ("POST", "/api/v1/clients/{id}/secrets") => "secret.add",
        ("POST", "/api/v1/clients/{id}/rotate" | "/api/v1/rotate") => "secret.rotate",
        ("PUT", "/api/v1/log-level") => "log_level.set",
        ("POST", "/-/reload") => "reload",
        ("POST", "/api/v1/login-links") => "session.link",
        ("POST", "/logout") => "session.close",
        ("POST", "/client/generate") => "secret.add",
        ("POST", "/client/{verb}") => match verb {
            "enable" => "secret.enable",
            "disable" => "secret.disable",
            "revoke" => "secret.revoke",
            _ => "request",
        },
        ("POST", "/api/v1/clients/{id}/secrets/{secret}/lifecycle/{verb}") => match verb {
            "activate" => "secret.enable",
            "deactivate" => "secret.disable",
            "expire" => "secret.expire",
            "revoke" => "secret.revoke",
            "rehearse" => "secret.rehearse",
            "end-rehearsal" => "secret.end_rehearsal",
            _ => "secret.set",
        },
        _ => compatible::word(method, route).unwrap_or("request"),
    }
}

impl Ground {
    /// What a path names, if it is there: what is not may be anything, a secret too.
    fn known_client(&self, tenant: &str, id: &str) -> Option<ClientKey> {
        let key = ClientKey { tenant: Tenant::parse(tenant)?, id: ClientId::parse(id)? };
        self.snapshot.load().client(&key).is_some().then_some(key)
    }

    fn known_secret(&self, client: &ClientKey, secret: &SecretId) -> Option<SecretId> {
        let list = self.snapshot.load();
        list.client(client)?.records().iter().map(|record| &record.id).find(|id| *id == secret).cloned()
    }
}

impl Deed {
    fn of(wish: &Wish, ground: &Ground) -> Self {
        let known = |id: &SecretId| ground.known_secret(&wish.client, id);
        let client = match &wish.action {
            Action::AddClient(_) => Some(wish.client.clone()),
            _ => ground.known_client(wish.client.tenant.as_str(), wish.client.id.as_str()),
        };
        let until = |at: Timestamp| Some(at.rfc3339());
        let mut more = More { forced: wish.policy.force, ..More::default() };
        let (what, secret) = match &wish.action {
            Action::AddClient(new) => ("client.add", new.secrets.first().map(|secret| secret.id.clone())),
            Action::RemoveClient => ("client.remove", None),
            Action::SetEnabled(true) => ("client.enable", None),
            Action::SetEnabled(false) => ("client.disable", None),
            Action::SetClient(ClientChange { enabled, name, max_active }) => {
                let set = [("name", name.is_some()), ("max_active_secrets", max_active.is_some())];
                more.set = set.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect();
                let what = match enabled {
                    Some(true) => "client.enable",
                    Some(false) => "client.disable",
                    None => "client.set",
                };
                (what, None)
            }
            Action::Add(secret) => ("secret.add", Some(secret.id.clone())),
            Action::Rotate { secret, grace } => {
                more.until = grace.and_then(|grace| until(wish.policy.now.plus(grace)));
                ("secret.rotate", Some(secret.id.clone()))
            }
            Action::Disable(id) => ("secret.disable", known(id)),
            Action::Enable(id) => ("secret.enable", known(id)),
            Action::Expire(id, at) => {
                more.until = until(*at);
                ("secret.expire", known(id))
            }
            Action::Revoke(id) => ("secret.revoke", known(id)),
            Action::RevokePrevious => ("secret.revoke_previous", None),
            Action::RevokeCompromised(id) => {
                more.compromised = true;
                ("secret.revoke", known(id))
            }
            Action::Rehearse(id, at) => {
                more.until = until(*at);
                ("secret.rehearse", known(id))
            }
            Action::EndRehearsal(id) => ("secret.end_rehearsal", known(id)),
        };
        Self { what, client, secret, more }
    }
}

impl Journal {
    /// That of the request that is being done.
    pub(super) fn current(ground: &Arc<Ground>) -> Arc<Self> {
        ASKED.try_with(Clone::clone).unwrap_or_else(|_| {
            let fallback = Deed { what: "request", client: None, secret: None, more: More::default() };
            let (who, told) = (Who::instance(), Mutex::default());
            Arc::new(Self { ground: ground.clone(), who, fallback, request: None, request_id: None, told })
        })
    }

    /// Wishes that are about to be settled, whatever becomes of them; gives the place of the first.
    pub(super) fn wished(&self, wishes: &[Wish]) -> usize {
        let deeds = wishes.iter().map(|wish| (Deed::of(wish, &self.ground), None));
        let mut told = self.told();
        let first = told.deeds.len();
        told.deeds.extend(deeds);
        first
    }

    /// What became of them, from that place on.
    pub(super) fn settled(&self, first: usize, granted: &[Granted]) {
        let mut told = self.told();
        for ((deed, outcome), granted) in told.deeds.iter_mut().skip(first).zip(granted) {
            *outcome = Some(match granted {
                Ok(true) => Outcome::Done,
                Ok(false) => Outcome::Unchanged,
                Err(refused) => Outcome::Refused(refused.code().to_owned()),
            });
            // One that was made and not taken is nowhere.
            if granted.is_err() && matches!(deed.what, "client.add" | "secret.add" | "secret.rotate") {
                deed.secret = None;
            }
        }
    }

    /// It could not be done, or is not in force: all from that place on that no rule stood against.
    pub(super) fn failed(&self, first: usize, fault: &Fault) {
        let mut told = self.told();
        for (_, outcome) in told.deeds.iter_mut().skip(first) {
            if !matches!(outcome, Some(Outcome::Refused(_) | Outcome::Unchanged)) {
                *outcome = Some(fault.outcome());
            }
        }
    }

    /// A rotation was answered as it was a moment ago.
    pub(super) fn repeated(&self, client: &ClientKey, secret: &SecretId) {
        self.rotated_already(client, secret, More { repeated: true, ..More::default() });
    }

    /// The secret that a rotation was to bring in is the newest already.
    pub(super) fn stands(&self, client: &ClientKey, secret: &SecretId) {
        self.rotated_already(client, secret, More::default());
    }

    fn rotated_already(&self, client: &ClientKey, secret: &SecretId, more: More) {
        let (client, secret) = (Some(client.clone()), Some(secret.clone()));
        self.told().deeds.push((Deed { what: "secret.rotate", client, secret, more }, Some(Outcome::Unchanged)));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, deed: &Deed, outcome: Option<&Outcome>) {
        let ground = &self.ground;
        let broken_off = || Outcome::Failed("broken_off".to_owned(), "the caller left before it was done".to_owned());
        let outcome = outcome.cloned().unwrap_or_else(broken_off);
        let mut entry = Entry::new(ground.clock.now(), self.who.clone(), deed.what, outcome);
        entry.client.clone_from(&deed.client);
        entry.secret.clone_from(&deed.secret);
        if let Hands::Instance(_) = &ground.hands {
            entry.generation = Some(ground.snapshot.load().generation);
        }
        entry.more = deed.more.clone();
        entry.more.request.clone_from(&self.request);
        entry.more.request_id.clone_from(&self.request_id);
        ground.audit.write(&entry);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let told = std::mem::take(&mut *self.told());
        if told.deeds.is_empty() && self.request.is_some() {
            self.write(&self.fallback, told.answer.as_ref());
        }
        for (deed, outcome) in &told.deeds {
            self.write(deed, outcome.as_ref());
        }
    }
}
