//! `application/x-www-form-urlencoded`, strictly: the reading that the tests
//! hold the proxy's own reading against, so it shares no code with it.

/// Decodes a form into its pairs, in order. `None` where any byte of it has two
/// readings: a broken percent sign, or text that is not UTF-8.
pub(crate) fn pairs(form: &[u8]) -> Option<Vec<(String, String)>> {
    form.split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let cut = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
            let value = part.get(cut + 1..).unwrap_or_default();
            Some((decode(&part[..cut])?, decode(value)?))
        })
        .collect()
}

/// Decodes one name or value, once.
pub(crate) fn decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => nibble(*bytes.next()?)? << 4 | nibble(*bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// Encodes one name or value in the one canonical way.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Why this body is not a form written anew, `None` if it is one: decodable, no
/// empty parts, only unreserved characters bare, upper-case hex, `=` in each pair.
pub(crate) fn not_canonical(form: &[u8]) -> Option<&'static str> {
    if form.is_empty() {
        return None;
    }
    if pairs(form).is_none() {
        return Some("does not decode");
    }
    if form.iter().any(|byte| !byte.is_ascii_alphanumeric() && !b"*-._~+%&=".contains(byte)) {
        return Some("a reserved byte stands bare");
    }
    for part in form.split(|byte| *byte == b'&') {
        if part.iter().filter(|byte| **byte == b'=').count() != 1 {
            return Some("a part is not name=value");
        }
    }
    let lower_hex =
        form.windows(3).any(|window| window[0] == b'%' && window[1..].iter().any(|digit| digit.is_ascii_lowercase()));
    lower_hex.then_some("hex in lower case")
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
