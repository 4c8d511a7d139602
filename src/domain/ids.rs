//! Names of clients, tenants and secrets: parsed once at the border, never checked again inside.
//!
//! A client id is compared byte for byte, case and all (RFC 6749 section 2.2 leaves its form to the server), so it is
//! kept as it stands in the file. One of up to 23 bytes stands where it is used, without a place of its own on the heap; cloning
//! a longer one costs a reference count.

use std::fmt;

use smol_str::SmolStr;

/// The longest client id that a list may hold, in bytes. Long enough for every URL-shaped id seen in the field.
pub const MAX_CLIENT_ID: usize = 512;

/// Who calls: an OAuth client identifier, as exact text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(SmolStr);

impl ClientId {
    /// Takes any text of 1 to [`MAX_CLIENT_ID`] bytes; anything else is not an id that can be configured.
    pub fn parse(text: &str) -> Option<Self> {
        (1..=MAX_CLIENT_ID).contains(&text.len()).then(|| Self(SmolStr::new(text)))
    }

    /// The id as text, for people and for labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest name of a tenant, in bytes.
pub const MAX_TENANT: usize = 128;

/// One of several namespaces of client ids behind one relatch, such as a realm of Keycloak: the text that stands for
/// `{tenant}` in a path. The empty one is that of clients that are not any tenant's.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(SmolStr);

impl Tenant {
    /// Takes the empty name, and any that a path can hold.
    pub fn parse(text: &str) -> Option<Self> {
        (text.is_empty() || Self::is_segment(text)).then(|| Self(SmolStr::new(text)))
    }

    /// Whether a whole segment of a path can be the name of a tenant as it stands, with nothing to decode and nothing that
    /// a server would resolve: 1 to [`MAX_TENANT`] unreserved characters (RFC 3986 section 2.3), but for `.` and `..`.
    pub fn is_segment(text: &str) -> bool {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        (1..=MAX_TENANT).contains(&text.len()) && text.bytes().all(unreserved) && !matches!(text, "." | "..")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is no tenant at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What tells a client from every other one of the list: the same id may exist in two tenants, and is two clients.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey {
    /// Whose it is; empty where the list has no tenants.
    pub tenant: Tenant,
    /// What it calls itself, at its callers and at the upstream.
    pub id: ClientId,
}

impl ClientKey {
    /// The same, borrowed: what a request can be looked up by.
    pub fn borrowed(&self) -> BorrowedKey<'_> {
        BorrowedKey { tenant: self.tenant.as_str(), id: self.id.as_str().as_bytes() }
    }
}

impl From<ClientId> for ClientKey {
    /// The client that is not any tenant's.
    fn from(id: ClientId) -> Self {
        Self { tenant: Tenant::default(), id }
    }
}

/// A [`ClientKey`] that nobody has parsed: what a request says. Its hash tells where the one ends and the other begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BorrowedKey<'k> {
    /// What stands for `{tenant}` in the path; empty where nothing does.
    pub tenant: &'k str,
    /// The presented id.
    pub id: &'k [u8],
}

/// For people: `billing`, or `billing of tenant master`.
impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant.as_str() {
            "" => write!(f, "{}", self.id),
            tenant => write!(f, "{} of tenant {tenant}", self.id),
        }
    }
}

/// The same, quoted.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant.as_str() {
            "" => write!(f, "{:?}", self.id),
            tenant => write!(f, "{:?} of tenant {tenant:?}", self.id),
        }
    }
}

/// The id of one secret of a client: `[a-z0-9_]{1,64}`, unique in the list. Safe to print everywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId(SmolStr);

impl SecretId {
    /// Takes 1 to 64 characters of `[a-z0-9_]`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len());
        let plain = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        (fits && plain).then(|| Self(SmolStr::new(text)))
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
prints_as_itself!(ClientId, SecretId, Tenant);

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

    #[test]
    fn a_tenant_is_what_a_path_can_hold_with_nothing_to_decode() {
        for good in ["master", "Shop-1", "a.b", "...", "~x_", &"a".repeat(MAX_TENANT)] {
            assert!(Tenant::is_segment(good) && Tenant::parse(good).is_some(), "{good:?}");
        }
        let long = "a".repeat(MAX_TENANT + 1);
        for bad in [".", "..", "a/b", "%6d", "a b", "a:b", "a@b", "a;b", "a+b", "{tenant}", "\u{e9}", "a\0", &long] {
            assert!(!Tenant::is_segment(bad) && Tenant::parse(bad).is_none(), "{bad:?}");
        }
        assert!(!Tenant::is_segment("") && Tenant::parse("") == Some(Tenant::default()));
    }

    #[test]
    fn a_key_tells_where_its_tenant_ends() {
        use std::hash::{BuildHasher, RandomState};
        let hasher = RandomState::new();
        let key = |tenant, id: &'static str| BorrowedKey { tenant, id: id.as_bytes() };
        let keys = [key("", "ab"), key("a", "b"), key("ab", ""), key("b", "a")].map(|key| hasher.hash_one(key));
        for (at, hash) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(hash), "{at}");
        }
    }

    #[test]
    fn a_client_of_a_tenant_says_so() {
        let id = ClientId::parse("billing").unwrap();
        let key = ClientKey { tenant: Tenant::parse("master").unwrap(), id: id.clone() };
        assert_eq!(key.to_string(), "billing of tenant master");
        assert_eq!(format!("{key:?}"), "\"billing\" of tenant \"master\"");
        assert_eq!(ClientKey::from(id).to_string(), "billing");
    }
}
