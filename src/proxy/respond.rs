//! The last step: the one map from refusals and faults to HTTP answers (RFC 6749 section 5.2), and the relay of the
//! upstream's answer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use super::report::Notes;
use crate::domain::oauth::Refusal;
use crate::message::fields::Value;
use crate::message::name::Name;
use crate::net::conn::{Conn, Phase};
use crate::net::service::Answer;
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{self, AnswerBody, Coming};

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
pub fn respond(answer: Result<exchange::Answer, Failure>, conn: &Rc<Conn>, notes: &mut Notes) -> Answer<Reply> {
    let answer = match answer {
        Ok(answer) => return relay(answer, conn),
        Err(Failure::Refused(refusal)) => refuse(refusal),
        Err(Failure::Upstream(error)) => {
            notes.upstream_error = Some(error);
            fault(error)
        }
    };
    conn.enter(Phase::Idle);
    answer
}

/// Passes the upstream's answer on: status, fields and body as they are.
fn relay(answer: exchange::Answer, conn: &Rc<Conn>) -> Answer<Reply> {
    let body = match answer.body {
        AnswerBody::Whole(body) => {
            conn.enter(Phase::Idle);
            Reply::Whole(Some(body))
        }
        AnswerBody::Coming(coming) => Reply::Coming(coming, conn.clone()),
    };
    Answer { status: answer.status, fields: answer.fields, body, closes: false }
}

/// What each refusal says. The same words for every reason behind it.
fn refuse(refusal: Refusal) -> Answer<Reply> {
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
    let mut answer = json(status, body);
    match refusal {
        Refusal::InvalidClient => say(&mut answer, Name::WwwAuthenticate, "Basic realm=\"relatch\", charset=\"UTF-8\""),
        Refusal::Throttled(seconds) | Refusal::Busy(seconds) => {
            say(&mut answer, Name::RetryAfter, itoa::Buffer::new().format(seconds));
        }
        Refusal::MethodNotAllowed => {
            say(&mut answer, Name::Allow, "POST");
            answer.closes = true;
        }
        Refusal::BadFraming | Refusal::BodyTimeout | Refusal::TooLarge => answer.closes = true,
        _ => {}
    }
    answer
}

/// Our own word, not one of RFC 6749: the request may be right and should be tried again.
const UNAVAILABLE: &str = r#"{"error":"temporarily_unavailable"}"#;

fn fault(error: UpstreamError) -> Answer<Reply> {
    if error == UpstreamError::NoMetadata {
        let body =
            r#"{"error":"server_error","error_description":"the authorization server's metadata cannot be read"}"#;
        return json(error.status(), body);
    }
    let (UpstreamError::CredentialsRejected(seconds) | UpstreamError::CredentialsResting(seconds)) = error else {
        return json(error.status(), UNAVAILABLE);
    };
    let body = r#"{"error":"server_error","error_description":"the token server refused the credentials that relatch holds for this client"}"#;
    let mut answer = json(error.status(), body);
    say(&mut answer, Name::RetryAfter, itoa::Buffer::new().format(seconds));
    answer
}

fn json(status: StatusCode, body: &'static str) -> Answer<Reply> {
    let fields =
        [(Name::ContentType, "application/json"), (Name::CacheControl, "no-store"), (Name::Pragma, "no-cache")];
    let fields = fields.iter().filter_map(|(name, text)| Some((*name, Value::of(text.as_bytes())?)));
    let body = Reply::Whole(Some(Bytes::from_static(body.as_bytes())));
    Answer { status, fields: fields.collect(), body, closes: false }
}

fn say(answer: &mut Answer<Reply>, name: Name, text: &str) {
    answer.fields.extend(Value::of(text.as_bytes()).map(|value| (name, value)));
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
            let answer = refuse(refusal);
            assert_eq!(answer.status, status);
            let said = |name| answer.fields.get(name).and_then(Value::text);
            assert_eq!(said(Name::CacheControl), Some("no-store"));
            assert_eq!(said(Name::Pragma), Some("no-cache"));
            assert_eq!(said(Name::WwwAuthenticate).is_some(), status == 401);
            assert_eq!(said(Name::RetryAfter).is_some(), [429, 503].contains(&status));
            let Reply::Whole(Some(body)) = answer.body else { panic!() };
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let text = body.as_object().unwrap().values().map(|v| v.as_str().unwrap()).collect::<String>();
            assert!(text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
        }
    }
}
