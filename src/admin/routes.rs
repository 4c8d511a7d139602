//! The routes: what can be looked at and what can be changed. Shaped like the secret resource that existing SDKs know.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;

use super::answer::Fault;
use super::body::Body;
use super::caller::Caller;
use super::change::Wish;
use super::ground::{Ground, View};
use super::named::{Ids, Named, NamedSecret, OfTenant};
use super::object::{ClientObject, SecretObject, StatusObject};
use super::wish::{ClientWish, Guard, LifecycleWish, Made, client_key, duration};
use super::words::{Nothing, Words};
use super::{compatible, rotate, scope, status};
use crate::config::settings::operation::Instances;
use crate::config::tokens::Scope;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Secret;
use crate::lifecycle::{Action, Refused};
use crate::registry::Client;
use crate::registry::slow::Held;
use crate::reload::{Outcome, Trigger};

/// All routes over one ground.
pub fn router(ground: Arc<Ground>) -> Router {
    Router::new()
        .route("/api/v1/status", get(show_status))
        .route("/api/v1/clients", get(list_clients).post(add_client))
        .route("/api/v1/clients/{id}", get(show_client).patch(set_client).delete(remove_client))
        .route("/api/v1/clients/{id}/secrets", get(list_secrets).post(add_secret))
        .route("/api/v1/clients/{id}/secrets/{secret}", get(show_secret))
        .route("/api/v1/clients/{id}/secrets/{secret}/lifecycle/{verb}", post(change_secret))
        .route("/api/v1/clients/{id}/rotate", post(rotate::one))
        .route("/api/v1/rotate", post(rotate::several))
        .route("/-/reload", post(reload))
        .merge(compatible::routes())
        .fallback(|| async { Fault::not_found("there is no such path in the admin API".to_owned()) })
        .method_not_allowed_fallback(|| async { Fault::of_method() })
        .route_layer(from_fn(scope::guard))
        .layer(from_fn_with_state(ground.clone(), compatible::refusal::told))
        .with_state(ground)
}

/// Which part of a list is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// Only the clients of this tenant; empty for those of none.
    tenant: Option<String>,
    /// The id of the client that the page before ended with,
    after: Option<String>,
    /// ... and its tenant, where clients of several have that id.
    after_tenant: Option<String>,
    limit: Option<usize>,
}

impl Page {
    /// Where in the list of those that are asked for the page begins: behind the one that the page before ended with. Which
    /// one that was must be plain, or clients would be left out without a word.
    fn begin(&self, asked: &[&Arc<Client>]) -> Result<usize, Fault> {
        let Some(after) = &self.after else { return Ok(0) };
        let is_last = |client: &Client| client.key.id.as_str() == after && is_of(client, self.after_tenant.as_ref());
        let mut last = asked.iter().enumerate().filter(|(_, client)| is_last(client)).map(|(at, _)| at);
        let why = match (last.next(), last.next()) {
            (Some(last), None) => return Ok(last + 1),
            (None, _) => {
                "after names no client of this list: it may have been removed since\n  Begin again without after."
            }
            (Some(_), Some(_)) => {
                "after names clients of several tenants\n  Say which with after_tenant: the tenant of the last client of the \
                 page before, empty where it has none."
            }
        };
        Err(Fault::invalid(why.to_owned()))
    }
}

/// Whether a client is of a tenant, where one is asked for.
fn is_of(client: &Client, tenant: Option<&String>) -> bool {
    tenant.is_none_or(|name| client.key.tenant.as_str() == name)
}

async fn list_clients(
    State(ground): State<Arc<Ground>>,
    Words(page): Words<Page>,
) -> Result<Json<Vec<ClientObject>>, Fault> {
    Ok(Json(ground.page(&page).await?))
}

async fn show_client(State(ground): State<Arc<Ground>>, Named(id): Named) -> Result<Json<ClientObject>, Fault> {
    let view = ground.view(Some(&id)).await;
    Ok(Json(client_object(&view, &id)?))
}

async fn list_secrets(State(ground): State<Arc<Ground>>, Named(id): Named) -> Result<Json<Vec<SecretObject>>, Fault> {
    let view = ground.view(Some(&id)).await;
    Ok(Json(client_object(&view, &id)?.secrets))
}

async fn show_secret(
    State(ground): State<Arc<Ground>>,
    NamedSecret(id, secret): NamedSecret,
) -> Result<Json<SecretObject>, Fault> {
    let view = ground.view(Some(&id)).await;
    Ok(Json(secret_object(&view, &id, &secret, None)?))
}

