//! `POST /oauth/token`: the login by which Auth0's SDKs want their own token. Its client id is the name of an admin token
//! and its client secret the token itself, which is also what it is given: nothing new comes into being.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::admin::answer::Fault;
use crate::admin::body::{is_json, parse};
use crate::config::tokens::Token;
use crate::domain::clock::Timestamp;

pub(in crate::admin) const PATH: &str = "/oauth/token";

/// Four short parameters.
const MOST_BODY: usize = 8 << 10;
const PATIENCE: Duration = Duration::from_secs(10);
/// A day, after which an SDK asks again and finds out what became of its token.
const LIFETIME: Duration = Duration::from_secs(86_400);

/// What is presented. Whatever else an SDK sends has no meaning here: the token's scopes are what they are.
#[derive(Deserialize)]
pub(in crate::admin) struct Login {
    grant_type: String,
    client_id: String,
    pub(in crate::admin) client_secret: Zeroizing<String>,
}

/// Whether a request is a login.
pub(in crate::admin) fn is_login<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST && request.uri().path() == PATH
}

impl Login {
    /// From a form, or from JSON.
    pub(in crate::admin) async fn read(request: Request<Body>) -> Result<Self, Fault> {
        let json = is_json(request.headers());
        let form =
            request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
                kind.split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        let body = Limited::new(request.into_body(), MOST_BODY).collect();
        let body = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => return Err(Fault::invalid("the body cannot be read, is too large or came too late".to_owned())),
        };
        let login: Self = match (json, form) {
            (Some(true), _) => parse(&body).map_err(Fault::invalid)?,
            (_, true) => serde_urlencoded::from_bytes(&body).map_err(|_| incomplete())?,
            _ => return Err(Fault::invalid("expected a form".to_owned())),
        };
        if login.grant_type != "client_credentials" {
            return Err(Fault::invalid("the only grant_type here is client_credentials".to_owned()));
        }
        Ok(login)
    }

    /// Whether the token that was presented is the one of that name.
    pub(in crate::admin) fn is_of(&self, token: &Token) -> bool {
        token.name.as_str() == self.client_id
    }

    /// The token again, as an answer of Auth0 gives it.
    pub(in crate::admin) fn granted(&self, token: &Token, now: Timestamp) -> Response {
        let left = token.expires.map_or(LIFETIME, |end| end.since(now).min(LIFETIME));
        let scope: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        Json(json!({
            "access_token": &*self.client_secret,
            "token_type": "Bearer",
            "expires_in": left.as_secs(),
            "scope": scope.join(" "),
        }))
        .into_response()
    }
}

fn incomplete() -> Fault {
    Fault::invalid("expected grant_type, client_id and client_secret, each of them once".to_owned())
}

pub(super) fn refusal(refused: &Refusal<'_>) -> Value {
    let error = match refused.status.as_u16() {
        401 => "access_denied",
        429 => "too_many_attempts",
        _ => "invalid_request",
    };
    json!({"error": error, "error_description": refused.text()})
}
