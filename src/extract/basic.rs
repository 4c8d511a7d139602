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
}

/// Not base64 by the letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

/// Tells the scheme of an Authorization header's value.
pub fn scheme(value: &[u8]) -> Scheme<'_> {
    let name = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    match value.split_at_checked(name) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"basic") => Scheme::Basic(rest.trim_ascii_start()),
        _ => Scheme::Other,
    }
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
        assert_eq!(scheme(b"Basicx YTpi"), Scheme::Other);
        assert_eq!(scheme(b"Bearer YTpi"), Scheme::Other);
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
