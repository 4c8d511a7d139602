//! The rotation of a client's secret as Ory Hydra's SDKs call it.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{About, answer_id, known};
use crate::admin::answer::Fault;
use crate::admin::caller::Caller;
use crate::admin::etag::{Tag, Tagged};
use crate::admin::ground::Ground;
use crate::domain::ids::ClientKey;
use crate::lifecycle::Action;

pub(super) const ALL: &str = "/admin/";
pub(super) const CLIENT: &str = "/admin/clients/{id}";
pub(super) const ROTATE: &str = "/admin/clients/{id}/secrets/rotate";

pub(super) fn routes() -> Router<Arc<Ground>> {
    Router::new().route(CLIENT, get(show)).route(ROTATE, post(rotate).delete(finish))
}

async fn show(State(ground): State<Arc<Ground>>, About { client, .. }: About) -> Result<Tagged<Value>, Fault> {
    let tag = Tag::of_client(known(&ground.snapshot.load(), &client)?);
    let Json(object) = object(&ground, &client, None)?;
    Ok(Tagged(tag, object))
}

async fn rotate(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    about: About,
) -> Result<Json<Value>, Fault> {
    let made = ground.renew(&caller, &about, None, false).await?;
    object(&ground, &about.client, made.client_secret)
}

/// The newest secret stays, the others are revoked, all of them or none.
async fn finish(State(ground): State<Arc<Ground>>, about: About) -> Result<Json<Value>, Fault> {
    ground.wish(&about, |_| Ok(Action::RevokePrevious)).await?;
    object(&ground, &about.client, None)
}

/// A client as Hydra shows it; its secret only in the answer that made it.
fn object(ground: &Ground, client: &ClientKey, secret: Option<String>) -> Result<Json<Value>, Fault> {
    let list = ground.snapshot.load();
    let client = known(&list, client)?;
    let mut object = json!({
        "client_id": client.key.id.as_str(),
        "client_name": &*client.name,
        "client_secret_expires_at": 0,
    });
    if let (Some(secret), Value::Object(object)) = (secret, &mut object) {
        object.insert("client_secret".to_owned(), secret.into());
    }
    Ok(Json(object))
}

pub(super) fn refusal(refused: &Refusal<'_>) -> Value {
    let error = match refused.status.as_u16() {
        401 => "request_unauthorized",
        403 => "request_forbidden",
        404 => "not_found",
        429 => "temporarily_unavailable",
        500.. => "server_error",
        _ => "invalid_request",
    };
    json!({
        "error": error,
        "error_description": refused.what,
        "error_hint": refused.next.join(" "),
        "status_code": refused.status.as_u16(),
        "request_id": answer_id(),
    })
}
