//! A form that was sent: of one of our own pages, in a session that may do it, and with what only the forms of that session
//! carry.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::session::Visit;
use super::sorry::Sorry;
use crate::admin::answer::Fault;

/// The fields of a form, in a session.
pub(super) struct Posted<T>(pub(super) T);

/// The fields of a form, where there is no session yet.
pub(super) struct Unsigned<T>(pub(super) T);

/// A form is small and comes whole.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Signature {
    csrf: String,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Posted<T> {
    type Rejection = Sorry;

    async fn from_request(request: Request, _: &S) -> Result<Self, Sorry> {
        let visit = request.extensions().get::<Visit>().cloned().ok_or_else(Fault::no_session)?;
        let body = read(request).await?;
        let signed = serde_urlencoded::from_bytes::<Signature>(&body);
        if !signed.is_ok_and(|Signature { csrf }| visit.has_sent(&csrf)) {
            return Err(Fault::of_another_page().into());
        }
        Ok(Self(parsed(&body)?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Unsigned<T> {
    type Rejection = Sorry;

    async fn from_request(request: Request, _: &S) -> Result<Self, Sorry> {
        Ok(Self(parsed(&read(request).await?)?))
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_urlencoded::from_bytes(body)
        .map_err(|_| Fault::invalid("the form cannot be read\n  Nothing was changed.".to_owned()))
}

async fn read(request: Request) -> Result<Bytes, Fault> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let message = "expected a form of the page\n  Nothing was changed.";
        return Err(Fault::of_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    match tokio::time::timeout(PATIENCE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Fault::too_large()),
        Ok(Err(_)) => Err(Fault::invalid("the form cannot be read\n  Nothing was changed.".to_owned())),
        Err(_) => {
            let message = "the form did not arrive in time\n  Nothing was changed.";
            Err(Fault::of_http(StatusCode::REQUEST_TIMEOUT, "timeout", message))
        }
    }
}
