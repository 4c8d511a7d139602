//! What is refused, in the words of the provider whose path it is: status, body and headers as its SDKs read them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::Value;

use super::{auth0, hydra, login, okta};
use crate::admin::answer::Fault;
use crate::admin::ground::Ground;
use crate::domain::clock::Timestamp;

/// Stands around every route.
pub(in crate::admin) async fn told(State(ground): State<Arc<Ground>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    in_own_words(&path, response, ground.clock.now())
}

/// An answer as it is, or what it refuses in the words of the path's provider.
pub(in crate::admin) fn in_own_words(path: &str, mut response: Response, now: Timestamp) -> Response {
    let Some(fault) = response.extensions_mut().remove::<Fault>() else { return response };
    let body: fn(&Refusal<'_>) -> Value = match path {
        login::PATH => login::refusal,
        _ if path.starts_with(auth0::ALL) => auth0::refusal,
        _ if path.starts_with(okta::ALL) => okta::refusal,
        _ if path.starts_with(hydra::ALL) => hydra::refusal,
        _ => return response,
    };
    let refusal = Refusal::of(&fault);
    let mut told = (refusal.status, Json(body(&refusal))).into_response();
    let headers = told.headers_mut();
    // Which methods a path is for.
    headers.extend(response.headers().get(header::ALLOW).map(|allow| (header::ALLOW, allow.clone())));
    if let Some((name, value)) = fault.header.clone() {
        // Okta's SDKs know no other word of when to come again.
        let seconds = value.to_str().ok().and_then(|seconds| seconds.parse().ok());
        if let (true, Some(seconds)) = (path.starts_with(okta::ALL), seconds) {
            let reset = now.plus(Duration::from_secs(seconds)).millis() / 1000;
            headers.insert("x-rate-limit-limit", HeaderValue::from(1));
            headers.insert("x-rate-limit-remaining", HeaderValue::from(0));
            headers.insert("x-rate-limit-reset", HeaderValue::from(reset));
        }
        headers.insert(name, value);
    }
    told
}

/// A refusal on its way into a provider's words.
pub(super) struct Refusal<'f> {
    pub(super) status: StatusCode,
    /// Our word for it.
    pub(super) code: &'static str,
    /// What is the matter.
    pub(super) what: &'f str,
    /// That nothing was changed, and what to do next.
    pub(super) next: Vec<&'f str>,
}

impl<'f> Refusal<'f> {
    fn of(fault: &'f Fault) -> Self {
        let mut lines = fault.message.lines().map(str::trim);
        // A 409 is tried again by some of the SDKs, and a rule is no passing trouble.
        let status = if fault.status == StatusCode::CONFLICT { StatusCode::BAD_REQUEST } else { fault.status };
        Self { status, code: fault.code, what: lines.next().unwrap_or_default(), next: lines.collect() }
    }

    /// All of it in one line.
    pub(super) fn text(&self) -> String {
        let next = self.next.iter().map(|line| format!(" {line}"));
        format!("{}.{}", self.what.trim_end_matches('.'), next.collect::<String>())
    }
}
