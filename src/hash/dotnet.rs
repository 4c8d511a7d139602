//! ASP.NET Core Identity version 3, as OpenIddict keeps secrets: the base64 of a marker, the function, the rounds and the
//! salt's length (each a big-endian word), the salt and the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::pbkdf2::{self, Function};
use super::{Kept, Unreadable};

/// Reads a blob. A digest in base64 is as good as never one by chance: four words would have to fit.
pub(super) fn read(text: &str) -> Result<Kept, Unreadable> {
    let blob = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| Unreadable::Malformed)?;
    let (function, rounds, salt, key) = split(&blob).ok_or(Unreadable::Malformed)?;
    pbkdf2::kept(function, rounds, salt.to_vec(), key.to_vec())
}

fn split(blob: &[u8]) -> Option<(Function, u32, &[u8], &[u8])> {
    let rest = blob.strip_prefix(&[1])?;
    let (function, rest) = word(rest)?;
    let (rounds, rest) = word(rest)?;
    let (salt, rest) = word(rest)?;
    let function = match function {
        0 => Function::Sha1,
        1 => Function::Sha256,
        2 => Function::Sha512,
        _ => return None,
    };
    // The reader of that system asks for 16 bytes of each.
    let (salt, key) = rest.split_at_checked(salt as usize).filter(|(salt, key)| salt.len() >= 16 && key.len() >= 16)?;
    Some((function, rounds, salt, key))
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}
