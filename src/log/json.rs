//! One flat JSON object a line, written without a tree of values in between.

use std::io::Write;

use crate::domain::swar;

/// An object being written.
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    /// Opens it.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// A string member.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push(b'"');
        escape(value, self.out);
        self.out.push(b'"');
    }

    /// Closes it, and the line.
    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Escapes what JSON wants escaped, and DEL and the line separators that some readers break lines at.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        return out.extend_from_slice(text.as_bytes());
    }
    let special = |c: char| c < ' ' || matches!(c, '"' | '\\' | '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = after.chars();
        let _infallible = match chars.next() {
            Some(c @ ('"' | '\\')) => write!(out, "\\{c}"),
            Some(c) => write!(out, "\\u{:04x}", u32::from(c)),
            None => Ok(()),
        };
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether nothing in it is to be escaped, nor beyond ASCII.
fn is_plain(text: &[u8]) -> bool {
    swar::none(text, b' ', |eight| {
        let quotes = swar::equal(eight, b'"') | swar::equal(eight, b'\\');
        swar::control(eight) | swar::beyond_ascii(eight) | quotes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_is_one_line_and_reads_back(value in "\\PC*|[\\x00-\\x7f]{0,20}") {
            let mut out = Vec::new();
            let mut object = Object::begin(&mut out);
            object.text("a", &value);
            object.end();
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, serde_json::json!({"a": value}));
        }
    }
}
