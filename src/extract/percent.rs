//! Form encoding (application/x-www-form-urlencoded), strictly: `%` is followed by two hex digits or the text is refused.
//!
//! The libraries at hand decode leniently (a lone `%` stays, bad UTF-8 becomes a replacement character), so that two
//! different requests become one. On this path they may not.

/// A `%` that is not followed by two hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

/// Appends `raw`, decoded: `+` is a space, `%XX` a byte.
pub fn decode(raw: &[u8], out: &mut Vec<u8>) -> Result<(), BadEscape> {
    if are_plain(raw) {
        out.extend_from_slice(raw);
        return Ok(());
    }
    out.reserve(raw.len());
    each(raw, |byte| out.push(byte))
}

/// What a lax decoder makes of `raw`: an escape that is none stays as it stands, and `+` may too. For telling what somebody
/// else may read, never for reading.
pub fn decode_laxly(raw: &[u8], plus_is_space: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                hex(Some(*high)).and_then(|high| Ok((high << 4 | hex(Some(*low))?, after))).ok()
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((if byte == b'+' && plus_is_space { b' ' } else { byte }, after));
        out.push(byte);
        rest = after;
    }
    out
}

/// Appends bytes, encoded: `[A-Za-z0-9*-._]` as they are, a space as `+`, everything else as `%XX`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    if are_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    bytes.iter().for_each(|byte| push_encoded(*byte, out));
}

/// Appends `raw` decoded once and encoded once, in one pass.
pub fn recode(raw: &[u8], out: &mut Vec<u8>) -> Result<(), BadEscape> {
    each(raw, |byte| push_encoded(byte, out))
}

/// Whether a byte stands for itself in canonical form encoding.
pub fn is_plain(byte: u8) -> bool {
    class(byte) & PLAIN != 0
}

/// Whether each of these bytes stands for itself.
pub fn are_plain(bytes: &[u8]) -> bool {
    are_plain_but(bytes, *b"**")
}

/// Whether each of these bytes stands for itself or is one of two others. Compared, not looked up, sixteen at once, and to
/// the end in any case: so that the compiler has no reason to look at one alone.
pub fn are_plain_but(bytes: &[u8], others: [u8; 2]) -> bool {
    let [one, other] = others;
    let differs = |byte: u8| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        let mark = (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'*');
        !(letter | digit | mark | (byte == one) | (byte == other))
    };
    let any = |sixteen: &[u8; 16]| sixteen.iter().fold(false, |found, byte| found | differs(*byte));
    let (sixteens, rest) = bytes.as_chunks();
    // What is left is looked at together with some that were, or with some that differ from nothing.
    let last = bytes.last_chunk().copied().unwrap_or_else(|| {
        let mut last = [b'a'; 16];
        last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
        last
    });
    !sixteens.iter().fold(any(&last), |found, sixteen| found | any(sixteen))
}

/// A byte that stands for itself.
pub const PLAIN: u8 = 1;
/// `+`, which stands for a space and is written so again.
pub const PLUS: u8 = 2;
/// `%`, `&`, `=` and everything that must be looked at more closely.
pub const SPECIAL: u8 = 4;

/// What kind of byte it is in a form, looked up rather than compared: this runs over every byte of every body.
pub fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(SPECIAL)
}

static CLASSES: [u8; 256] = {
    let mut classes = [SPECIAL; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "evaluated by the compiler, in bounds"
        )]
        if matches!(byte as u8, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_') {
            classes[byte] = PLAIN;
        } else if byte as u8 == b'+' {
            classes[byte] = PLUS;
        }
        byte += 1;
    }
    classes
};

fn each(raw: &[u8], mut emit: impl FnMut(u8)) -> Result<(), BadEscape> {
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        emit(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
                high << 4 | low
            }
            other => other,
        });
    }
    Ok(())
}

fn hex(digit: Option<u8>) -> Result<u8, BadEscape> {
    match digit {
        Some(d @ b'0'..=b'9') => Ok(d - b'0'),
        Some(d @ b'a'..=b'f') => Ok(d - b'a' + 10),
        Some(d @ b'A'..=b'F') => Ok(d - b'A' + 10),
        _ => Err(BadEscape),
    }
}

fn push_encoded(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    match byte {
        b' ' => out.push(b'+'),
        plain if is_plain(plain) => out.push(plain),
        other => out.extend_from_slice(&[b'%', digit(other >> 4), digit(other & 15)]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(raw: &str) -> Result<Vec<u8>, BadEscape> {
        let mut out = Vec::new();
        decode(raw.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn escapes_are_strict() {
        assert_eq!(decoded("a+b%20c%2B%c3%A9").unwrap(), "a b c+é".as_bytes());
        for bad in ["%", "%2", "%zz", "a%2", "%%41", "%+1", "%u0041"] {
            assert_eq!(decoded(bad), Err(BadEscape), "{bad}");
        }
    }

    #[test]
    fn many_bytes_are_plain_where_each_is() {
        for byte in 0..=255 {
            for (at, length) in [(0, 1), (8, 9), (0, 15), (15, 16), (0, 17), (16, 17), (15, 32), (32, 40), (39, 40)] {
                let mut bytes = vec![b'a'; length];
                bytes[at] = byte;
                assert_eq!(are_plain(&bytes), is_plain(byte), "{byte}");
                assert_eq!(are_plain_but(&bytes, *b"&="), is_plain(byte) || b"&=".contains(&byte), "{byte}");
            }
        }
        assert!(are_plain(b""));
    }

    proptest! {
        #[test]
        fn decode_undoes_encode_and_the_common_library_agrees(bytes: Vec<u8>) {
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            let mut back = Vec::new();
            decode(&text, &mut back).unwrap();
            prop_assert_eq!(&back, &bytes);
            if let Ok(value) = std::str::from_utf8(&bytes) {
                let library = serde_urlencoded::to_string([("v", value)]).unwrap();
                prop_assert_eq!(format!("v={}", std::str::from_utf8(&text).unwrap()), library);
            }
        }

        #[test]
        fn recode_is_decode_then_encode(raw in "[ -~]{0,64}") {
            let (mut once, mut decoded, mut twice) = (Vec::new(), Vec::new(), Vec::new());
            let recoded = recode(raw.as_bytes(), &mut once);
            let both = decode(raw.as_bytes(), &mut decoded).map(|()| encode(&decoded, &mut twice));
            prop_assert_eq!(recoded, both);
            if recoded.is_ok() {
                prop_assert_eq!(once, twice);
            }
        }
    }
}
