//! A message of HTTP/1.1 as bytes (RFC 9112): its head, read once and strictly, and where its body ends. Whatever could be
//! read in two ways is no message. Pure; whoever has the bytes asks.
//!
//! Heads of HTTP/2 come as maps, and become the same [`fields::Fields`] at their door.

pub mod answer;
pub mod body;
pub mod fields;
mod lines;
pub mod name;
pub mod request;
pub mod target;

use http::Version;

use self::body::End;
use self::fields::Fields;
use self::name::Name;

/// Fields of a head: more than any program sends.
const MOST_FIELDS: usize = 100;

/// What came is no message by the letter, or one that could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What the fields say of where the body ends, if anything (RFC 9112 section 6.3). A length that stands twice, beside a
/// coding or in no digits, and a coding that is not ours to undo, are refused.
fn framing(fields: &Fields) -> Result<Option<End>, Malformed> {
    match (fields.only(Name::TransferEncoding)?, fields.only(Name::ContentLength)?) {
        (None, None) => Ok(None),
        (None, Some(length)) => digits(&length).map(End::after).map(Some).ok_or(Malformed),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(End::chunked())),
        _ => Err(Malformed),
    }
}

/// A number that is written in digits alone.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether the sender keeps the connection (RFC 9112 section 9.3).
fn lives_on(version: Version, fields: &Fields) -> bool {
    let (mut close, mut keep) = (false, false);
    for word in fields.all(Name::Connection).flat_map(|value| value.words()) {
        close |= word.eq_ignore_ascii_case(b"close");
        keep |= word.eq_ignore_ascii_case(b"keep-alive");
    }
    !close && (keep || version != Version::HTTP_10)
}
