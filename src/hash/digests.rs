//! Plain digests: SHA-256 and SHA-512 as hexadecimal or base64, salted or not. An unsalted SHA-256 is what we keep
//! ourselves, so it is as fast at once; the others are proven once like any slow hash.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::slow::{Scheme, Slow};
use super::{Kept, Unreadable, hex, sha256};
use crate::domain::secret::Digest;

pub(super) enum Salted {
    /// The SHA-512 of the secret.
    Sha512,
    /// The SHA-256 of the secret and this behind it.
    Sha256Before(Vec<u8>),
    /// The SHA-256 of this and the secret behind it, digested again and again: Spring's `StandardPasswordEncoder`.
    Sha256Rounds(Vec<u8>),
}

/// Rounds of Spring's `StandardPasswordEncoder`.
const ROUNDS: u32 = 1024;

/// A secret in the clear, kept from here on as its digest.
pub(super) fn plain(text: &str) -> Result<Kept, Unreadable> {
    if text.is_empty() { Err(Unreadable::Malformed) } else { Ok(Kept::Fast(sha256(text.as_bytes()))) }
}

/// A digest without a word about what it is: its length tells.
pub(super) fn bare(text: &str) -> Result<Kept, Unreadable> {
    let bytes = hex(text).or_else(|| STANDARD.decode(text).ok().map(Zeroizing::new)).ok_or(Unreadable::Malformed)?;
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(digest) => Ok(Kept::Fast(Digest::from_bytes(digest))),
        Err(_) if bytes.len() == 64 => Ok(Slow::kept(Scheme::Salted(Salted::Sha512), bytes.to_vec())),
        Err(_) => Err(Unreadable::Malformed),
    }
}

/// `{salt}hex` or `hex`: the salt is digested with its braces.
pub(super) fn message_digest(text: &str) -> Result<Kept, Unreadable> {
    let (salt, digest) = text.rfind('}').map_or(("", text), |end| text.split_at(end + 1));
    let digest = hex(digest).filter(|digest| digest.len() == 32).ok_or(Unreadable::Malformed)?;
    match salt {
        "" => bare(text),
        _ if !salt.starts_with('{') => Err(Unreadable::Malformed),
        _ => Ok(Slow::kept(Scheme::Salted(Salted::Sha256Before(salt.as_bytes().to_vec())), digest.to_vec())),
    }
}

/// Hexadecimal: eight bytes of salt and the digest; or the digest alone.
pub(super) fn standard(text: &str) -> Result<Kept, Unreadable> {
    let bytes = hex(text).ok_or(Unreadable::Malformed)?;
    match bytes.split_at_checked(8) {
        Some((salt, digest)) if digest.len() == 32 => {
            Ok(Slow::kept(Scheme::Salted(Salted::Sha256Rounds(salt.to_vec())), digest))
        }
        _ => message_digest(text),
    }
}

impl Salted {
    pub(super) fn derive(&self, presented: &[u8], out: &mut [u8]) -> Option<()> {
        let derived: Zeroizing<Vec<u8>> = Zeroizing::new(match self {
            Self::Sha512 => Sha512::digest(presented).to_vec(),
            Self::Sha256Before(salt) => Sha256::new_with_prefix(presented).chain_update(salt).finalize().to_vec(),
            Self::Sha256Rounds(salt) => {
                let first = Sha256::new_with_prefix(salt).chain_update(presented).finalize();
                (1..ROUNDS).fold(first, |digest, _| Sha256::digest(digest)).to_vec()
            }
        });
        out.copy_from_slice(derived.get(..out.len())?);
        Some(())
    }

    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Sha512 => vec![vec![0]],
            Self::Sha256Before(salt) => vec![vec![1], salt.clone()],
            Self::Sha256Rounds(salt) => vec![vec![2], salt.clone()],
        }
    }
}
