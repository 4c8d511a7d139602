//! Why a request to the admin API is not done, and the one map from that to HTTP answers.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::lifecycle::Refused;

/// What an answer that refuses says.
#[derive(Debug, Deserialize, Serialize)]
pub struct FaultObject {
    /// One word for programs.
    pub error: String,
    /// What happened, what was not changed, what to do next.
    pub message: String,
    /// The exit code that a command ends with.
    pub exit: u8,
}

/// Why something is not done.
#[derive(Debug)]
pub struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    exit: u8,
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
    /// The request makes no sense.
    pub fn invalid(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid", message, exit: USAGE }
    }

    /// It could not be done.
    pub fn failed(message: String) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "failed", message, exit: FAILED }
    }

    /// It could not be done, and the same request may succeed later or elsewhere.
    pub fn conflict(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::CONFLICT, code, message, exit: FAILED }
    }

    /// A rule stands against it.
    pub fn refused(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::CONFLICT, code, message, exit: REFUSED }
    }

    /// What was named is not there.
    pub fn not_found(message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "not_found", message, exit: NOT_FOUND }
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
        Self { status, code: refused.code(), message: refused.to_string(), exit }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(self.object())).into_response()
    }
}
