//! The secrets of a client: looked at, added, and the steps of their life.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::Fault;
use super::body::Body;
use super::etag::{IfMatch, Tag, Tagged};
use super::ground::{Ground, View};
use super::named::{Named, NamedSecret, OfTenant};
use super::object::SecretObject;
use super::routes::{client_object, place, secret_object};
use super::wish::{Guard, LifecycleWish, Made, SecretWish, duration};
use crate::config::settings::operation::Instances;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Secret;
use crate::lifecycle::Action;
use crate::registry::slow::Held;

/// Long enough to see who comes every few seconds, and short enough for those who then wait.
const REHEARSAL: Duration = Duration::from_secs(60);

/// List a client's secrets
///
/// The newest first, dead ones included.
#[utoipa::path(
    get,
    path = "/api/v1/clients/{id}/secrets",
    operation_id = "listSecrets",
    tag = "secrets",
    params(("id" = String, Path, description = "The client's id."), OfTenant),
    responses((status = 200, description = "Its secrets.", body = Vec<SecretObject>))
)]
pub(super) async fn list(
    State(ground): State<Arc<Ground>>,
    Named(id): Named,
) -> Result<Tagged<Vec<SecretObject>>, Fault> {
    let view = ground.view(Some(&id)).await;
    Ok(Tagged(Tag::of(&view, &id)?, client_object(&view, &id)?.secrets))
}

/// Show a secret
///
/// What is known of it, and never the secret itself.
#[utoipa::path(
    get,
    path = "/api/v1/clients/{id}/secrets/{secret}",
    operation_id = "showSecret",
    tag = "secrets",
    params(
        ("id" = String, Path, description = "The client's id."),
        ("secret" = String, Path, description = "The secret's id."),
        OfTenant
    ),
    responses((status = 200, description = "The secret.", body = SecretObject))
)]
pub(super) async fn show(
    State(ground): State<Arc<Ground>>,
    NamedSecret(id, secret): NamedSecret,
) -> Result<Tagged<SecretObject>, Fault> {
    let view = ground.view(Some(&id)).await;
    tagged(&view, &id, &secret, None)
}

/// Add a secret
///
/// One that is made here and shown in this one answer, or one that was made elsewhere. The others go on working.
#[utoipa::path(
    post,
    path = "/api/v1/clients/{id}/secrets",
    operation_id = "addSecret",
    tag = "secrets",
    params(("id" = String, Path, description = "The client's id."), OfTenant),
    request_body = SecretWish,
    responses((status = 201, description = "The secret as it is now in force.", body = SecretObject))
)]
pub(super) async fn add(
    State(ground): State<Arc<Ground>>,
    Named(id): Named,
    if_match: IfMatch,
    Body(wish): Body<SecretWish>,
) -> Result<impl IntoResponse, Fault> {
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view(Some(&id)).await;
    let wanted = |view: &View| if_match.holds(&Tag::of(view, &id)?);
    wanted(&view)?;
    let Made { secret, plain, given } = ground.make(&wish, view.now).await?;
    let secret_id = secret.id.clone();
    ground.change_one(&view, &id, Action::Add(secret), Guard::default(), given, wanted).await?;
    let view = ground.view(Some(&id)).await;
    let answer = tagged(&view, &id, &secret_id, plain.as_ref())?;
    Ok((StatusCode::CREATED, [(header::LOCATION, place(&id, Some(&secret_id)))], answer))
}

/// `.../lifecycle/{verb}`
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verb {
    Activate,
    Deactivate,
    Expire,
    Revoke,
    Rehearse,
    EndRehearsal,
}

/// The last segment of the path.
#[derive(Deserialize)]
pub(super) struct Step {
    verb: String,
}

/// Take a step of a secret's life
///
/// `activate`, `deactivate`, `expire`, `revoke`, `rehearse` (refused for a while, to see who fails) or `end-rehearsal`. What
/// takes a working secret away is refused while it is used.
#[utoipa::path(
    post,
    path = "/api/v1/clients/{id}/secrets/{secret}/lifecycle/{verb}",
    operation_id = "changeSecret",
    tag = "secrets",
    params(
        ("id" = String, Path, description = "The client's id."),
        ("secret" = String, Path, description = "The secret's id."),
        ("verb" = inline(Verb), Path, description = "The step."),
        OfTenant
    ),
    request_body = LifecycleWish,
    responses((status = 200, description = "The secret as it is now in force.", body = SecretObject))
)]
pub(super) async fn change(
    State(ground): State<Arc<Ground>>,
    NamedSecret(id, secret): NamedSecret,
    Path(Step { verb }): Path<Step>,
    if_match: IfMatch,
    Body(wish): Body<LifecycleWish>,
) -> Result<Tagged<SecretObject>, Fault> {
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view_back(Some(&id), wish.guard().quiet_for()?).await;
    let wanted = |view: &View| if_match.holds(&Tag::of(view, &id)?);
    wanted(&view)?;
    let action = action(&verb, secret.clone(), &wish, view.now)?;
    if let (Action::Rehearse(..), false) = (&action, wish.force) {
        ground.can_watch(&view, &id, &secret)?;
    }
    ground.change_one(&view, &id, action, wish.guard(), None, wanted).await?;
    let view = ground.view(Some(&id)).await;
    tagged(&view, &id, &secret, None)
}

fn tagged(
    view: &View,
    client: &ClientKey,
    secret: &SecretId,
    plain: Option<&Secret>,
) -> Result<Tagged<SecretObject>, Fault> {
    Ok(Tagged(Tag::of(view, client)?, secret_object(view, client, secret, plain)?))
}

fn action(verb: &str, secret: SecretId, wish: &LifecycleWish, now: Timestamp) -> Result<Action, Fault> {
    let length = |key: &str, text: &Option<String>| text.as_deref().map(|text| duration(key, text)).transpose();
    let (expiry, rehearsal) = (length("in", &wish.in_)?, length("for", &wish.for_)?);
    Ok(match verb {
        "activate" => Action::Enable(secret),
        "deactivate" => Action::Disable(secret),
        "expire" => Action::Expire(secret, now.plus(expiry.unwrap_or_default())),
        "revoke" if wish.compromised => Action::RevokeCompromised(secret),
        "revoke" => Action::Revoke(secret),
        "rehearse" => Action::Rehearse(secret, now.plus(rehearsal.unwrap_or(REHEARSAL))),
        "end-rehearsal" => Action::EndRehearsal(secret),
        _ => {
            let known = "activate, deactivate, expire, revoke, rehearse, end-rehearsal";
            return Err(Fault::not_found(format!("there is no such lifecycle step: known are {known}")));
        }
    })
}

impl Ground {
    /// A rehearsal shows who fails only where the failing is seen: here, and with a secret that is known again.
    fn can_watch(&self, view: &View, client: &ClientKey, secret: &SecretId) -> Result<(), Fault> {
        let client = view.snapshot.client(client);
        let record = client.and_then(|client| client.records().iter().find(|record| record.id == *secret));
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
}
