//! Providers whose management API gives a client another secret: what is asked of it, what its answers mean, and (in
//! [`steps`]) what comes next after each. Pure: [`crate::management`] does the asking.
//!
//! One file a provider, with the shapes that its own SDKs send. They differ in what becomes of the old secret: Auth0 ends it
//! at once, Okta keeps two until one is taken away by its id, Hydra keeps the latest five until all but the new one are
//! dropped together.

mod auth0;
mod hydra;
mod okta;
pub mod steps;

use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::secret::Secret;
use crate::domain::segment::encoded;

/// Whose management API it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Auth0 Management API v2.
    Auth0,
    /// Okta: the secrets of an application.
    Okta,
    /// Ory Hydra's admin API.
    Hydra,
}

/// One thing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Which secrets there are, as far as it tells.
    Show,
    /// A new one.
    Make,
    /// Refuse the one of this id, for now.
    Deactivate(&'a str),
    /// Take it again.
    Activate(&'a str),
    /// Take it away for good.
    Delete(&'a str),
    /// Take all but the new one away for good.
    DropOlder,
}

/// A request as the provider's SDKs send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path behind the API's base.
    pub path: String,
    /// A JSON body, where there is one.
    pub body: Option<&'static str>,
}

/// A secret at the far end.
#[derive(Debug, Default)]
pub struct FarSecret {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Whether it is taken.
    pub active: bool,
    /// When it was made, as the provider writes it.
    pub created: Option<String>,
    /// Itself, where it is told.
    pub secret: Option<Secret>,
}

impl Provider {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth0 => "Auth0",
            Self::Okta => "Okta",
            Self::Hydra => "Hydra",
        }
    }

    /// Whether a new secret ends the one before it.
    pub const fn ends_the_old(self) -> bool {
        matches!(self, Self::Auth0)
    }

    /// How many it keeps and makes no more beyond.
    pub const fn most(self) -> Option<usize> {
        match self {
            Self::Okta => Some(okta::MOST),
            Self::Auth0 | Self::Hydra => None,
        }
    }

    /// The request; nothing where this provider knows no such thing.
    pub fn call(self, app: &str, ask: Ask<'_>) -> Option<Call> {
        match self {
            Self::Auth0 => auth0::call(app, ask),
            Self::Okta => okta::call(app, ask),
            Self::Hydra => hydra::call(app, ask),
        }
    }

    /// What an answer to [`Ask::Show`] shows; nothing where it cannot be read.
    pub fn shown(self, body: &[u8]) -> Option<Vec<FarSecret>> {
        match self {
            Self::Auth0 => auth0::shown(body),
            Self::Okta => okta::shown(body),
            Self::Hydra => hydra::shown(body),
        }
    }

    /// The secret that an answer to [`Ask::Make`] brings; nothing where there is none in it.
    pub fn made(self, body: &[u8]) -> Option<FarSecret> {
        let made = match self {
            Self::Auth0 => auth0::made(body),
            Self::Okta => okta::made(body),
            Self::Hydra => hydra::made(body),
        };
        made.filter(|made| made.secret.as_ref().is_some_and(|secret| !secret.is_empty()))
    }

    /// Why it refuses, in its own words; empty where it has none.
    pub fn complaint(self, body: &[u8]) -> String {
        match self {
            Self::Auth0 => auth0::complaint(body),
            Self::Okta => okta::complaint(body),
            Self::Hydra => hydra::complaint(body),
        }
    }
}

/// A body of JSON, of which only what is asked for is read.
fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// The `client_secret` of a client object, where it is shown.
#[derive(Deserialize)]
struct WithSecret {
    client_secret: Option<Zeroizing<String>>,
}

impl WithSecret {
    fn secret(self) -> Option<Secret> {
        self.client_secret.filter(|text| !text.is_empty()).map(|text| Secret::new(text.as_bytes().to_vec()))
    }

    /// As the one secret that there is.
    fn only(self) -> FarSecret {
        FarSecret { active: true, secret: self.secret(), ..FarSecret::default() }
    }
}

/// The first words that are there, and a part in parentheses after them.
fn words(first: Option<String>, more: Option<String>) -> String {
    match (first, more) {
        (Some(first), Some(more)) => format!("{first} ({more})"),
        (one, other) => one.or(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
