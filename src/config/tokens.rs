//! The tokens of the admin API as they stand in their file: who may do what, and until when.

use std::sync::Arc;

use super::problem::Problems;
use super::reader::{FromNode, Reading, Section};
use super::tree::{Doc, Language};
use crate::domain::clock::Timestamp;
use crate::domain::mint;
use crate::domain::secret::Digest;
use crate::{from_text, from_words, hash};

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at clients, their secrets, and the status.
    ReadClients,
    /// Add, change and remove clients.
    UpdateClients,
    /// Add, end and rotate secrets.
    UpdateClientKeys,
    /// Everything: the instance itself too.
    Admin,
}
from_words!(Scope, "read:clients, update:clients, update:client_keys or admin",
    {"read:clients" => Self::ReadClients, "update:clients" => Self::UpdateClients,
     "update:client_keys" => Self::UpdateClientKeys, "admin" => Self::Admin});

impl Scope {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 4] = [Self::ReadClients, Self::UpdateClients, Self::UpdateClientKeys, Self::Admin];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadClients => "read:clients",
            Self::UpdateClients => "update:clients",
            Self::UpdateClientKeys => "update:client_keys",
            Self::Admin => "admin",
        }
    }

    /// Whether whoever has these scopes may do what needs this one.
    pub fn is_in(self, scopes: &[Self]) -> bool {
        scopes.iter().any(|scope| *scope == self || *scope == Self::Admin)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token's name: it stands in logs and in files, and on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenName(Arc<str>);

/// Long enough for a path in somebody's pipeline.
const LONGEST_NAME: usize = 64;

impl TokenName {
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`. A token that was pasted in the place of its name is none: names stand in logs.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain) && !mint::may_be_ours(text);
        fits.then(|| Self(text.into()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for TokenName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

from_text!(TokenName, "a token's name: 1 to 64 of A-Z a-z 0-9 . _ -", TokenName::parse);

/// Its digest, as [`hash::write`] writes it. No other hash: a token that people choose could be guessed.
struct Sha256(Digest);
from_text!(Sha256, "\"$sha256$\" and 43 characters of unpadded base64url, as `relatch token add` writes it", |text| {
    hash::parse(text).map(Sha256)
});

/// One `[[token]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: TokenName,
    /// The SHA-256 of it.
    pub digest: Digest,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its time is over.
    pub expires: Option<Timestamp>,
}

/// Reads a tokens file. The tokens may be used only where there are no errors.
pub fn parse(doc: Doc<'_>) -> (Vec<Token>, Problems) {
    let reading = Reading::of(doc);
    let node = reading.doc.parse(Language::Toml, &mut reading.problems.borrow_mut());
    let tokens = node.map(|node| {
        let mut root = Section::root(&reading, &node);
        let tokens = read(&mut root);
        root.finish();
        tokens
    });
    let mut problems = reading.problems.into_inner();
    problems.sort();
    (tokens.unwrap_or_default(), problems)
}

pub(super) fn read(root: &mut Section<'_, '_>) -> Vec<Token> {
    let tokens: Vec<Token> = root.sections("token", Token::read).into_iter().flatten().collect();
    for (index, token) in tokens.iter().enumerate() {
        for earlier in tokens.iter().take(index) {
            if earlier.name == token.name {
                root.error("token", format!("two tokens have the name {}: rename one", token.name));
            } else if earlier.digest == token.digest {
                root.error("token", format!("{} and {} are the same token: keep one", earlier.name, token.name));
            }
        }
    }
    tokens
}

impl Token {
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let name: Option<TokenName> = section.must("name", "Whose it is, for people and for the log");
        let digest: Option<Sha256> = section.must("hash", "$sha256$..., of a token with at least 128 bits");
        let doc = "What it may be used for: read:clients, update:clients, update:client_keys, admin";
        let scopes: Option<Vec<Scope>> = section.must("scopes", doc);
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            section.error("scopes", format!("expected at least one of {}", Scope::EXPECTED));
        }
        let created = section.take("created", "When it was made");
        let expires = section.take("expires", "When its time is over");
        // One whose end cannot be read would have none.
        if section.has("expires") && expires.is_none() {
            return None;
        }
        Some(Self { name: name?, digest: digest?.0, scopes: scopes?, created, expires })
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    const OTHER: &str = "$sha256$bjQLnP-zepicpUTmu3gKLHiQHT-zNzh2hRGjBhevoB0";

    fn token(name: &str, hash: &str, rest: &str) -> String {
        format!("[[token]]\nname = \"{name}\"\nhash = \"{hash}\"\n{rest}\n")
    }

    fn errors(text: &str) -> Vec<String> {
        parse(Doc { name: "t.toml", text }).1.errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_of_tokens_is_read() {
        let text =
            token("ci", HASH, "scopes = [\"read:clients\", \"update:client_keys\"]\ncreated = 2026-11-21T01:30:00Z")
                + &token("ops", OTHER, "scopes = \"admin\"\nexpires = \"2026-11-21T01:30:00Z\"");
        let (tokens, problems) = parse(Doc { name: "t.toml", text: &text });
        assert_eq!(problems, Problems::default());
        let [ci, ops] = &*tokens else { panic!("{tokens:?}") };
        assert_eq!((ci.name.as_str(), &*ci.scopes), ("ci", &[Scope::ReadClients, Scope::UpdateClientKeys][..]));
        let end = ops.expires.unwrap();
        assert!(ops.has_expired(end) && !ops.has_expired(Timestamp::from_millis(end.millis() - 1)));
        assert!(!ci.has_expired(end) && ci.created == Some(end));
        assert_eq!(parse(Doc { name: "", text: "" }).0, []);
    }

    #[test]
    fn every_slip_is_named_and_nothing_of_a_token_is_shown() {
        let scopes = "scopes = [\"admin\"]";
        for (text, word) in [
            (token("ci", "canary", scopes), "token[0].hash: expected \"$sha256$\""),
            (token("ci", "$argon2id$v=19$m=8,t=1,p=1$canarycanary$canarycanary", scopes), "token[0].hash: expected"),
            (token("ci", HASH, ""), "scopes: is missing"),
            (token("ci", HASH, "scopes = []"), "at least one"),
            (token("ci", HASH, "scopes = [\"write\"]"), "read:clients, update:clients, update:client_keys or admin"),
            (token("a b", HASH, scopes), "a token's name"),
            (token("", HASH, scopes), "a token's name"),
            (token("ci", HASH, &format!("{scopes}\nexpires = \"soon\"")), "expires: expected a time"),
            (token("ci", HASH, &format!("{scopes}\nexpiers = 2026-11-21T01:30:00Z")), "did you mean expires"),
            (token("ci", HASH, scopes) + &token("ci", OTHER, scopes), "two tokens have the name ci"),
            (token("ci", HASH, scopes) + &token("ops", HASH, scopes), "ci and ops are the same token"),
            ("[[tokens]]\n".to_owned(), "did you mean token?"),
            ("[[token]\n".to_owned(), "not valid TOML"),
        ] {
            let errors = errors(&text);
            assert!(errors.iter().any(|error| error.contains(word)), "{text}: {errors:?}");
            assert!(!errors.concat().contains("canary"), "{errors:?}");
        }
    }

    #[test]
    fn admin_includes_every_scope_and_no_other_includes_any() {
        for needed in Scope::ALL {
            for held in Scope::ALL {
                assert_eq!(needed.is_in(&[held]), held == needed || held == Scope::Admin, "{held} for {needed}");
            }
            assert!(!needed.is_in(&[]));
        }
    }
}
