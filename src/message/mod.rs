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

/// So many digits make no number that is too large.
const SHORT: usize = 19;

/// A number that is written in digits alone.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let (short, rest) = text.split_at(text.len().min(SHORT));
    let number = short.iter().try_fold(0, |number, byte| Some(number * 10 + digit(*byte)?))?;
    rest.iter().try_fold(number, |number: u64, byte| number.checked_mul(10)?.checked_add(digit(*byte)?))
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

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn a_length_is_digits_and_fits_or_is_none() {
        for (text, number) in [
            ("0", Some(0)),
            ("0042", Some(42)),
            ("9999999999999999999", Some(9_999_999_999_999_999_999)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("000000000000000000000000018", Some(18)),
            ("", None),
            ("+1", None),
            ("1 ", None),
            ("1a", None),
            ("0000000000000000000000a", None),
        ] {
            assert_eq!(digits(text.as_bytes()), number, "{text}");
        }
    }
}
