//! What the address of a page asks for, behind its question mark.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::sorry::Sorry;
use crate::admin::answer::Fault;

/// The members of the query. Where they cannot be read, the answer is a page too.
pub(super) struct Queried<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Queried<T> {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Sorry> {
        let unread = |_| Fault::invalid("the address of this page cannot be read\n  Nothing was changed.".to_owned());
        Ok(Self(Query::try_from_uri(&parts.uri).map_err(unread)?.0))
    }
}