async fn add_client(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    Words(asked): Words<OfTenant>,
    Body(wish): Body<ClientWish>,
) -> Result<(StatusCode, Json<ClientObject>), Fault> {
    let id = wish.key(asked.tenant.as_deref())?;
    // Which files of this machine hold secrets is the instance's own business.
    if !wish.upstream_secret_files.is_empty() && !caller.may(Scope::Admin) {
        return Err(Fault::forbidden(Scope::Admin));
    }
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view(Some(&id)).await;
    let Made { secret, plain, given } = wish.secret.make(view.now)?;
    ground.check_upstream_files(&wish.upstream_secret_files)?;
    let secret_id = secret.id.clone();
    let action = Action::AddClient(wish.new_client(id.clone(), vec![secret]));
    ground.change_one(&view, &id, action, Guard::default(), given).await?;
    let view = ground.view(Some(&id)).await;
    let mut object = client_object(&view, &id)?;
    for shown in object.secrets.iter_mut().filter(|shown| shown.id == secret_id.as_str()) {
        shown.client_secret = plain.as_ref().and_then(text);
    }
    Ok((StatusCode::CREATED, Json(object)))
}

/// `PATCH /api/v1/clients/{id}`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientPatch {
    enabled: Option<bool>,
    #[serde(default)]
    force: bool,
    quiet_for: Option<String>,
}

async fn set_client(
    State(ground): State<Arc<Ground>>,
    Named(id): Named,
    Body(patch): Body<ClientPatch>,
) -> Result<Json<ClientObject>, Fault> {
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let guard = Guard { force: patch.force, quiet_for: patch.quiet_for };
    let view = ground.view_back(Some(&id), guard.quiet_for()?).await;
    if let Some(enabled) = patch.enabled {
        ground.change_one(&view, &id, Action::SetEnabled(enabled), guard, None).await?;
    }
    let view = ground.view(Some(&id)).await;
    Ok(Json(client_object(&view, &id)?))
}

/// The query of `DELETE /api/v1/clients/{id}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    #[serde(default)]
    force: bool,
    quiet_for: Option<String>,
    tenant: Option<String>,
}

