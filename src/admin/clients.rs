//! Clients: looked at, added, changed and removed.
#![expect(unused_qualifications, reason = "of what utoipa makes")]

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::Fault;
use super::body::Body;
use super::caller::Caller;
use super::etag::{IfMatch, Tag, Tagged};
use super::ground::{Ground, View};
use super::named::{Ids, Named, OfTenant};
use super::object::ClientObject;
use super::routes::{client_object, place, text};
use super::wish::{ClientWish, Guard, Made, client_key};
use super::words::Words;
use crate::config::tokens::Scope;
use crate::domain::ids::ClientKey;
use crate::lifecycle::{Action, ClientChange};
use crate::source::file::read_secret;

/// Show a client
#[utoipa::path(
    get,
    path = "/api/v1/clients/{id}",
    operation_id = "showClient",
    tag = "clients",
    params(("id" = String, Path, description = "The client's id."), OfTenant),
    responses((status = 200, description = "The client with its secrets.", body = ClientObject))
)]
pub(super) async fn show(State(ground): State<Arc<Ground>>, Named(id): Named) -> Result<Tagged<ClientObject>, Fault> {
    let view = ground.view(Some(&id)).await;
    tagged(&view, &id)
}

/// Add a client
///
/// With a secret that is made here and shown in this one answer, or with one that was made elsewhere.
#[utoipa::path(
    post,
    path = "/api/v1/clients",
    operation_id = "addClient",
    tag = "clients",
    request_body = ClientWish,
    responses((status = 201, description = "The client as it is now in force.", body = ClientObject))
)]
pub(super) async fn add(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    Words(asked): Words<OfTenant>,
    if_match: IfMatch,
    Body(wish): Body<ClientWish>,
) -> Result<impl IntoResponse, Fault> {
    let id = wish.key(asked.tenant.as_deref())?;
    // Which files of this machine hold secrets is the instance's own business.
    if !wish.upstream_secret_files.is_empty() && !caller.may(Scope::Admin) {
        return Err(Fault::forbidden(Scope::Admin));
    }
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view(Some(&id)).await;
    let wanted = |view: &View| if_match.holds(&Tag::of_list(&view.snapshot));
    wanted(&view)?;
    let Made { secret, plain, given } = ground.make(&wish.secret, view.now).await?;
    ground.check_upstream_files(wish.upstream_secret_files.clone()).await?;
    let secret_id = secret.id.clone();
    let action = Action::AddClient(wish.new_client(id.clone(), vec![secret]));
    ground.change_one(&view, &id, action, Guard::default(), given, wanted).await?;
    let view = ground.view(Some(&id)).await;
    let mut answer = tagged(&view, &id)?;
    for shown in answer.1.secrets.iter_mut().filter(|shown| shown.id == secret_id.as_str()) {
        shown.client_secret = plain.as_ref().and_then(text);
    }
    Ok((StatusCode::CREATED, [(header::LOCATION, place(&id, None))], answer))
}

/// `PATCH /api/v1/clients/{id}`
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientPatch {
    /// Whether any secret of it is accepted.
    enabled: Option<bool>,
    /// A name for people; empty for none.
    name: Option<String>,
    /// How many of its secrets may be active. Those that are beyond it stay.
    #[schema(minimum = 1, maximum = 8)]
    max_active_secrets: Option<usize>,
    /// Switch it off whoever uses it.
    #[serde(default)]
    force: bool,
    /// How long its secrets must have been quiet before it is switched off, such as `24h`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$", default = "24h")]
    quiet_for: Option<String>,
}

/// Change a client
///
/// What is not named stays as it is.
#[utoipa::path(
    patch,
    path = "/api/v1/clients/{id}",
    operation_id = "changeClient",
    tag = "clients",
    params(("id" = String, Path, description = "The client's id."), OfTenant),
    request_body = ClientPatch,
    responses((status = 200, description = "The client as it is now in force.", body = ClientObject))
)]
pub(super) async fn set(
    State(ground): State<Arc<Ground>>,
    Named(id): Named,
    if_match: IfMatch,
    Body(patch): Body<ClientPatch>,
) -> Result<Tagged<ClientObject>, Fault> {
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let guard = Guard { force: patch.force, quiet_for: patch.quiet_for };
    let view = ground.view_back(Some(&id), guard.quiet_for()?).await;
    let wanted = |view: &View| if_match.holds(&Tag::of(view, &id)?);
    wanted(&view)?;
    let change = ClientChange { enabled: patch.enabled, name: patch.name, max_active: patch.max_active_secrets };
    ground.change_one(&view, &id, Action::SetClient(change), guard, None, wanted).await?;
    let view = ground.view(Some(&id)).await;
    tagged(&view, &id)
}

/// The query of `DELETE /api/v1/clients/{id}`
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// Remove it whoever uses it.
    #[serde(default)]
    #[param(required = false, default = false)]
    force: bool,
    /// How long its secrets must have been quiet, such as `24h`.
    #[param(required = false, pattern = "^[0-9]{1,4}(ms|s|m|h|d)$", default = "24h")]
    quiet_for: Option<String>,
    /// The client's tenant; empty, or left out, for a client of none.
    #[param(required = false, max_length = 128, pattern = r"^([A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$")]
    tenant: Option<String>,
}

/// Remove a client
///
/// With all its secrets; refused while they are used.
#[utoipa::path(
    delete,
    path = "/api/v1/clients/{id}",
    operation_id = "removeClient",
    tag = "clients",
    params(("id" = String, Path, description = "The client's id."), Removal),
    responses((status = 204, description = "It is gone."))
)]
pub(super) async fn remove(
    State(ground): State<Arc<Ground>>,
    Ids { id, .. }: Ids,
    Words(removal): Words<Removal>,
    if_match: IfMatch,
) -> Result<StatusCode, Fault> {
    let id = client_key(&removal.tenant.unwrap_or_default(), &id)?;
    let guard = Guard { force: removal.force, quiet_for: removal.quiet_for };
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view_back(Some(&id), guard.quiet_for()?).await;
    let wanted = |view: &View| if_match.holds(&Tag::of(view, &id)?);
    wanted(&view)?;
    ground.change_one(&view, &id, Action::RemoveClient, guard, None, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(view: &View, id: &ClientKey) -> Result<Tagged<ClientObject>, Fault> {
    Ok(Tagged(Tag::of(view, id)?, client_object(view, id)?))
}

impl Ground {
    /// A list that names a file that cannot be read would be refused: told before it is written.
    async fn check_upstream_files(&self, files: Vec<String>) -> Result<(), Fault> {
        if files.is_empty() {
            return Ok(());
        }
        let list = self.settings.clients.path.clone();
        self.aside(move || files.iter().try_for_each(|file| check_upstream_file(&list, file))).await?
    }
}

fn check_upstream_file(list: &Path, file: &str) -> Result<(), Fault> {
    let folder = if list.is_dir() { Some(list) } else { list.parent() };
    let full = folder.map_or_else(|| file.into(), |folder| folder.join(file));
    let unreadable = |why: String| {
        let full = full.display();
        let message = format!("{full} {why}\n  Nothing was changed. Put the upstream's secret there first.");
        Fault::conflict("unreadable", message)
    };
    read_secret(&full).map(drop).map_err(unreadable)
}
