//! How a record keeps a secret: one file a scheme, and [`read`] that knows them apart.
//!
//! Generated secrets hold 256 bits, so a single SHA-256 is as good as any slow hash and costs a microsecond less than a
//! millisecond. Written `$sha256$` and 43 characters of unpadded base64url. What other systems wrote is verified in
//! place, so that moving a list over asks nobody for a new secret.
//!
//! A presented secret that holds a NUL byte matches no slow hash: bcrypt reads the text around it in a circle and HMAC
//! fills up with it, so that two different secrets would match one hash.

mod argon2;
mod bcrypt;
mod digests;
mod dotnet;
mod keep;
mod pbkdf2;
mod proven;
mod slow;
mod spring;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use self::keep::keep;
pub use self::proven::{Keyed, Proven};
pub use self::slow::Slow;
use crate::domain::secret::{Digest, Secret};

const SHA256: &str = "$sha256$";

/// The digest of presented bytes. Work depends on their length alone.
pub fn sha256(presented: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(presented).into())
}

/// The digest of a secret that we hold in the clear.
pub fn of(secret: &Secret) -> Digest {
    sha256(secret.expose())
}

/// What a written hash is verified with.
#[derive(Clone, Debug)]
pub enum Kept {
    /// A SHA-256 of the secret: compared on the token path.
    Fast(Digest),
    /// Anything else: computed once, off the token path.
    Slow(std::sync::Arc<Slow>),
}

impl Kept {
    /// What tells it from any other.
    pub fn identity(&self) -> Digest {
        match self {
            Self::Fast(digest) => *digest,
            Self::Slow(slow) => slow.identity(),
        }
    }
}

/// Why a written hash cannot be used. Quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is in no format that we know, or damaged.
    #[error("is in no format that relatch knows, or damaged")]
    Malformed,
    /// A format that we know and do not verify.
    #[error("is {0}, which relatch does not verify: give the client a new secret")]
    Unsupported(&'static str),
    /// Verifying it would cost too much.
    #[error("costs too much to verify: {0}")]
    TooCostly(String),
}

/// The longest text that can be a hash. Bounds the work of reading, not of verifying.
const LONGEST: usize = 1024;

/// Reads a written hash in any format that can be verified in place.
pub fn read(text: &str) -> Result<Kept, Unreadable> {
    if text.len() > LONGEST || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Unreadable::Malformed);
    }
    if text.starts_with(SHA256) {
        return parse(text).map(Kept::Fast).ok_or(Unreadable::Malformed);
    }
    if let Some(plain) = text.strip_prefix("$plaintext$") {
        return digests::plain(plain);
    }
    if let Some(braced) = text.strip_prefix('{') {
        return spring::read(braced);
    }
    type Scheme = (&'static [&'static str], fn(&str) -> Result<Kept, Unreadable>);
    let schemes: [Scheme; 4] = [
        (&["$argon2"], argon2::read),
        (&["argon2$"], |text| argon2::read(text.strip_prefix("argon2").unwrap_or(text))),
        (&["$2", "bcrypt_sha256$$2"], bcrypt::read),
        (&["$pbkdf2", "pbkdf2_"], pbkdf2::read),
    ];
    if let Some((_, read)) = schemes.iter().find(|(starts, _)| starts.iter().any(|start| text.starts_with(start))) {
        return read(text);
    }
    match KNOWN.iter().find(|(start, _)| text.starts_with(start)) {
        Some((_, name)) => Err(Unreadable::Unsupported(name)),
        None => match dotnet::read(text) {
            Err(Unreadable::Malformed) => digests::bare(text),
            read => read,
        },
    }
}

/// Formats that we know by their beginning and do not verify.
const KNOWN: [(&str, &str); 18] = [
    ("$scrypt$", "an scrypt hash"),
    ("scrypt$", "an scrypt hash"),
    ("scrypt:", "an scrypt hash"),
    ("$7$", "an scrypt hash"),
    ("$y$", "a yescrypt hash"),
    ("$gy$", "a yescrypt hash"),
    ("$1$", "an MD5-crypt hash"),
    ("$apr1$", "an MD5-crypt hash"),
    ("$5$", "a SHA-256-crypt hash"),
    ("$6$", "a SHA-512-crypt hash"),
    ("$bcrypt-sha256$", "passlib's bcrypt of an HMAC"),
    ("bcrypt$", "Django's plain bcrypt"),
    ("md5$", "a salted MD5"),
    ("sha1$", "a salted SHA-1"),
    ("pbkdf2:", "Werkzeug's PBKDF2"),
    ("$SHA$", "a salted SHA-256 of another system"),
    ("${vault.", "a reference to a vault"),
    ("$S$", "a Drupal hash"),
];

/// Reads a digest from its written form.
pub fn parse(text: &str) -> Option<Digest> {
    let encoded = text.strip_prefix(SHA256)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    bytes.try_into().ok().map(Digest::from_bytes)
}

/// The written form of a digest.
pub fn write(digest: &Digest) -> String {
    format!("{SHA256}{}", URL_SAFE_NO_PAD.encode(digest.bytes()))
}

/// What tells a hash that is never verified from any other: see [`Slow::identity`].
pub fn unusable(text: &str) -> Digest {
    identity("unusable", &[text.as_bytes()])
}

/// A digest of a kind of hash and its parts, each after its length: two records have the same one only if they are the
/// same hash. It is never compared with the digest of a presented secret.
fn identity(kind: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new_with_prefix(b"relatch record\0");
    for part in [kind.as_bytes()].iter().chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// Hexadecimal digits of either case.
fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>();
    bytes.filter(|_| rest.is_empty()).map(Zeroizing::new)
}

/// A number of plain digits without leading zeros: what the strict writers of these formats write.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests;