async fn remove_client(
    State(ground): State<Arc<Ground>>,
    Ids { id, .. }: Ids,
    Words(removal): Words<Removal>,
) -> Result<StatusCode, Fault> {
    let id = client_key(&removal.tenant.unwrap_or_default(), &id)?;
    let guard = Guard { force: removal.force, quiet_for: removal.quiet_for };
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view_back(Some(&id), guard.quiet_for()?).await;
    ground.change_one(&view, &id, Action::RemoveClient, guard, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_secret(
    State(ground): State<Arc<Ground>>,
    Named(id): Named,
    Body(wish): Body<super::wish::SecretWish>,
) -> Result<(StatusCode, Json<SecretObject>), Fault> {
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view(Some(&id)).await;
    let Made { secret, plain, given } = wish.make(view.now)?;
    let secret_id = secret.id.clone();
    ground.change_one(&view, &id, Action::Add(secret), Guard::default(), given).await?;
    let view = ground.view(Some(&id)).await;
    Ok((StatusCode::CREATED, Json(secret_object(&view, &id, &secret_id, plain.as_ref())?)))
}

/// `.../lifecycle/{verb}`
#[derive(Deserialize)]
struct Verb {
    verb: String,
}

async fn change_secret(
    State(ground): State<Arc<Ground>>,
    NamedSecret(id, secret): NamedSecret,
    Path(Verb { verb }): Path<Verb>,
    Body(wish): Body<LifecycleWish>,
) -> Result<Json<SecretObject>, Fault> {
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view_back(Some(&id), wish.guard().quiet_for()?).await;
    let action = action(&verb, secret.clone(), &wish, view.now)?;
    if let (Action::Rehearse(..), false) = (&action, wish.force) {
        ground.can_watch(&view, &id, &secret)?;
    }
    ground.change_one(&view, &id, action, wish.guard(), None).await?;
    let view = ground.view(Some(&id)).await;
    Ok(Json(secret_object(&view, &id, &secret, None)?))
}

fn action(
    verb: &str,
    secret: SecretId,
    wish: &LifecycleWish,
    now: crate::domain::clock::Timestamp,
) -> Result<Action, Fault> {
    let length = |key: &str, text: &Option<String>| text.as_deref().map(|text| duration(key, text)).transpose();
    Ok(match verb {
        "activate" => Action::Enable(secret),
        "deactivate" => Action::Disable(secret),
        "expire" => Action::Expire(secret, now.plus(length("in", &wish.in_)?.unwrap_or_default())),
        "revoke" if wish.compromised => Action::RevokeCompromised(secret),
        "revoke" => Action::Revoke(secret),
        "rehearse" => Action::Rehearse(secret, now.plus(length("for", &wish.for_)?.unwrap_or_default())),
        "end-rehearsal" => Action::EndRehearsal(secret),
        _ => {
            let known = "activate, deactivate, expire, revoke, rehearse, end-rehearsal";
            return Err(Fault::not_found(format!("there is no such lifecycle step: known are {known}")));
        }
    })
}

/// `POST /-/reload`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReloadWish {
    #[serde(default)]
    allow_shrink: bool,
}

async fn reload(
    State(ground): State<Arc<Ground>>,
    Words(Nothing {}): Words<Nothing>,
    Body(wish): Body<ReloadWish>,
) -> Result<Json<serde_json::Value>, Fault> {
    let trigger = Trigger::Command { allow_shrink: wish.allow_shrink, written: false };
    let outcome = ground.reload(trigger).await?;
    let snapshot = ground.snapshot.load();
    let result = match &*outcome {
        Outcome::Published => "success",
        Outcome::Unchanged => "unchanged",
        Outcome::Refused(errors) => {
            let message = format!("the list is refused, the one in force stays\n  Nothing was changed.\n{errors}");
            return Err(Fault::conflict("list_refused", message));
        }
        Outcome::StillRefused => return Err(Fault::conflict("list_refused", "the list is refused".to_owned())),
        Outcome::Held(why) => {
            let message = format!(
                "the list is held, the one in force stays: {why}\n  Nothing was changed but that its revocations are \
                 in force. If this is meant: `relatch reload --allow-shrink`."
            );
            return Err(Fault::conflict("list_held", message));
        }
    };
    let clients = snapshot.clients.len();
    Ok(Json(serde_json::json!({
        "result": result,
        "generation": snapshot.generation,
        "hash": format!("{:012x}", snapshot.hash),
        "clients": clients,
        "secrets": snapshot.secrets(),
    })))
}

async fn show_status(State(ground): State<Arc<Ground>>, Words(Nothing {}): Words<Nothing>) -> Json<StatusObject> {
    let view = ground.view(None).await;
    Json(status::of(&ground, &view))
}

impl Ground {
    /// Every client.
    pub async fn clients(&self) -> Vec<ClientObject> {
        let view = self.view(None).await;
        view.snapshot.clients.iter().map(|client| ClientObject::of(&view, client)).collect()
    }

    /// The clients of a page.
    async fn page(&self, page: &Page) -> Result<Vec<ClientObject>, Fault> {
        let view = self.view(None).await;
        let asked = view.snapshot.clients.iter().filter(|client| is_of(client, page.tenant.as_ref()));
        let asked: Vec<_> = asked.collect();
        let shown = asked.iter().skip(page.begin(&asked)?).take(page.limit.unwrap_or(usize::MAX));
        Ok(shown.map(|client| ClientObject::of(&view, client)).collect())
    }

    /// A rehearsal shows who fails only where the failing is seen: here, and with a secret that is known again.
    fn can_watch(&self, view: &View, client: &ClientKey, secret: &SecretId) -> Result<(), Fault> {
        let client = view.snapshot.client(client);
        let record = client.and_then(|client| client.records.iter().find(|record| record.id == *secret));
        let unproven = record.is_some_and(|record| matches!(&record.held, Held::Slow(_, proven) if !proven.is_known()));
        let why = if unproven {
            "its hash came from another system and nobody has presented it since the start, so that a caller who fails \
             could not be told from a guess"
        } else if self.settings.fleet.instances == Instances::Many {
            "[fleet] instances = \"many\", and only those who fail at this instance would be seen"
        } else {
            return Ok(());
        };
        Err(Fault::refused(
            "cannot_watch",
            format!(
                "a rehearsal would say too little: {why}\n  Nothing was changed. Use --force if you want it all the same."
            ),
        ))
    }

    /// One wish of one client, refused or done.
    pub(super) async fn change_one(
        &self,
        view: &Arc<View>,
        client: &ClientKey,
        action: Action,
        guard: Guard,
        given: Option<Secret>,
    ) -> Result<(), Fault> {
        let wish = Wish { client: client.clone(), action, policy: guard.policy(view.now)?, given };
        self.change(view, vec![wish]).await?.into_iter().collect::<Result<Vec<bool>, Refused>>()?;
        Ok(())
    }

    /// A list that names a file that cannot be read would be refused: told before it is written.
    fn check_upstream_files(&self, files: &[String]) -> Result<(), Fault> {
        let list = &self.settings.clients.path;
        let folder = if list.is_dir() { Some(&**list) } else { list.parent() };
        for file in files {
            let full = folder.map_or_else(|| file.into(), |folder| folder.join(file));
            if let Err(why) = crate::source::file::read_secret(&full) {
                let full = full.display();
                return Err(Fault::conflict(
                    "unreadable",
                    format!("{full} {why}\n  Nothing was changed. Put the upstream's secret there first."),
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn client_object(view: &View, id: &ClientKey) -> Result<ClientObject, Fault> {
    let client = view.snapshot.client(id).ok_or_else(|| Refused::NoClient(id.clone()))?;
    Ok(ClientObject::of(view, client))
}

pub(super) fn secret_object(
    view: &View,
    client: &ClientKey,
    secret: &SecretId,
    plain: Option<&Secret>,
) -> Result<SecretObject, Fault> {
    let mut found = client_object(view, client)?.secrets.into_iter().find(|object| object.id == secret.as_str());
    if let Some(object) = &mut found {
        object.client_secret = plain.and_then(text);
    }
    found.ok_or_else(|| Refused::NoSecret { client: client.clone(), secret: secret.clone() }.into())
}

/// A secret of our own making is ASCII.
pub(super) fn text(secret: &Secret) -> Option<String> {
    std::str::from_utf8(secret.expose()).ok().map(str::to_owned)
}
