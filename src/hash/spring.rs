//! Spring Security's `{id}encoded`: the id names who wrote what stands behind it.

use super::pbkdf2::{self, Function};
use super::{Kept, Unreadable, argon2, bcrypt, digests, hex};

/// Reads what stands behind the opening brace.
pub(super) fn read(braced: &str) -> Result<Kept, Unreadable> {
    let (id, encoded) = braced.split_once('}').ok_or(Unreadable::Malformed)?;
    match id {
        "bcrypt" if encoded.starts_with("$2") => bcrypt::read(encoded),
        "noop" => digests::plain(encoded),
        "argon2" | "argon2@SpringSecurity_v5_8" if encoded.starts_with("$argon2") => argon2::read(encoded),
        "pbkdf2" => from_hex(encoded, 8, Function::Sha1, 185_000),
        "pbkdf2@SpringSecurity_v5_8" => from_hex(encoded, 16, Function::Sha256, 310_000),
        "sha256" => digests::standard(encoded),
        "SHA-256" => digests::message_digest(encoded),
        "scrypt" | "scrypt@SpringSecurity_v5_8" => Err(Unreadable::Unsupported("an scrypt hash")),
        "ldap" | "SSHA" | "SHA" | "CRYPT" => Err(Unreadable::Unsupported("an LDAP hash")),
        "MD4" | "MD5" | "SHA-1" => Err(Unreadable::Unsupported("a hash that is long broken")),
        _ => Err(Unreadable::Malformed),
    }
}

/// The rounds are not written: they are the default of the encoder that the id names.
fn from_hex(encoded: &str, salt: usize, function: Function, rounds: u32) -> Result<Kept, Unreadable> {
    let bytes = hex(encoded).filter(|bytes| bytes.len() == salt + 32).ok_or(Unreadable::Malformed)?;
    let (salt, key) = bytes.split_at_checked(salt).ok_or(Unreadable::Malformed)?;
    pbkdf2::kept(function, rounds, salt.to_vec(), key.to_vec())
}
