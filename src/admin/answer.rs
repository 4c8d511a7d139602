//! Why a request to the admin API is not done, and the one map from that to HTTP answers.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::tokens::Scope;
use crate::lifecycle::Refused;

/// What an answer that refuses says.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct FaultObject {
    /// One word for programs.
    pub error: String,
    /// What happened, what was not changed, what to do next.
    pub message: String,
    /// The exit code that a command ends with.
    pub exit: u8,
}

/// Why something is not done.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    exit: u8,
    /// What the answer says beside its body.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

/// Exit codes of the commands: done is 0.
pub const FAILED: u8 = 1;
/// The command was not understood.
pub const USAGE: u8 = 2;
/// A rule protects something; nothing was changed.
pub const REFUSED: u8 = 3;
/// What was named is not there.
pub const NOT_FOUND: u8 = 4;

impl Fault {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>, exit: u8) -> Self {
        Self { status, code, message: message.into(), exit, header: None }
    }

    /// The request makes no sense.
    pub fn invalid(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message, USAGE)
    }

    /// It could not be done.
    pub fn failed(message: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message, FAILED)
    }

    /// It could not be done, and the same request may succeed later or elsewhere.
    pub fn conflict(code: &'static str, message: String) -> Self {
        Self::new(StatusCode::CONFLICT, code, message, FAILED)
    }

    /// A rule stands against it.
    pub fn refused(code: &'static str, message: String) -> Self {
        Self::new(StatusCode::CONFLICT, code, message, REFUSED)
    }

    /// What was named is not there.
    pub fn not_found(message: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, NOT_FOUND)
    }

    /// What was to be changed is not as the caller saw it any more.
    pub(super) fn stale() -> Self {
        let message = "it is not as If-Match says: it was changed since, or that is not its ETag with the quotes\n  Nothing \
                       was changed. Read it again, decide anew, and send the ETag of that answer.";
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", message, REFUSED)
    }

    /// HTTP has a word of its own for what is wrong with the request.
    pub(super) fn of_http(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self::new(status, code, message, USAGE)
    }

    /// The path is there, and not for this method: which are is told beside it.
    pub(super) fn of_method() -> Self {
        let message = "that path is not for this method\n  Nothing was changed. Allow names those it is for.";
        Self::of_http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// The body is larger than a request has reason to be.
    pub(super) fn too_large() -> Self {
        let message = "the body is larger than the admin API takes\n  Nothing was changed.";
        Self::of_http(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// No token that is known. One answer for every reason why.
    pub(super) fn unauthorized() -> Self {
        let message = "the token is missing, not known, or its time is over\n  Nothing was changed. Beside the instance, \
                       `relatch token list` shows which it knows and `relatch token add NAME --scope SCOPE` makes \
                       another: give it with --token-file.";
        let asked = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Self { header: Some(asked), ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message, FAILED) }
    }

    /// In place of that, to who goes on trying.
    pub(super) fn too_many(seconds: u32) -> Self {
        let message = format!(
            "too many tokens from this address were refused\n  Nothing was changed. Try again in {seconds} s, with a \
             token that the instance knows."
        );
        let after = (header::RETRY_AFTER, HeaderValue::from(seconds));
        Self { header: Some(after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", message, FAILED) }
    }

    /// The token is known, and not for this.
    pub(super) fn forbidden(scope: Scope) -> Self {
        let message = format!(
            "the token lacks the scope {scope}\n  Nothing was changed. Use one that has it: beside the instance, \
             `relatch token list` shows them and `relatch token add NAME --scope {scope}` makes one."
        );
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, FAILED)
    }

    /// It came from a page in a browser.
    pub(super) fn of_a_page() -> Self {
        let message = "the admin API is not for pages in a browser\n  Nothing was changed.";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, FAILED)
    }

    /// It is meant for another host.
    pub(super) fn misdirected() -> Self {
        let message = "the Host of the request is not one of this instance\n  Nothing was changed. Call it by its address, \
                       or add the name to [admin] allowed_hosts.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", message, FAILED)
    }

    /// As JSON.
    pub fn object(&self) -> FaultObject {
        FaultObject { error: self.code.to_owned(), message: self.message.clone(), exit: self.exit }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let (status, exit) = match refused {
            Refused::NoClient(_) | Refused::NoSecret { .. } => (StatusCode::NOT_FOUND, NOT_FOUND),
            Refused::Invalid(_) => (StatusCode::BAD_REQUEST, USAGE),
            Refused::ClientExists(_)
            | Refused::AtLimit { .. }
            | Refused::LastUsable { .. }
            | Refused::RecentlyUsed { .. }
            | Refused::NotObserved { .. }
            | Refused::UseUnknown { .. }
            | Refused::Revoked(_)
            | Refused::Expired(_)
            | Refused::NotActive(..)
            | Refused::SameSecret(_) => (StatusCode::CONFLICT, REFUSED),
        };
        Self::new(status, refused.code(), refused.to_string(), exit)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.object())).into_response();
        if let Some((name, value)) = self.header.clone() {
            response.headers_mut().insert(name, value);
        }
        // Where the path is of another shape, it is told in that.
        response.extensions_mut().insert(self);
        response
    }
}
