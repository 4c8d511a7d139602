//! Names of clients, tenants and secrets: parsed once at the border, never checked again inside.
//!
//! A client id is compared byte for byte, case and all (RFC 6749 section 2.2 leaves its form to the server), so it is
//! kept as it stands in the file. Cloning one costs a reference count.

use std::fmt;
use std::sync::Arc;

/// The longest client id that a list may hold, in bytes. Long enough for every URL-shaped id seen in the field.
pub const MAX_CLIENT_ID: usize = 512;

/// Who calls: an OAuth client identifier, or a tenant name, as exact text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Takes any text of 1 to [`MAX_CLIENT_ID`] bytes; anything else is not an id that can be configured.
    pub fn parse(text: &str) -> Option<Self> {
        (1..=MAX_CLIENT_ID).contains(&text.len()).then(|| Self(Arc::from(text)))
    }

    /// The id as text, for people and for labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of one secret of a client: `[a-z0-9_]{1,64}`, unique in the list. Safe to print everywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId(Arc<str>);

impl SecretId {
    /// Takes 1 to 64 characters of `[a-z0-9_]`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len());
        let plain = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        (fits && plain).then(|| Self(Arc::from(text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! prints_as_itself {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )*};
}
prints_as_itself!(ClientId, SecretId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_at_the_border() {
        assert!(ClientId::parse("").is_none());
        assert!(ClientId::parse(&"a".repeat(MAX_CLIENT_ID)).is_some());
        assert!(ClientId::parse(&"a".repeat(MAX_CLIENT_ID + 1)).is_none());
        assert_ne!(ClientId::parse("Billing"), ClientId::parse("billing"));
        for bad in ["", "Sec_1", "sec-1", "sec 1", "sec.1", &"a".repeat(65)] {
            assert!(SecretId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(SecretId::parse("sec_2d9x4k7m1q").is_some());
    }
}
