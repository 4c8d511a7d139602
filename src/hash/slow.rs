//! A hash that takes milliseconds by design, whatever its scheme.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::argon2::Argon2;
use super::bcrypt::Bcrypt;
use super::digests::Salted;
use super::pbkdf2::Pbkdf2;
use super::{Kept, identity};
use crate::domain::secret::Digest;

/// A written hash, read.
pub struct Slow {
    scheme: Scheme,
    expected: Zeroizing<Vec<u8>>,
    identity: Digest,
}

/// What derives a key from a presented secret.
pub(super) enum Scheme {
    Argon2(Argon2),
    Bcrypt(Bcrypt),
    Pbkdf2(Pbkdf2),
    Salted(Salted),
}

impl Slow {
    /// A hash of that scheme and derived key.
    pub(super) fn kept(scheme: Scheme, expected: impl Into<Vec<u8>>) -> Kept {
        let expected = Zeroizing::new(expected.into());
        let (kind, mut parts) = match &scheme {
            Scheme::Argon2(argon2) => ("argon2", argon2.parts()),
            Scheme::Bcrypt(bcrypt) => ("bcrypt", bcrypt.parts()),
            Scheme::Pbkdf2(pbkdf2) => ("pbkdf2", pbkdf2.parts()),
            Scheme::Salted(salted) => ("digest", salted.parts()),
        };
        parts.push(expected.to_vec());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let identity = identity(kind, &parts);
        Kept::Slow(std::sync::Arc::new(Self { scheme, expected, identity }))
    }

    /// Whether this is the secret. Takes as long as the hash was made to take; the comparison is in constant time.
    pub fn verify(&self, presented: &[u8]) -> bool {
        // Empty secrets prove nothing; for NUL bytes see the top of the module.
        if presented.is_empty() || presented.contains(&0) {
            return false;
        }
        let mut derived = Zeroizing::new(vec![0; self.expected.len()]);
        let done = match &self.scheme {
            Scheme::Argon2(argon2) => argon2.derive(presented, &mut derived),
            Scheme::Bcrypt(bcrypt) => bcrypt.derive(presented, &mut derived),
            Scheme::Pbkdf2(pbkdf2) => pbkdf2.derive(presented, &mut derived),
            Scheme::Salted(salted) => salted.derive(presented, &mut derived),
        };
        done.is_some() && !derived.is_empty() && bool::from(derived.ct_eq(&self.expected))
    }

    /// What tells this hash from any other, however each is written. Made from the hash, it opens nothing: it is no digest
    /// of a secret, and nothing that is presented is compared with it.
    pub const fn identity(&self) -> Digest {
        self.identity
    }
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow(..)")
    }
}
