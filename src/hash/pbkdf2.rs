//! PBKDF2 (RFC 8018) in three spellings: Ory's `$pbkdf2-sha256$i=..,l=..$salt$key`, passlib's and Authelia's
//! `$pbkdf2-sha512$rounds$salt$key` with a base64 of their own, and Django's `pbkdf2_sha256$rounds$salt$key`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use pbkdf2::pbkdf2_hmac;

use super::slow::{Scheme, Slow};
use super::{Kept, Unreadable, number};

/// Rounds of the whole derivation: some seconds.
const MOST_ROUNDS: u64 = 10_000_000;
/// Lengths that a writer in earnest uses.
const SALTS: std::ops::RangeInclusive<usize> = 4..=256;
const KEYS: std::ops::RangeInclusive<usize> = 16..=128;

/// The hash function under the HMAC.
#[derive(Clone, Copy)]
pub(super) enum Function {
    Sha1,
    Sha256,
    Sha512,
}

pub(super) struct Pbkdf2 {
    function: Function,
    rounds: u32,
    salt: Vec<u8>,
}

/// Reads each of the spellings.
pub(super) fn read(text: &str) -> Result<Kept, Unreadable> {
    if let Some(django) = text.strip_prefix("pbkdf2_") {
        return read_django(django).ok_or(Unreadable::Malformed)?;
    }
    let rest = text.strip_prefix("$pbkdf2").ok_or(Unreadable::Malformed)?;
    let mut fields = rest.split('$');
    let mut field = || fields.next().ok_or(Unreadable::Malformed);
    let function = match field()? {
        "" | "-sha1" => Function::Sha1,
        "-sha256" => Function::Sha256,
        "-sha512" => Function::Sha512,
        // What Ory calls sha224 and sha384 is SHA3, what others call so is SHA-2: nobody can tell which one this is.
        "-sha224" | "-sha384" => {
            return Err(Unreadable::Unsupported("PBKDF2 over a SHA that two systems mean differently"));
        }
        _ => return Err(Unreadable::Malformed),
    };
    let costs = field()?;
    let (salt, key) = (field()?, field()?);
    if fields.next().is_some() {
        return Err(Unreadable::Malformed);
    }
    let ory = costs.strip_prefix("i=").and_then(|costs| costs.split_once(",l="));
    let read = match ory {
        Some((rounds, length)) => {
            let key =
                STANDARD_NO_PAD.decode(key).ok().filter(|key| number(length).is_some_and(|l| l as usize == key.len()));
            number(rounds).zip(STANDARD_NO_PAD.decode(salt).ok()).zip(key)
        }
        None => number(costs).zip(passlib(salt)).zip(passlib(key)),
    };
    let ((rounds, salt), key) = read.ok_or(Unreadable::Malformed)?;
    kept(function, rounds, salt, key)
}

fn read_django(text: &str) -> Option<Result<Kept, Unreadable>> {
    let mut fields = text.split('$');
    let function = match fields.next()? {
        "sha1" => Function::Sha1,
        "sha256" => Function::Sha256,
        _ => return None,
    };
    // The salt is used as it stands: text, not the bytes that it might encode.
    let (rounds, salt) = (number(fields.next()?)?, fields.next()?.as_bytes().to_vec());
    let key = STANDARD.decode(fields.next()?).ok()?;
    fields.next().is_none().then(|| kept(function, rounds, salt, key))
}

/// passlib's base64: `.` for `+`, no padding. Some readers take the usual one too.
fn passlib(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text.replace('.', "+")).ok()
}

/// A hash of these parts, if it does not cost too much.
pub(super) fn kept(function: Function, rounds: u32, salt: Vec<u8>, key: Vec<u8>) -> Result<Kept, Unreadable> {
    if rounds == 0 || !SALTS.contains(&salt.len()) || !KEYS.contains(&key.len()) {
        return Err(Unreadable::Malformed);
    }
    let blocks = key.len().div_ceil(function.length()) as u64;
    if u64::from(rounds) * blocks > MOST_ROUNDS {
        let what = format!("PBKDF2 with {rounds} rounds for each of {blocks} blocks; 10 million is the most");
        return Err(Unreadable::TooCostly(what));
    }
    Ok(Slow::kept(Scheme::Pbkdf2(Pbkdf2 { function, rounds, salt }), key))
}

impl Function {
    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Pbkdf2 {
    #[expect(clippy::unnecessary_wraps, reason = "every scheme derives alike, and others can fail")]
    pub(super) fn derive(&self, presented: &[u8], out: &mut [u8]) -> Option<()> {
        match self.function {
            Function::Sha1 => pbkdf2_hmac::<sha1::Sha1>(presented, &self.salt, self.rounds, out),
            Function::Sha256 => pbkdf2_hmac::<sha2::Sha256>(presented, &self.salt, self.rounds, out),
            Function::Sha512 => pbkdf2_hmac::<sha2::Sha512>(presented, &self.salt, self.rounds, out),
        }
        Some(())
    }

    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        vec![vec![self.function as u8], self.rounds.to_be_bytes().to_vec(), self.salt.clone()]
    }
}
