//! Auth0's Management API, as its SDKs call it: clients, and the rotation of their secrets.

mod listing;

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use self::listing::{APP_TYPES, Picked};
use super::deeds::given;
use super::refusal::Refusal;
use super::{About, known};
use crate::admin::answer::Fault;
use crate::admin::body::Body;
use crate::admin::caller::Caller;
use crate::admin::etag::{IfMatch, Tag, Tagged};
use crate::admin::ground::{Ground, View};
use crate::admin::named::{Ids, OfTenant};
use crate::admin::routes::text;
use crate::admin::wish::{ClientWish, Guard, Made, client_key, duration, no_random};
use crate::admin::words::Words;
use crate::config::settings::admin::Before;
use crate::config::tokens::Scope;
use crate::domain::ids::ClientKey;
use crate::domain::mint;
use crate::lifecycle::Action;
use crate::registry::Client;

pub(super) const ALL: &str = "/api/v2/";
pub(super) const CLIENTS: &str = "/api/v2/clients";
pub(super) const CLIENT: &str = "/api/v2/clients/{id}";
pub(super) const ROTATE: &str = "/api/v2/clients/{id}/rotate-secret";

pub(super) fn routes() -> Router<Arc<Ground>> {
    Router::new()
        .route(CLIENTS, get(listing::list).post(create))
        .route(CLIENT, get(show).patch(set).delete(remove))
        .route(ROTATE, post(rotate))
}

/// `GET /api/v2/clients/{id}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Showing {
    tenant: Option<String>,
    fields: Option<String>,
    include_fields: Option<bool>,
}

async fn show(
    State(ground): State<Arc<Ground>>,
    Ids { id, .. }: Ids,
    Words(Showing { tenant, fields, include_fields }): Words<Showing>,
) -> Result<Tagged<Value>, Fault> {
    let client = client_key(tenant.as_deref().unwrap_or_default(), &id)?;
    let list = ground.snapshot.load();
    let client = known(&list, &client)?;
    let picked = Picked { fields: fields.as_deref(), include: include_fields };
    Ok(Tagged(Tag::of_client(client), picked.of(object(client, None))))
}

/// `POST /api/v2/clients`. What is not known here is refused: nothing would hold to it. `app_type` and `grant_types` are
/// taken where they say what a client here is: one that has a secret.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClient {
    name: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    app_type: Option<String>,
    grant_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
}

impl NewClient {
    fn check(&self) -> Result<(), Fault> {
        let is = |text: &Option<String>, known: &[&str]| text.as_deref().is_none_or(|text| known.contains(&text));
        let why = if self.name.as_deref().unwrap_or_default().is_empty() {
            "name is missing"
        } else if !is(&self.app_type, &APP_TYPES) {
            "app_type: a client here has a secret: non_interactive or regular_web"
        } else if self.grant_types.iter().flatten().any(|grant| grant != "client_credentials") {
            "grant_types: which others a client may use is the token server's own to say"
        } else if !is(&self.token_endpoint_auth_method, &["client_secret_post", "client_secret_basic"]) {
            "token_endpoint_auth_method: client_secret_post and client_secret_basic are there, each for every client"
        } else {
            return Ok(());
        };
        Err(Fault::invalid(format!("{why}\n  Nothing was changed.")))
    }
}

async fn create(
    State(ground): State<Arc<Ground>>,
    Words(asked): Words<OfTenant>,
    Body(new): Body<NewClient>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    new.check()?;
    let wish = ClientWish {
        id: new.client_id.map_or_else(client_id, Ok)?,
        name: new.name.unwrap_or_default(),
        ..ClientWish::default()
    };
    let about =
        About { client: wish.key(asked.tenant.as_deref())?, guard: Guard::default(), if_match: IfMatch::Absent };
    let Made { secret, plain, .. } = ground.make(&given(new.client_secret), ground.clock.now()).await?;
    let add = |_: &View| Ok(Action::AddClient(wish.new_client(about.client.clone(), vec![secret])));
    ground.wish(&about, add).await?;
    let plain = plain.as_ref().and_then(text);
    Ok((StatusCode::CREATED, Json(client_object(&ground, &about.client, plain)?)))
}

fn client_id() -> Result<String, Fault> {
    let mut failed = false;
    let id = mint::client_id(|bytes| failed |= getrandom::fill(bytes).is_err());
    if failed { Err(no_random()) } else { Ok(id) }
}

/// `PATCH /api/v2/clients/{id}`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    client_secret: Option<Zeroizing<String>>,
}

async fn set(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    about: About,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Fault> {
    if patch.client_secret.is_some() && !caller.may(Scope::UpdateClientKeys) {
        return Err(Fault::forbidden(Scope::UpdateClientKeys));
    }
    let list = ground.snapshot.load();
    let shown = shown_name(known(&list, &about.client)?);
    if patch.name.is_some_and(|name| name != shown) {
        let why = "the name of a client is not changed here: it stands in the list";
        return Err(Fault::invalid(format!("{why}\n  Nothing was changed.")));
    }
    if let Some(text) = patch.client_secret {
        let grace = grace(&ground).map(|text| duration("grace", &text)).transpose()?;
        ground.take(&about, text, grace).await?;
    }
    Ok(Json(client_object(&ground, &about.client, None)?))
}

async fn remove(State(ground): State<Arc<Ground>>, about: About) -> Result<StatusCode, Fault> {
    ground.wish(&about, |_| Ok(Action::RemoveClient)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    about: About,
) -> Result<Json<Value>, Fault> {
    let made = ground.renew(&caller, &about, grace(&ground), false).await?;
    Ok(Json(client_object(&ground, &about.client, made.client_secret)?))
}

/// What becomes of the secrets before.
fn grace(ground: &Ground) -> Option<String> {
    match ground.settings.admin.auth0_rotate {
        Before::Keep => None,
        Before::End => Some("0s".to_owned()),
    }
}

fn client_object(ground: &Ground, client: &ClientKey, secret: Option<String>) -> Result<Value, Fault> {
    Ok(Value::Object(object(known(&ground.snapshot.load(), client)?, secret)))
}

/// A client as Auth0 shows it; its secret only in the answer that made it.
fn object(client: &Client, secret: Option<String>) -> Map<String, Value> {
    let mut object = Map::new();
    let mut say = |key: &str, value: Value| object.insert(key.to_owned(), value);
    if !client.key.tenant.as_str().is_empty() {
        say("tenant", client.key.tenant.as_str().into());
    }
    say("client_id", client.key.id.as_str().into());
    say("name", shown_name(client).into());
    say("global", false.into());
    if let Some(secret) = secret {
        say("client_secret", secret.into());
    }
    object
}

/// Every client has a name there.
fn shown_name(client: &Client) -> &str {
    if client.name.is_empty() { client.key.id.as_str() } else { &client.name }
}

pub(super) fn refusal(refused: &Refusal<'_>) -> Value {
    let code = match refused.code {
        "no_such_client" => "inexistent_client",
        "invalid" => "invalid_body",
        "unauthorized" => "invalid_token",
        "forbidden" => "insufficient_scope",
        "throttled" => "too_many_requests",
        code => code,
    };
    json!({
        "statusCode": refused.status.as_u16(),
        "error": refused.status.canonical_reason().unwrap_or_default(),
        "message": refused.text(),
        "errorCode": code,
    })
}
