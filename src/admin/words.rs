//! The query of a request, read to the last key: one that is not known here may be a misspelt one, and what it was to say
//! would be left out, the tenant of the client that is meant among it.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Fault;

/// The query. What it is read as denies unknown keys.
pub(super) struct Words<T>(pub(super) T);

/// Where nothing is asked in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Words<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(words)| Self(words)).map_err(|error| unquoted(&error.body_text()))
    }
}

/// The library's message as far as it names keys and not values.
fn unquoted(message: &str) -> Fault {
    let named = |what: &str| message.split(what).nth(1).and_then(|rest| rest.split('`').next());
    let why = match (named("unknown field `"), named("duplicate field `")) {
        (Some(key), _) => format!("the query has a key that is not known here: {key}"),
        (None, Some(key)) => format!("the query has a key twice: {key}"),
        (None, None) => "a key of the query has a value of the wrong kind".to_owned(),
    };
    Fault::invalid(format!("{why}\n  Nothing was changed."))
}
