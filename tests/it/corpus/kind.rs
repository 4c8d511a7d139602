//! The words for answers: what each of them demands of a reply.
//!
//! `pass` is the upstream's answer. `E400` and `E401` are the refusals of RFC
//! 6749, `F400` a 400 of any form after which the connection is closed (or its
//! end at once). A number is that status, made by the proxy; `closed` is the end
//! without an answer.

use std::fmt;

use crate::support::http::Reply;

/// One allowed answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pass,
    InvalidRequest,
    InvalidClient,
    Framing,
    Closed,
    Status(u16),
}

impl fmt::Debug for Kind {
    /// The word of the corpus, which is what a report should say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::InvalidRequest => f.write_str("E400"),
            Self::InvalidClient => f.write_str("E401"),
            Self::Framing => f.write_str("F400"),
            Self::Closed => f.write_str("closed"),
            Self::Status(status) => write!(f, "{status}"),
        }
    }
}

impl Kind {
    /// Reads one word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pass" => Self::Pass,
            "E400" => Self::InvalidRequest,
            "E401" => Self::InvalidClient,
            "F400" => Self::Framing,
            "closed" => Self::Closed,
            number => Self::Status(number.parse().ok().filter(|n| (100..600).contains(n))?),
        })
    }

    /// The status it stands for.
    pub(super) fn status(self) -> Option<u16> {
        match self {
            Self::Pass => Some(200),
            Self::InvalidRequest | Self::Framing => Some(400),
            Self::InvalidClient => Some(401),
            Self::Status(status) => Some(status),
            Self::Closed => None,
        }
    }

    /// True if an end of the connection without an answer is as good.
    pub(super) fn allows_silent_end(self) -> bool {
        matches!(self, Self::Framing | Self::Closed)
    }

    /// True if nothing more may be said on the connection after it: whoever does
    /// not know where a request ends does not know where the next one begins.
    pub(super) fn ends_connection(self) -> bool {
        matches!(self, Self::Framing | Self::Closed | Self::Status(408 | 431 | 501 | 505))
    }

    /// How many requests the upstream sees for it.
    pub(super) fn deliveries(self) -> usize {
        usize::from(self == Self::Pass)
    }

    /// What `reply` lacks to be this kind of answer.
    pub(super) fn faults(self, reply: &Reply, error: Option<&str>) -> Vec<String> {
        let mut faults = Vec::new();
        if Some(reply.status) != self.status() {
            faults.push(format!("status {}, not as {self:?}", reply.status));
            return faults;
        }
        match self {
            Self::InvalidRequest => faults.extend(refusal(reply, error.or(Some("invalid_request")))),
            Self::InvalidClient => {
                faults.extend(refusal(reply, error.or(Some("invalid_client"))));
                let challenge = r#"Basic realm="relatch", charset="UTF-8""#;
                if reply.all("www-authenticate") != [challenge] {
                    faults.push(format!("challenge {:?}", reply.all("www-authenticate")));
                }
                if reply.json()["error_description"] != "client authentication failed" {
                    faults.push("another description than every other 401".to_owned());
                }
            }
            // These come from the proxy's own table; others may come from the parser below it.
            Self::Status(404 | 405 | 413 | 415 | 421 | 429) => faults.extend(refusal(reply, error)),
            Self::Pass | Self::Framing | Self::Closed | Self::Status(_) => {}
        }
        if self == Self::Status(405) && reply.all("allow") != ["POST"] {
            faults.push(format!("405 with Allow {:?}", reply.all("allow")));
        }
        faults
    }
}

/// What a refusal by the proxy itself lacks.
fn refusal(reply: &Reply, error: Option<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")];
    for (name, value) in headers {
        let found = reply.all(name);
        if found.len() != 1 || !found[0].eq_ignore_ascii_case(value) {
            faults.push(format!("{name} {found:?}, not {value}"));
        }
    }
    if reply.headers.iter().any(|(name, _)| name.starts_with("access-control-")) {
        faults.push("a refusal grants cross-origin access".to_owned());
    }
    // An answer to HEAD has these headers and no body.
    if reply.body.is_empty() && error.is_none() {
        return faults;
    }
    let json = reply.json();
    let said = json["error"].as_str();
    if said.is_none() || (error.is_some() && said != error) {
        faults.push(format!("error {said:?}, wanted {error:?}"));
    }
    // RFC 6749 5.2 allows only these bytes in the values, and the rest of the
    // document needs no others.
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b'\\';
    if !reply.body.iter().all(plain) {
        faults.push("bytes in the error body that RFC 6749 5.2 leaves out".to_owned());
    }
    faults
}
