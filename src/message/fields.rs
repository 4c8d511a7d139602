//! The fields of a head: lines over one buffer, each with what its name means to us. Read once, kept in their order.

use std::ops::Deref;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::lines::{Reader, Stop};
use super::name::Name;
use super::{MOST_FIELDS, Malformed};

/// As many as most heads have.
const USUAL_FIELDS: usize = 16;

/// The fields of a head. None of their names and values can hold the end of a line.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Bytes,
    lines: Vec<Line>,
}

/// Where a field stands in the buffer.
#[derive(Clone, Copy)]
struct Line {
    name: Name,
    name_at: u32,
    name_length: u32,
    value_at: u32,
    value_length: u32,
}

/// The fields of a head that is not cut off what came yet.
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// Reads them to the end of the head.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        // Longer than any head may be: there a field has no place, and reads as an empty one.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut lines = Vec::with_capacity(USUAL_FIELDS);
        while let Some((known, name, value)) = reader.field()? {
            if lines.len() == MOST_FIELDS {
                return Err(Stop::TooMany);
            }
            lines.push(Line {
                name: known,
                name_at: place(name.start),
                name_length: place(name.len()),
                value_at: place(value.start),
                value_length: place(value.len()),
            });
        }
        Ok(Self(lines))
    }
}

/// A field.
#[derive(Clone, Copy)]
pub struct Field<'f> {
    /// What its name means to us.
    pub name: Name,
    /// The name as it came.
    pub written: &'f [u8],
    /// The value.
    pub value: Value<'f>,
}

/// The value of a field: no end of a line is in it, nor any control character but a tab.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'f>(&'f [u8]);

impl<'f> Value<'f> {
    /// A value by the letter (RFC 9110 section 5.5), if it is one.
    pub fn of(text: &'f [u8]) -> Option<Self> {
        let is_plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        text.iter().all(is_plain).then_some(Self(text))
    }

    /// Its bytes, for as long as the fields live.
    pub const fn bytes(self) -> &'f [u8] {
        self.0
    }

    /// As text, where it is text.
    pub fn text(self) -> Option<&'f str> {
        std::str::from_utf8(self.0).ok()
    }

    /// The items of a list.
    pub fn words(self) -> impl Iterator<Item = &'f [u8]> {
        self.0.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl<'f> From<&'f HeaderValue> for Value<'f> {
    fn from(value: &'f HeaderValue) -> Self {
        Self(value.as_bytes())
    }
}

impl Fields {
    /// Of lines that were read, over the head that they stand in.
    pub(super) fn over(bytes: Bytes, lines: Lines) -> Self {
        Self { bytes, lines: lines.0 }
    }

    /// Those of a head of HTTP/2.
    pub fn of_map(map: &HeaderMap) -> Self {
        let mut text = Vec::with_capacity(map.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum());
        let fields =
            map.iter().map(|(name, value)| (Name::of(name.as_str().as_bytes()), name.as_str(), value.as_bytes()));
        let lines = fields.map(|(name, written, value)| append(&mut text, name, written.as_bytes(), value)).collect();
        Self { bytes: text.into(), lines }
    }

    /// As HTTP/2 has them.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.lines.len());
        for (line, field) in self.lines.iter().zip(self.iter()) {
            let shared = self.bytes.slice(line.value());
            if let (Ok(name), Ok(mut value)) =
                (HeaderName::from_bytes(field.written), HeaderValue::from_maybe_shared(shared))
            {
                // Never to be put into a table that later requests are compressed with (RFC 7541 section 7.1.3).
                value.set_sensitive(field.name == Name::Authorization);
                map.append(name, value);
            }
        }
        map
    }

    /// Adds a field, the last one.
    pub fn push(&mut self, name: Name, value: Value<'_>) {
        self.extend([(name, value)]);
    }

    /// Keeps those that `keeps` says.
    pub fn retain(&mut self, keeps: impl Fn(Field<'_>) -> bool) {
        let bytes = &self.bytes;
        self.lines.retain(|line| keeps(line.in_(bytes)));
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.lines.iter().map(|line| line.in_(&self.bytes))
    }

    /// Whether one with this name is there.
    pub fn has(&self, name: Name) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }

    /// The values of all with a name.
    pub fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = Value<'_>> {
        self.lines.iter().filter(move |line| line.name == name).map(|line| line.in_(&self.bytes).value)
    }

    /// The value of the first with a name.
    pub fn get(&self, name: Name) -> Option<Value<'_>> {
        self.all(name).next()
    }

    /// The value of the only one with a name, if there is one; of two, none is meant.
    pub fn only(&self, name: Name) -> Result<Option<Value<'_>>, Malformed> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (only, None) => Ok(only),
            _ => Err(Malformed),
        }
    }
}

impl<'f> Extend<(Name, Value<'f>)> for Fields {
    fn extend<I: IntoIterator<Item = (Name, Value<'f>)>>(&mut self, fields: I) {
        let mut text = Vec::from(std::mem::take(&mut self.bytes));
        let line = |(name, value): (Name, Value<'_>)| append(&mut text, name, name.as_str().as_bytes(), &value);
        self.lines.extend(fields.into_iter().map(line));
        self.bytes = text.into();
    }
}

impl<'f> FromIterator<(Name, Value<'f>)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Name, Value<'f>)>>(fields: I) -> Self {
        let mut all = Self::default();
        all.extend(fields);
        all
    }
}

/// Appends a line to the text and tells where it stands.
fn append(text: &mut Vec<u8>, name: Name, written: &[u8], value: &[u8]) -> Line {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let name_at = text.len();
    text.extend_from_slice(written);
    text.extend_from_slice(b": ");
    let value_at = text.len();
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
    let (name_at, value_at) = (place(name_at), place(value_at));
    Line { name, name_at, name_length: place(written.len()), value_at, value_length: place(value.len()) }
}

impl Line {
    fn value(self) -> std::ops::Range<usize> {
        range(self.value_at, self.value_length)
    }

    fn in_(self, bytes: &Bytes) -> Field<'_> {
        Field {
            name: self.name,
            written: bytes.get(range(self.name_at, self.name_length)).unwrap_or_default(),
            value: Value(bytes.get(self.value()).unwrap_or_default()),
        }
    }
}

const fn range(at: u32, length: u32) -> std::ops::Range<usize> {
    at as usize..at as usize + length as usize
}
