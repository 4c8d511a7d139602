//! The parts of a head, read off its front, each byte looked at once and every line by the letter (RFC 9112 sections 2 to 5).
//! There is one reading: no line is folded, no space stands where none belongs, and no control character is let through.

use std::ops::Range;

use super::name::Name;
use crate::domain::swar;

/// Reads a head from its front.
pub(super) struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

/// Why there is nothing more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The rest is not here yet.
    More,
    /// It is no head.
    Malformed,
    /// There are more fields than any program sends.
    TooMany,
}

type Read<T> = Result<T, Stop>;

/// What a field's name means to us, and where the name and the value stand.
type Places = (Name, Range<usize>, Range<usize>);

/// Reads a head off the front of what came, and tells how long it is; nothing while it is not all here. `seen` bytes were
/// looked through before, and are not again. At the first look it is read at once: nearly always it is all here, and whoever
/// does not begin a head is not waited for.
pub(super) fn head<T>(
    came: &[u8],
    seen: &mut usize,
    parts: impl FnOnce(&mut Reader<'_>) -> Read<T>,
) -> Read<Option<(T, usize)>> {
    let first = *seen == 0;
    let whole = first || end_of_head(came, *seen).is_some();
    *seen = came.len();
    if !whole {
        return Ok(None);
    }
    let mut reader = Reader::of(came);
    match parts(&mut reader) {
        Ok(parts) => {
            *seen = 0;
            Ok(Some((parts, reader.at())))
        }
        Err(Stop::More) if first => Ok(None),
        Err(Stop::More) => Err(Stop::Malformed),
        Err(stop) => Err(stop),
    }
}

/// Where a head ends: behind an empty line. The lines may end with a line feed alone (RFC 9112 section 2.2). `seen` bytes
/// were looked through before, and are not again.
pub(super) fn end_of_head(came: &[u8], seen: usize) -> Option<usize> {
    // An end that was cut begins three bytes before at the most.
    let from = seen.saturating_sub(3);
    memchr::memchr_iter(b'\n', came.get(from..)?).find_map(|at| match came.get(from + at + 1..)? {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

impl<'t> Reader<'t> {
    /// From the front of what came.
    pub(super) const fn of(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// How much was read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes at a place.
    pub(super) fn part(&self, range: &Range<usize>) -> &'t [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn next(&self) -> Read<u8> {
        self.text.get(self.at).copied().ok_or(Stop::More)
    }

    /// A byte, whatever it is.
    pub(super) fn byte(&mut self) -> Read<u8> {
        let byte = self.next()?;
        self.at += 1;
        Ok(byte)
    }

    /// These bytes and no others.
    pub(super) fn exactly(&mut self, word: &[u8]) -> Read<()> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if let Some(begun) = rest.get(..word.len()) {
            self.at += word.len();
            return if begun == word { Ok(()) } else { Err(Stop::Malformed) };
        }
        Err(if word.starts_with(rest) { Stop::More } else { Stop::Malformed })
    }

    /// At least one byte of these, and behind them the one that ends them, which is passed over.
    fn until(&mut self, end: u8, belongs: impl Fn(u8) -> bool) -> Read<Range<usize>> {
        let from = self.at;
        let length = self.text.get(from..).unwrap_or_default().iter().position(|byte| !belongs(*byte));
        let to = from + length.ok_or(Stop::More)?;
        self.at = to;
        if to == from || self.byte()? != end {
            return Err(Stop::Malformed);
        }
        Ok(from..to)
    }

    /// A token (RFC 9110 section 5.6.2), and the byte behind it.
    pub(super) fn token(&mut self, end: u8) -> Read<Range<usize>> {
        self.until(end, is_of_token)
    }

    /// Visible characters, and the byte behind them.
    pub(super) fn visible(&mut self, end: u8) -> Read<Range<usize>> {
        self.until(end, |byte| byte.is_ascii_graphic())
    }

    /// `HTTP/1.0` or `HTTP/1.1`.
    pub(super) fn version(&mut self) -> Read<http::Version> {
        self.exactly(b"HTTP/1.")?;
        match self.byte()? {
            b'0' => Ok(http::Version::HTTP_10),
            b'1' => Ok(http::Version::HTTP_11),
            _ => Err(Stop::Malformed),
        }
    }

    /// The end of a line: a line feed alone is one too (RFC 9112 section 2.2).
    pub(super) fn line_end(&mut self) -> Read<()> {
        match self.byte()? {
            b'\n' => Ok(()),
            b'\r' if self.byte()? == b'\n' => Ok(()),
            _ => Err(Stop::Malformed),
        }
    }

    /// What a server says about its status, if it says anything, up to the end of the line.
    pub(super) fn reason(&mut self) -> Read<()> {
        if self.next()? == b' ' {
            self.at = first_control(self.text, self.at);
        }
        self.line_end()
    }

    /// Everything up to the end of the line, without the space around it, and that end.
    pub(super) fn value(&mut self) -> Read<Range<usize>> {
        while is_space(self.next()?) {
            self.at += 1;
        }
        let from = self.at;
        let mut to = first_control(self.text, from);
        self.at = to;
        self.line_end()?;
        while to > from && self.text.get(to - 1).copied().is_some_and(is_space) {
            to -= 1;
        }
        Ok(from..to)
    }

    /// The name of a field, and the colon behind it. The characters of one that is known need no look.
    fn name(&mut self) -> Read<(Name, Range<usize>)> {
        let from = self.at;
        let Some(to) = swar::find(self.text, from, b':') else {
            return self.token(b':').and(Err(Stop::Malformed));
        };
        let known = Name::of(self.part(&(from..to)));
        if known == Name::Other {
            return Ok((known, self.token(b':')?));
        }
        self.at = to + 1;
        Ok((known, from..to))
    }

    /// The next field, its name and its value; nothing at the end of the head.
    pub(super) fn field(&mut self) -> Read<Option<Places>> {
        if matches!(self.next()?, b'\r' | b'\n') {
            return self.line_end().map(|()| None);
        }
        let (known, name) = self.name()?;
        Ok(Some((known, name, self.value()?)))
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the first control character but a tab stands, or the end.
fn first_control(text: &[u8], mut at: usize) -> usize {
    loop {
        at = swar::find_control(text, at);
        if text.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

/// Looked up rather than compared: this runs over every name of every field.
fn is_of_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

static TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "evaluated when it is compiled; there are 256 bytes"
        )]
        {
            token[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(
                    byte as u8,
                    b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
                );
        }
        byte += 1;
    }
    token
};

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Heads that begin with such a line, some of them with a byte that is any, and something behind them.
    pub(in crate::message) fn heads(line: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let field = "[a-zA-Z-]{0,20}[!-~]?[ \\t]?:[ \\t]{0,2}[ -~\\t]{0,40}[ \\t]{0,2}";
        let ending = prop_oneof![4 => Just("\r\n"), 1 => Just("\n")];
        let spoilt = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
        let parts = (line, proptest::collection::vec(field, 0..6), ending, spoilt, ".{0,8}");
        let heads = parts.prop_map(|(line, fields, ending, spoilt, behind)| {
            let lines: String = fields.iter().map(|field| format!("{field}{ending}")).collect();
            let mut text = format!("{line}{ending}{lines}{ending}{behind}").into_bytes();
            if let Some((at, byte)) = spoilt {
                let at = at.index(text.len());
                text[at] = byte;
            }
            text
        });
        // An empty line before it is nothing to this reader, and passed over by the other.
        heads.prop_filter("begins with a line", |text| !text.starts_with(b"\r") && !text.starts_with(b"\n"))
    }

    /// The fields as they stand.
    pub(in crate::message) fn as_they_stand<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Vec<Vec<u8>> {
        fields.flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).collect()
    }

    #[test]
    fn a_value_ends_at_a_control_character_wherever_it_stands() {
        for byte in 0..=255u8 {
            let ends = byte != b'\t' && (byte < 0x20 || byte == 0x7f);
            for (length, at) in [(1, 0), (7, 6), (8, 0), (8, 7), (9, 8), (40, 17), (40, 39)] {
                for filling in [b'a', b' ', b'\t', 0x80, 0xff, 0x1f ^ 0x80] {
                    let mut text = vec![filling; length];
                    text[at] = byte;
                    assert_eq!(first_control(&text, 0), if ends { at } else { length }, "{byte} {at} {filling}");
                }
            }
        }
    }
}
