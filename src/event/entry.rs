//! One line of the audit log.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::summary::Summary;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};

/// Who did it. A kind of caller more is a word more: `token:ci`, `session:ops`, `unix:1000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The kind and the name.
    pub name: String,
    /// From where, where that is an address.
    pub address: Option<IpAddr>,
}

impl Who {
    /// The user of this machine.
    pub fn user(id: u32) -> Self {
        Self { name: format!("unix:{id}"), address: None }
    }

    /// Who presented a token.
    pub fn token(name: &str, from: IpAddr) -> Self {
        Self { name: format!("token:{name}"), address: Some(from) }
    }

    /// Who came in by the page, with a link that this one asked for.
    pub fn session(opener: impl fmt::Display, from: IpAddr) -> Self {
        Self { name: format!("session:{opener}"), address: Some(from) }
    }

    /// Nobody in person: the instance by itself, since a file changed or time went by.
    pub fn instance() -> Self {
        Self { name: "instance".to_owned(), address: None }
    }

    /// Who showed nothing that is known.
    pub fn nobody(from: Option<IpAddr>) -> Self {
        Self { name: "nobody".to_owned(), address: from }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It stood so already: nothing was changed.
    Unchanged,
    /// A rule stands against it; its code, as the answer said it.
    Refused(String),
    /// It could not be done; the code, and why.
    Failed(String, String),
}

/// A line.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Who,
    /// What, in a word: `secret.revoke`.
    pub what: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The client it was about.
    pub client: Option<ClientKey>,
    /// The secret it was about.
    pub secret: Option<SecretId>,
    /// The number of the list in force afterwards; nothing where no instance has one.
    pub generation: Option<u64>,
    /// What else is to be said.
    pub more: More,
}

/// What only some lines say; what is not there is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct More {
    /// What the request asked for: method and route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The request's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Keys of a client that were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<&'static str>,
    /// The rules that protect a secret in use were overruled.
    #[serde(skip_serializing_if = "is_false")]
    pub forced: bool,
    /// The secret is in wrong hands.
    #[serde(skip_serializing_if = "is_false")]
    pub compromised: bool,
    /// The end that a secret was given, or that of a rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The answer of a moment ago was given once more.
    #[serde(skip_serializing_if = "is_false")]
    pub repeated: bool,
    /// The name of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What a token may be used for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Names of tokens that are new, or not what they were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens_added: Vec<String>,
    /// Names of tokens that are gone, or not what they were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens_removed: Vec<String>,
    /// What made a list be read: a file event, a poll, a signal, a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many of the same kind this line stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What a list changed.
    #[serde(flatten)]
    pub summary: Option<Summary>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The line as it is written, in this order.
#[derive(Serialize)]
struct Line<'e> {
    at: String,
    what: &'e str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    who: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(flatten)]
    more: &'e More,
}

/// Characters of a reason that are kept: a list can be wrong in thousands of places.
const MOST_REASON: usize = 300;

impl Entry {
    /// A line that says who did what, and how it ended.
    pub fn new(at: Timestamp, who: Who, what: impl Into<String>, outcome: Outcome) -> Self {
        let what = what.into();
        Self { at, who, what, outcome, client: None, secret: None, generation: None, more: More::default() }
    }

    /// One JSON object and a line feed; no other character in it is one that some reader breaks lines at.
    pub fn line(&self) -> Vec<u8> {
        let (outcome, code, why) = match &self.outcome {
            Outcome::Done => ("done", None, None),
            Outcome::Unchanged => ("unchanged", None, None),
            Outcome::Refused(code) => ("refused", Some(&**code), None),
            Outcome::Failed(code, why) => {
                let first = why.lines().next().unwrap_or_default();
                ("failed", Some(&**code), Some(first.chars().take(MOST_REASON).collect::<String>()))
            }
        };
        let tenant = self.client.as_ref().map(|client| client.tenant.as_str()).filter(|tenant| !tenant.is_empty());
        let line = Line {
            at: self.at.rfc3339(),
            what: &self.what,
            outcome,
            code: code.filter(|code| !code.is_empty()),
            why: why.filter(|why| !why.is_empty()),
            who: &self.who.name,
            address: self.who.address,
            client_id: self.client.as_ref().map(|client| client.id.as_str()),
            tenant,
            secret_id: self.secret.as_ref().map(SecretId::as_str),
            generation: self.generation,
            more: &self.more,
        };
        // Of texts and numbers alone: there is nothing in it that cannot be written.
        one_line(serde_json::to_string(&line).unwrap_or_default())
    }
}

/// JSON as one line: what stands in a text and that some readers break lines at is escaped.
pub(super) fn one_line(json: String) -> Vec<u8> {
    let mut text = json;
    for (odd, escaped) in
        [('\u{7f}', "\\u007f"), ('\u{85}', "\\u0085"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
    {
        if text.contains(odd) {
            text = text.replace(odd, escaped);
        }
    }
    text.push('\n');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, Tenant};

    fn entry(outcome: Outcome) -> Entry {
        let at = Timestamp::from_millis(1_795_224_600_007);
        Entry::new(at, Who::token("ci", [127, 0, 0, 1].into()), "secret.revoke", outcome)
    }

    fn text(entry: &Entry) -> String {
        String::from_utf8(entry.line()).unwrap()
    }

    #[test]
    fn a_line_says_when_who_what_and_how_it_ended() {
        let mut full = entry(Outcome::Done);
        full.client =
            Some(ClientKey { tenant: Tenant::parse("master").unwrap(), id: ClientId::parse("billing").unwrap() });
        full.secret = SecretId::parse("sec_1");
        full.generation = Some(7);
        full.more = More { forced: true, request_id: Some("abc".to_owned()), ..More::default() };
        assert_eq!(
            text(&full),
            "{\"at\":\"2026-11-21T01:30:00.007Z\",\"what\":\"secret.revoke\",\"outcome\":\"done\",\"who\":\"token:ci\",\
             \"address\":\"127.0.0.1\",\"client_id\":\"billing\",\"tenant\":\"master\",\"secret_id\":\"sec_1\",\
             \"generation\":7,\"request_id\":\"abc\",\"forced\":true}\n"
        );
        for (outcome, expected) in [
            (Outcome::Unchanged, "\"outcome\":\"unchanged\",\"who\""),
            (Outcome::Refused("in_use".to_owned()), "\"outcome\":\"refused\",\"code\":\"in_use\",\"who\""),
            (
                Outcome::Failed("conflict".to_owned(), "one\n  two".to_owned()),
                "\"outcome\":\"failed\",\"code\":\"conflict\",\"why\":\"one\",\"who\"",
            ),
        ] {
            assert!(text(&entry(outcome)).contains(expected), "{expected}");
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_the_client_is_called_and_however_long_the_reason_is() {
        for id in ["\"}\n{\"", "a\rb", "\u{2028}\u{85}\u{7f}\u{2029}\u{0}", "<img src=x>"] {
            let mut entry = entry(Outcome::Failed(String::new(), "x".repeat(100_000)));
            entry.client = ClientId::parse(id).map(ClientKey::from);
            let text = text(&entry);
            let breaks = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
            assert_eq!(text.chars().filter(|c| breaks(*c)).count(), 1, "{text}");
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["client_id"], id);
            assert_eq!(read["why"].as_str().unwrap().len(), MOST_REASON);
        }
    }
}
