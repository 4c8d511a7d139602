//! HTTP Basic (RFC 7617): the scheme's name in any case, then one token of strict, padded, standard base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What an Authorization header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'h> {
    /// Basic, and what follows it.
    Basic(&'h [u8]),
    /// Bearer, DPoP, Digest or anything else.
    Other,
    /// No credentials by the grammar, or what a server that is less strict than we are might take for Basic.
    Malformed,
}

/// Not base64 by the letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

/// Tells the scheme of an Authorization header's value. Only a space ends a scheme's name (RFC 9110 section 11.4): servers
/// that split at a tab, or look at the first five letters, would read Basic where we read nothing.
pub fn scheme(value: &[u8]) -> Scheme<'_> {
    let name = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let Some((name, rest)) = value.split_at_checked(name) else { return Scheme::Malformed };
    let plain = |rest: &[u8]| rest.iter().all(|b| matches!(b, b' '..=b'~'));
    match name.split_at_checked(BASIC.len()) {
        Some((basic, more)) if basic.eq_ignore_ascii_case(BASIC) => {
            if more.is_empty() {
                Scheme::Basic(rest.trim_ascii_start())
            } else {
                Scheme::Malformed
            }
        }
        _ if !name.is_empty() && name.iter().copied().all(is_token_char) && plain(rest) => Scheme::Other,
        _ => Scheme::Malformed,
    }
}

const BASIC: &[u8] = b"basic";

/// A character of a token (RFC 9110 section 5.6.2).
const fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Appends the decoded text of a Basic credential.
pub fn decode(encoded: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    if encoded.is_empty() {
        return Err(NotBase64);
    }
    // Room first: the decoder must not leave a shorter copy behind by growing.
    out.reserve(encoded.len() * 3);
    STANDARD.decode_vec(encoded, out).map_err(|_| NotBase64)
}

/// An Authorization value for an id and a secret that are already encoded as their reader wants them.
pub fn write(id: &[u8], secret: &[u8]) -> zeroize::Zeroizing<String> {
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(id.len() + 1 + secret.len()));
    text.extend_from_slice(id);
    text.push(b':');
    text.extend_from_slice(secret);
    let mut value = zeroize::Zeroizing::new(String::with_capacity(6 + text.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(&*text, &mut value);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(scheme(b"bAsIc YTpi"), Scheme::Basic(b"YTpi"));
        assert_eq!(scheme(b"Basic   YTpi"), Scheme::Basic(b"YTpi"));
        assert_eq!(scheme(b"Basic"), Scheme::Basic(b""));
        assert_eq!(scheme(b"Bearer YTpi"), Scheme::Other);
        assert_eq!(scheme(b"Digest username=\"a b\", uri=\"/\""), Scheme::Other);
    }

    #[test]
    fn what_another_server_may_take_for_basic_is_malformed() {
        for value in [
            &b"Basic\tYTpi"[..],
            b"bAsIc\tYTpi x",
            b"Basicx YTpi",
            b"Basic:YTpi",
            b"Basic,YTpi",
            b"Bearer\tx Basic YTpi",
        ] {
            assert_eq!(scheme(value), Scheme::Malformed, "{:?}", value.escape_ascii().to_string());
        }
        for value in [&b""[..], b"B\xe0sic YTpi", b"Bearer a\tb", b"Bearer \xa0Basic YTpi", b"\"Basic\" YTpi"] {
            assert_eq!(scheme(value), Scheme::Malformed, "{:?}", value.escape_ascii().to_string());
        }
    }

    #[test]
    fn base64_is_strict() {
        let decoded = |text: &[u8]| {
            let mut out = Vec::new();
            decode(text, &mut out).map(|()| out)
        };
        assert_eq!(decoded(b"YzE6Z29vZA=="), Ok(b"c1:good".to_vec()));
        for bad in [
            &b""[..],
            b"YzE6Z29vZA",
            b"YzE6Z29vZA=",
            b"YzE6Z29vZA==x",
            b"YzE6 Z29vZA==",
            b"YzE6_29vZA==",
            b"YzE6Z29vZB==",
            b"====",
            b"YzE6Z29vZA===",
        ] {
            assert_eq!(decoded(bad), Err(NotBase64), "{:?}", bad.escape_ascii().to_string());
        }
        assert_eq!(*write(b"c1", b"good"), "Basic YzE6Z29vZA==");
    }
}
