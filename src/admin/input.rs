//! What a request brings beside its path, read to the last key: one that is not known here may be a misspelt one, and what
//! it was to say would be left out, the tenant of the client that is meant among it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Fault;

/// A JSON body that may be left out; what is wrong with one is told without quoting it.
pub(super) struct Body<T>(pub(super) T);

/// The query. What it is read as denies unknown keys.
pub(super) struct Words<T>(pub(super) T);

/// Where nothing is asked in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let empty = http_body::Body::is_end_stream(request.body());
        if empty {
            return Ok(Self(T::default()));
        }
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Fault::invalid("expected Content-Type: application/json".to_owned()))
            }
            Err(JsonRejection::JsonDataError(error)) => Err(unquoted("body", &error.body_text())),
            Err(_) => Err(Fault::invalid("the body is not valid JSON, or too large".to_owned())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Words<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(words)| Self(words)).map_err(|error| unquoted("query", &error.body_text()))
    }
}

/// The library's message as far as it names keys and not values.
fn unquoted(part: &str, message: &str) -> Fault {
    let named = |what: &str| message.split(what).nth(1).and_then(|rest| rest.split('`').next());
    let why = match (named("unknown field `"), named("duplicate field `")) {
        (Some(key), _) => format!("the {part} has a key that is not known here: {key}"),
        (None, Some(key)) => format!("the {part} has a key twice: {key}"),
        (None, None) => format!("a key of the {part} has a value of the wrong kind"),
    };
    Fault::invalid(format!("{why}\n  Nothing was changed."))
}
