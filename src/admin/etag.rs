//! Which state of a client or of the list a caller saw, and whether it is still that one when it wants a change.
//!
//! There is one tag a client, for itself, its secrets and each of them: the rules look at all of them together. It stands
//! for what is configured and not for what is counted, or every use of a secret would outdate what a person decided on.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use sha2::Digest as _;

use super::answer::Fault;
use super::ground::View;
use crate::domain::ids::ClientKey;
use crate::lifecycle::Refused;
use crate::registry::{Client, Record, Snapshot};

/// An entity tag (RFC 9110 section 8.8.3), without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

/// 96 bits tell any two states of a client apart.
const BYTES: usize = 12;

impl Tag {
    /// Of a client as it is configured.
    pub(super) fn of_client(client: &Client) -> Self {
        // A record whose hash is changed is another one, and observed anew: that tells of it without giving anything away
        // that the hash of a weak secret could be guessed by.
        let record = |record: &Record| {
            let times = [record.not_before, record.expires, record.refused_until()].map(|at| at.millis());
            let made = [record.created(), record.revoked_at()].map(|at| at.map(|at| at.millis()));
            let words = (record.id.as_str(), record.name(), &record.hint, record.status as u8, record.revoked_reason());
            json!([words, times, made, record.uses.tracking_since().millis()])
        };
        let upstream = client.upstream.as_ref().map(|upstream| {
            let words = (upstream.id.as_str(), upstream.method as u8, upstream.basic_encoding as u8);
            json!([words, upstream.secrets.len()])
        });
        let (tenant, id) = (client.key.tenant.as_str(), client.key.id.as_str());
        let records: Vec<_> = client.records().iter().map(record).collect();
        Self::over(
            &json!([tenant, id, &*client.name, client.enabled, client.max_active, upstream, records]).to_string(),
        )
    }

    /// Of the whole list.
    pub(super) fn of_list(list: &Snapshot) -> Self {
        Self(format!("{:012x}", list.hash))
    }

    /// Of a text.
    pub(super) fn over(text: &str) -> Self {
        let digest = sha2::Sha256::digest(text);
        Self(URL_SAFE_NO_PAD.encode(digest.get(..BYTES).unwrap_or_default()))
    }

    /// Of one client of a view.
    pub(super) fn of(view: &View, client: &ClientKey) -> Result<Self, Fault> {
        let found = view.snapshot.client(client).ok_or_else(|| Refused::NoClient(client.clone()))?;
        Ok(Self::of_client(found))
    }

    fn header(&self) -> HeaderValue {
        // Of base64url or hexadecimal digits, which are never refused.
        HeaderValue::from_str(&format!("\"{}\"", self.0)).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// What is shown, with its tag.
pub(super) struct Tagged<T>(pub(super) Tag, pub(super) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.0.header())], Json(self.1)).into_response()
    }
}

/// `If-Match`: the states in which a change is still wanted. Without it a change is wanted whatever the state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    Absent,
    Any,
    Of(Vec<Tag>),
}

impl IfMatch {
    /// Whether the change is still wanted.
    pub(super) fn holds(&self, tag: &Tag) -> Result<(), Fault> {
        match self {
            Self::Of(tags) if !tags.contains(tag) => Err(Fault::stale()),
            Self::Absent | Self::Any | Self::Of(_) => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(read(&parts.headers, &header::IF_MATCH))
    }
}

/// An answer that never changes while the instance runs, or 304 to who has it already. What shows uses has no such
/// answer: its tag stays while they move.
pub(super) fn unless_known(method: &Method, headers: &HeaderMap, tag: &Tag, body: impl IntoResponse) -> Response {
    let known = match read(headers, &header::IF_NONE_MATCH) {
        IfMatch::Of(tags) => tags.contains(tag),
        IfMatch::Any => true,
        IfMatch::Absent => false,
    };
    let tag = [(header::ETAG, tag.header())];
    match known && (method == Method::GET || method == Method::HEAD) {
        true => (StatusCode::NOT_MODIFIED, tag).into_response(),
        false => (tag, body).into_response(),
    }
}

/// `*`, or a list of tags. A weak one, and whatever is none, is read as nothing that any state has.
fn read(headers: &HeaderMap, name: &HeaderName) -> IfMatch {
    let mut tags = Vec::new();
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return IfMatch::Absent;
    }
    for line in lines {
        let line = line.to_str().unwrap_or_default().trim_matches([' ', '\t']);
        if line == "*" {
            return IfMatch::Any;
        }
        // What stands between two quotes is a tag; weak where what stands before them ends so.
        let parts: Vec<&str> = line.split('"').collect();
        let quoted = parts.split_last().map_or(&[][..], |(_, before)| before);
        let strong = |pair: &&[&str]| matches!(pair, [before, _] if before.trim_matches([' ', '\t', ',']).is_empty());
        let pairs = quoted.chunks_exact(2).filter(strong);
        tags.extend(pairs.filter_map(|pair| pair.last()).map(|&tag| Tag(tag.to_owned())));
    }
    IfMatch::Of(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_as_it_is_written_or_refused() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|line| {
                headers.append(header::IF_MATCH, HeaderValue::from_static(line));
            });
            read(&headers, &header::IF_MATCH)
        };
        let tags = |tags: &[&str]| IfMatch::Of(tags.iter().map(|&tag| Tag(tag.to_owned())).collect());
        for (lines, read) in [
            (&[][..], IfMatch::Absent),
            (&["*"], IfMatch::Any),
            (&["\"a\""], tags(&["a"])),
            (&["\"a\", \"b,c\" ,,\"\""], tags(&["a", "b,c", ""])),
            (&["\"a\"", "\"b\""], tags(&["a", "b"])),
            (&["W/\"a\""], tags(&[])),
            (&[""], tags(&[])),
            (&["W/\"a\", \"b\""], tags(&["b"])),
            (&["a"], tags(&[])),
            (&["\"a"], tags(&[])),
            (&["*, \"a\""], tags(&[])),
        ] {
            assert_eq!(of(lines), read, "{lines:?}");
        }
        let tag = Tag("a".to_owned());
        assert!(tags(&["b", "a"]).holds(&tag).is_ok() && IfMatch::Any.holds(&tag).is_ok());
        assert!(tags(&["b"]).holds(&tag).is_err() && tags(&[]).holds(&tag).is_err());
    }
}
