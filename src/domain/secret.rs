//! Secrets refuse to print, and compare in constant time.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// A secret in the clear: wiped when dropped, blank in `Debug`, without `Display`.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of the bytes; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The way out, with a loud name: whoever calls this decides where the plaintext goes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing in it. An empty secret proves nothing and is refused everywhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last four characters, kept beside a record so that people can tell two secrets apart. Nothing for a secret
    /// so short that four characters would give it away.
    pub fn hint(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let from = text.char_indices().rev().nth(3)?.0;
        (text.len() >= 16).then(|| text.get(from..).map(str::to_owned)).flatten()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The SHA-256 of a secret: what a record keeps and what a presented secret is turned into before any comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a secret that nobody can look at any more. No secret that anybody could present has it.
    pub const UNKNOWN: Self = Self([0; 32]);

    /// Wraps a digest that was computed or read from a record.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes, to be written into a record.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Equality in constant time: four words, all of them looked at.
    pub fn matches(&self, other: &Self) -> Choice {
        let differing = self.words().into_iter().zip(other.words()).fold(0, |acc, (a, b)| acc | (a ^ b));
        differing.ct_eq(&0)
    }

    fn words(&self) -> [u64; 4] {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.0.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        words
    }
}

impl Zeroize for Digest {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_refuse_to_print() {
        let secret = Secret::new(b"canary-in-the-coal-mine".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", Digest::from_bytes([7; 32])), "Digest(..)");
    }

    #[test]
    fn digests_match_only_when_every_byte_does() {
        let digest = Digest::from_bytes([7; 32]);
        assert!(bool::from(digest.matches(&Digest::from_bytes([7; 32]))));
        for at in 0..32 {
            let mut other = [7; 32];
            other[at] ^= 0x80;
            assert!(!bool::from(digest.matches(&Digest::from_bytes(other))), "byte {at}");
        }
    }

    #[test]
    fn a_hint_shows_four_characters_of_a_long_secret_only() {
        assert_eq!(Secret::new(b"0123456789abcdef".to_vec()).hint().as_deref(), Some("cdef"));
        assert_eq!(Secret::new("0123456789abcde\u{e9}".into()).hint().as_deref(), Some("cde\u{e9}"));
        assert_eq!(Secret::new(b"short".to_vec()).hint(), None);
        assert_eq!(Secret::new(vec![0xff; 32]).hint(), None);
    }
}
