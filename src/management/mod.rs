//! A provider's management API over HTTP: one request a connection, bounded in time and size, no redirect followed. What is
//! asked and what it means is told by [`crate::provider`].

pub mod base;
pub mod link;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use zeroize::Zeroizing;

use self::base::Base;
use self::link::{Answer, Link, Undelivered};
use crate::domain::secret::Secret;
use crate::provider::steps::Came;
use crate::provider::{Ask, FarSecret, Provider};

/// The management API, for one application of a provider.
pub struct Api {
    /// Whose it is.
    pub provider: Provider,
    link: Link,
    app: String,
    authorization: Option<HeaderValue>,
}

/// What came of asking.
pub enum Told {
    /// A success, with its body.
    Yes(Zeroizing<Vec<u8>>),
    /// An answer that is none, and why in the provider's words.
    No(StatusCode, Option<Duration>, String),
    /// No answer.
    Nothing(Undelivered),
}

/// Words of a provider that are passed on; more is no message.
const MOST_WORDS: usize = 300;

impl Api {
    /// `token` is sent as a bearer token, unless it names its scheme itself (`SSWS ...`, as Okta's own tokens do).
    pub fn new(provider: Provider, link: Link, app: String, token: Option<&Secret>) -> Option<Self> {
        let value = |token: &Secret| {
            let scheme: &[u8] = if token.expose().contains(&b' ') { b"" } else { b"Bearer " };
            let mut value = HeaderValue::from_bytes(&Zeroizing::new([scheme, token.expose()].concat())).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let authorization = match token {
            Some(token) => Some(value(token)?),
            None => None,
        };
        Some(Self { provider, link, app, authorization })
    }

    /// Where it is.
    pub const fn base(&self) -> &Base {
        self.link.base()
    }

    /// Asks; nothing where the provider knows no such thing.
    pub async fn ask(&self, ask: Ask<'_>) -> Option<Told> {
        let call = self.provider.call(&self.app, ask)?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = call.method;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(self.authorization.clone().map(|value| (header::AUTHORIZATION, value)));
        if let Some(body) = call.body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Bytes::from_static(body.as_bytes());
        }
        Some(match self.link.send(&call.path, request).await {
            Ok(answer) => self.told(answer),
            Err(why) => Told::Nothing(why),
        })
    }

    fn told(&self, answer: Answer) -> Told {
        if answer.status.is_success() {
            return Told::Yes(answer.body);
        }
        let words = self.provider.complaint(&answer.body);
        // What we sent is not said again.
        let ours = self.authorization.as_ref().and_then(|value| value.to_str().ok()?.split(' ').next_back());
        let words = if ours.is_some_and(|token| words.contains(token)) { String::new() } else { words };
        let words = words.chars().take(MOST_WORDS).collect();
        Told::No(answer.status, answer.retry_after, words)
    }
}

impl Told {
    /// What it means for a request to make a secret, and the secret.
    pub fn of_making(&self, provider: Provider) -> (Came, Option<FarSecret>) {
        match self {
            Self::Yes(body) => match provider.made(body) {
                Some(made) => (Came::Made, Some(made)),
                None => (Came::Lost, None),
            },
            Self::No(StatusCode::TOO_MANY_REQUESTS, wait, _) => (Came::Busy(*wait), None),
            // A gateway gave up on it, and it may still be under way; the provider itself has ended it with its failure.
            Self::No(StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY | StatusCode::REQUEST_TIMEOUT, ..) => {
                (Came::Lost, None)
            }
            Self::No(status, ..) if status.is_server_error() => (Came::Failed, None),
            Self::No(..) => (Came::Refused, None),
            Self::Nothing(Undelivered::Unsent(_)) => (Came::Unsent, None),
            Self::Nothing(Undelivered::Lost(_)) => (Came::Lost, None),
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Yes(_) => f.write_str("an answer that cannot be read"),
            Self::No(status, _, words) if words.is_empty() => write!(f, "{status}"),
            Self::No(status, _, words) => write!(f, "{status}: {words}"),
            Self::Nothing(why) => why.fmt(f),
        }
    }
}
