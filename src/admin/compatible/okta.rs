//! The secrets of an application as Okta's SDKs call them. What Okta calls INACTIVE is disabled or expired here; what it
//! deletes is revoked, and not shown any more.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::{About, AboutSecret, answer_id};
use crate::admin::answer::Fault;
use crate::admin::body::Body;
use crate::admin::caller::Caller;
use crate::admin::etag::{Tag, Tagged};
use crate::admin::ground::{Ground, View};
use crate::admin::object::SecretObject;
use crate::admin::routes::client_object;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::segment::encoded;
use crate::lifecycle::{Action, Refused};

pub(super) const ALL: &str = "/api/v1/apps/";
pub(super) const SECRETS: &str = "/api/v1/apps/{id}/credentials/secrets";
pub(super) const SECRET: &str = "/api/v1/apps/{id}/credentials/secrets/{secret}";
pub(super) const ACTIVATE: &str = "/api/v1/apps/{id}/credentials/secrets/{secret}/lifecycle/activate";
pub(super) const DEACTIVATE: &str = "/api/v1/apps/{id}/credentials/secrets/{secret}/lifecycle/deactivate";

/// The header by which Okta's SDKs say that they ask again.
const RETRY: &str = "x-okta-retry-count";

pub(super) fn routes() -> Router<Arc<Ground>> {
    Router::new()
        .route(SECRETS, get(list).post(create))
        .route(SECRET, get(show).delete(remove))
        .route(ACTIVATE, post(activate))
        .route(DEACTIVATE, post(deactivate))
}

async fn list(State(ground): State<Arc<Ground>>, About { client, .. }: About) -> Result<Tagged<Vec<Value>>, Fault> {
    let view = ground.view(Some(&client)).await;
    let secrets = client_object(&view, &client)?.secrets;
    Ok(Tagged(Tag::of(&view, &client)?, secrets.into_iter().filter(is_there).map(object).collect()))
}

async fn show(
    State(ground): State<Arc<Ground>>,
    AboutSecret(About { client, .. }, secret): AboutSecret,
) -> Result<Tagged<Value>, Fault> {
    let view = ground.view(Some(&client)).await;
    Ok(Tagged(Tag::of(&view, &client)?, object(one(&view, &client, &secret)?)))
}

/// `POST .../secrets`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    client_secret: Option<Zeroizing<String>>,
    status: Option<String>,
}

async fn create(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    about: About,
    headers: HeaderMap,
    Body(new): Body<NewSecret>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    if new.status.is_some_and(|status| status != "ACTIVE") {
        let why = "status: a new secret is ACTIVE: create it, then deactivate it";
        return Err(Fault::invalid(format!("{why}\n  Nothing was changed.")));
    }
    if let Some(text) = new.client_secret {
        let secret = ground.take(&about, text, None).await?;
        let view = ground.view(Some(&about.client)).await;
        return Ok((StatusCode::CREATED, Json(object(one(&view, &about.client, &secret)?))));
    }
    // Two that are asked for are two; the SDK says so itself where it asks for one again.
    let made = ground.renew(&caller, &about, None, !headers.contains_key(RETRY)).await?;
    Ok((StatusCode::CREATED, Json(object(made))))
}

async fn activate(State(ground): State<Arc<Ground>>, about: AboutSecret) -> Result<Json<Value>, Fault> {
    step(&ground, about, Action::Enable).await
}

async fn deactivate(State(ground): State<Arc<Ground>>, about: AboutSecret) -> Result<Json<Value>, Fault> {
    step(&ground, about, Action::Disable).await
}

async fn step(
    ground: &Arc<Ground>,
    AboutSecret(about, secret): AboutSecret,
    action: fn(SecretId) -> Action,
) -> Result<Json<Value>, Fault> {
    let there = |view: &View| one(view, &about.client, &secret).map(|_| action(secret.clone()));
    let view = ground.wish(&about, there).await?;
    Ok(Json(object(one(&view, &about.client, &secret)?)))
}

async fn remove(
    State(ground): State<Arc<Ground>>,
    AboutSecret(about, secret): AboutSecret,
) -> Result<StatusCode, Fault> {
    let inactive = |view: &View| match one(view, &about.client, &secret)? {
        found if is_active(&found) => {
            Err(Fault::refused("active", format!("{secret} is ACTIVE\n  Nothing was changed. Deactivate it first.")))
        }
        _ => Ok(Action::Revoke(secret.clone())),
    };
    ground.wish(&about, inactive).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One that was not deleted.
fn one(view: &View, client: &ClientKey, secret: &SecretId) -> Result<SecretObject, Fault> {
    let secrets = client_object(view, client)?.secrets;
    let found = secrets.into_iter().filter(is_there).find(|object| object.id == secret.as_str());
    found.ok_or_else(|| Refused::NoSecret { client: client.clone(), secret: secret.clone() }.into())
}

fn is_there(secret: &SecretObject) -> bool {
    secret.status != "revoked"
}

fn is_active(secret: &SecretObject) -> bool {
    matches!(&*secret.status, "active" | "pending")
}

/// A secret as Okta shows it, but for its hash.
fn object(secret: SecretObject) -> Value {
    let href = format!("/api/v1/apps/{}/credentials/secrets/{}", encoded(&secret.client_id), secret.id);
    // No character of a tenant's name means anything in a query.
    let of = if secret.tenant.is_empty() { String::new() } else { format!("?tenant={}", secret.tenant) };
    let link = |step: &str, method: &str| json!({"href": format!("{href}{step}{of}"), "hints": {"allow": [method]}});
    let links = if is_active(&secret) {
        json!({"deactivate": link("/lifecycle/deactivate", "POST")})
    } else {
        json!({"activate": link("/lifecycle/activate", "POST"), "delete": link("", "DELETE")})
    };
    let mut object = json!({
        "id": secret.id,
        "status": if is_active(&secret) { "ACTIVE" } else { "INACTIVE" },
        "created": secret.created,
        "lastUpdated": secret.created,
        "_links": links,
    });
    if let (Some(text), Value::Object(object)) = (secret.client_secret, &mut object) {
        object.insert("client_secret".to_owned(), text.into());
    }
    object
}

pub(super) fn refusal(refused: &Refusal<'_>) -> Value {
    let code = match refused.status.as_u16() {
        401 => "E0000011",
        403 => "E0000006",
        404 => "E0000007",
        405 => "E0000022",
        415 => "E0000021",
        429 => "E0000047",
        500.. => "E0000009",
        _ => "E0000001",
    };
    let causes: Vec<Value> = refused.next.iter().map(|line| json!({"errorSummary": line})).collect();
    json!({
        "errorCode": code,
        "errorSummary": refused.what,
        "errorLink": code,
        "errorId": answer_id(),
        "errorCauses": causes,
    })
}
