//! Changes to a client list's text: what a change is. The text around it stays as it was written.
//!
//! TOML is cut and pasted at the bytes where a parser says that things stand, so that whatever is not changed cannot
//! change. JSON has neither comments nor freedom worth keeping but its indentation, and is written anew.

mod commas;
mod entry;
mod json;
mod known;
mod splice;
#[cfg(test)]
mod tests;
pub mod tokens;
mod toml;
mod written;

use super::problem::Problems;
use super::tree::{Doc, Language};
use crate::domain::ids::{ClientKey, SecretId};

/// One change to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A client that is not in the list yet, at its end.
    AddClient(NewClient),
    /// The client and all its secrets go.
    RemoveClient(ClientKey),
    /// A key of the client gets a value, or goes.
    SetClient {
        /// Which client.
        client: ClientKey,
        /// Which key.
        key: &'static str,
        /// Its value; nothing takes the key out.
        value: Option<Scalar>,
    },
    /// The client's upstream secrets stand in these files, the first to be tried first.
    SetUpstreamFiles {
        /// Which client.
        client: ClientKey,
        /// As the list names them.
        files: Vec<String>,
    },
    /// A secret that is not in the list yet, after the client's others.
    AddSecret {
        /// Which client.
        client: ClientKey,
        /// The secret.
        secret: NewSecret,
    },
    /// Keys of a secret get values, or go.
    SetSecret {
        /// Which client.
        client: ClientKey,
        /// Which secret.
        secret: SecretId,
        /// Each key with its value; nothing takes the key out.
        set: Vec<(&'static str, Option<Scalar>)>,
    },
    /// The secret's entry goes.
    RemoveSecret {
        /// Which client.
        client: ClientKey,
        /// Which secret.
        secret: SecretId,
    },
}

/// A value as it can stand in either language. Times stand as RFC 3339 text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// true or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// Texts.
    List(Vec<String>),
}

/// A client as it is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClient {
    /// Its tenant and its id.
    pub key: ClientKey,
    /// A name for people; empty for none.
    pub name: String,
    /// Files with the upstream's secrets; with none there is no `[client.upstream]`.
    pub upstream_secret_files: Vec<String>,
    /// Its secrets.
    pub secrets: Vec<NewSecret>,
}

/// A secret as it is added; active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// Its id.
    pub id: SecretId,
    /// A name for people; empty for none.
    pub name: String,
    /// Its written hash.
    pub hash: String,
    /// The last characters of it.
    pub hint: Option<String>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When its time comes, RFC 3339.
    pub not_before: Option<String>,
    /// When its time is over, RFC 3339.
    pub expires: Option<String>,
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text cannot be read.
    #[error("the list cannot be read: {0}")]
    Unreadable(String),
    /// No client of that id stands in this text.
    #[error("client {0:?} is not in this file")]
    NoClient(ClientKey),
    /// The client has no upstream secret in a file.
    #[error("client {0:?} has no [client.upstream] with secret_file or secret_files")]
    NoUpstream(ClientKey),
    /// The client has no secret of that id.
    #[error("client {0:?} has no secret {1}")]
    NoSecret(ClientKey, SecretId),
    /// A client of that id stands in it already.
    #[error("client {0:?} is in this file already")]
    ClientExists(ClientKey),
}

/// The text with the changes made, in order, comments and order kept, and the counts of `[end]` right.
pub fn apply(text: &str, language: Language, edits: &[Edit]) -> Result<String, EditError> {
    if edits.is_empty() {
        return Ok(text.to_owned());
    }
    if text.trim().is_empty() && language == Language::Json {
        return json::apply("{}\n", edits);
    }
    // Asked of the parser that reads the list: what it refuses (a key that stands twice, a byte order mark) is not edited.
    let mut problems = Problems::default();
    let doc = Doc { name: "", text };
    if doc.parse(language, &mut problems).is_none() {
        let first = problems.errors.first();
        let why = first.map(|e| format!("line {}: {}", e.place.line, e.message)).unwrap_or_default();
        return Err(EditError::Unreadable(why));
    }
    match language {
        Language::Toml => toml::apply(text, edits, toml::Frame::whole(text)),
        Language::Json => json::apply(text, edits),
    }
}

/// What is known of a text that was read before.
pub struct Known<'k> {
    /// Where the table of each client begins, in the order of the text.
    pub starts: Vec<usize>,
    /// Where that of one client does.
    pub of: &'k dyn Fn(&ClientKey) -> Option<usize>,
    /// How many secrets stand in it.
    pub secrets: usize,
}

/// The same of a text that was read and found good: it is not read again but where the changes are.
pub fn apply_known(text: &str, language: Language, edits: &[Edit], known: &Known<'_>) -> Result<String, EditError> {
    match language {
        Language::Toml => known::apply(text, edits, known).map_or_else(|| apply(text, language, edits), Ok),
        Language::Json if !edits.is_empty() && !text.trim().is_empty() => json::apply(text, edits),
        Language::Json => apply(text, language, edits),
    }
}

impl NewSecret {
    /// Its keys, in the order in which they are written.
    fn keys(&self) -> Vec<(&'static str, Scalar)> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        [
            ("id", Some(self.id.to_string())),
            ("name", some(&self.name)),
            ("hash", Some(self.hash.clone())),
            ("hint", self.hint.clone()),
            ("created", some(&self.created)),
            ("not_before", self.not_before.clone()),
            ("expires", self.expires.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, Scalar::Text(value?))))
        .collect()
    }
}

impl NewClient {
    /// Its own keys, in the order in which they are written.
    fn keys(&self) -> Vec<(&'static str, Scalar)> {
        let ClientKey { tenant, id } = &self.key;
        let keys = [("id", id.as_str()), ("tenant", tenant.as_str()), ("name", &*self.name)];
        let said = keys.into_iter().filter(|(_, text)| !text.is_empty());
        said.map(|(key, text)| (key, Scalar::Text(text.to_owned()))).collect()
    }
}

impl Edit {
    /// The client that it is about.
    fn client(&self) -> &ClientKey {
        match self {
            Self::AddClient(new) => &new.key,
            Self::RemoveClient(client)
            | Self::SetClient { client, .. }
            | Self::SetUpstreamFiles { client, .. }
            | Self::AddSecret { client, .. }
            | Self::SetSecret { client, .. }
            | Self::RemoveSecret { client, .. } => client,
        }
    }
}
