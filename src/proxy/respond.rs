//! The last step: the one map from refusals and faults to HTTP answers (RFC 6749 section 5.2), and the relay of the
//! upstream's answer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::report::Notes;
use crate::domain::oauth::Refusal;
use crate::net::conn::{Conn, Phase};
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, AnswerBody, Coming};

/// Why there is no answer of the upstream to give: the caller's fault, or the upstream's.
pub enum Failure {
    /// The caller's.
    Refused(Refusal),
    /// The upstream's.
    Upstream(UpstreamError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// The body of an answer.
pub enum Reply {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It comes from the upstream.
    Coming(Box<Coming>, Rc<Conn>),
}

/// Turns what came of a request into its answer.
pub fn respond(answer: Result<Answer, Failure>, conn: &Rc<Conn>, notes: &mut Notes) -> Response<Reply> {
    let response = match answer {
        Ok(answer) => return relay(answer, conn),
        Err(Failure::Refused(refusal)) => refuse(refusal),
        Err(Failure::Upstream(error)) => {
            notes.upstream_error = Some(error);
            fault(error)
        }
    };
    conn.enter(Phase::Idle);
    response
}

/// Passes the upstream's answer on: status, fields and body as they are.
fn relay(answer: Answer, conn: &Rc<Conn>) -> Response<Reply> {
    let body = match answer.body {
        AnswerBody::Whole(body) => {
            conn.enter(Phase::Idle);
            Reply::Whole(Some(body))
        }
        AnswerBody::Coming(coming) => Reply::Coming(coming, conn.clone()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// What each refusal says. The same words for every reason behind it.
fn refuse(refusal: Refusal) -> Response<Reply> {
    const INVALID_REQUEST: &str = r#"{"error":"invalid_request","error_description":"the request is malformed or can be read in more than one way"}"#;
    let (status, body) = match refusal {
        Refusal::InvalidClient => (
            StatusCode::UNAUTHORIZED,
            r#"{"error":"invalid_client","error_description":"client authentication failed"}"#,
        ),
        Refusal::InvalidRequest | Refusal::BadFraming => (StatusCode::BAD_REQUEST, INVALID_REQUEST),
        Refusal::Throttled(_) => (StatusCode::TOO_MANY_REQUESTS, UNAVAILABLE),
        Refusal::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE),
        Refusal::NotFound => (StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#),
        Refusal::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"method_not_allowed"}"#),
        Refusal::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST),
        Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST),
        Refusal::UnsupportedEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST),
        Refusal::ExpectationFailed => (StatusCode::EXPECTATION_FAILED, INVALID_REQUEST),
        Refusal::Misdirected => (StatusCode::MISDIRECTED_REQUEST, r#"{"error":"misdirected_request"}"#),
    };
    let mut response = json(status, body);
    let headers = response.headers_mut();
    match refusal {
        Refusal::InvalidClient => {
            let challenge = HeaderValue::from_static("Basic realm=\"relatch\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        Refusal::Throttled(seconds) | Refusal::Busy(seconds) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Refusal::MethodNotAllowed => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            close_after(&mut response);
        }
        Refusal::BadFraming | Refusal::BodyTimeout | Refusal::TooLarge => close_after(&mut response),
        _ => {}
    }
    response
}

/// Our own word, not one of RFC 6749: the request may be right and should be tried again.
const UNAVAILABLE: &str = r#"{"error":"temporarily_unavailable"}"#;

fn fault(error: UpstreamError) -> Response<Reply> {
    if error == UpstreamError::NoMetadata {
        let body =
            r#"{"error":"server_error","error_description":"the authorization server's metadata cannot be read"}"#;
        return json(error.status(), body);
    }
    let (UpstreamError::CredentialsRejected(seconds) | UpstreamError::CredentialsResting(seconds)) = error else {
        return json(error.status(), UNAVAILABLE);
    };
    let body = r#"{"error":"server_error","error_description":"the token server refused the credentials that relatch holds for this client"}"#;
    let mut response = json(error.status(), body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn json(status: StatusCode, body: &'static str) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Some(Bytes::from_static(body.as_bytes()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Makes an answer its connection's last.
pub fn close_after(response: &mut Response<Reply>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

impl Body for Reply {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut *self {
            Self::Whole(body) => {
                Poll::Ready(body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))))
            }
            Self::Coming(coming, conn) => {
                let polled = Pin::new(&mut **coming).poll_frame(cx);
                // Who knows the length asks no further after the last piece; who does not is told of the end alone.
                if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && coming.is_end_stream()) {
                    conn.enter(Phase::Idle);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Self::Coming(coming, _) => coming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Coming(coming, _) => coming.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_an_oauth_error_that_is_not_stored() {
        for (refusal, status) in [
            (Refusal::InvalidClient, 401),
            (Refusal::InvalidRequest, 400),
            (Refusal::BadFraming, 400),
            (Refusal::Throttled(7), 429),
            (Refusal::Busy(2), 503),
            (Refusal::NotFound, 404),
            (Refusal::MethodNotAllowed, 405),
            (Refusal::BodyTimeout, 408),
            (Refusal::TooLarge, 413),
            (Refusal::UnsupportedEncoding, 415),
            (Refusal::ExpectationFailed, 417),
            (Refusal::Misdirected, 421),
        ] {
            let response = refuse(refusal);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(response.headers()["pragma"], "no-cache");
            assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
            assert_eq!(response.headers().contains_key("retry-after"), [429, 503].contains(&status));
            let Reply::Whole(Some(body)) = response.into_body() else { panic!() };
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let text = body.as_object().unwrap().values().map(|v| v.as_str().unwrap()).collect::<String>();
            assert!(text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
        }
    }
}
