//! Samples in the text format, put together from their pieces.

use crate::domain::clock::Timestamp;

/// Text on its way to a scraper.
pub(super) struct Text(String);

impl Text {
    pub(super) const fn of(text: String) -> Self {
        Self(text)
    }

    /// How long it is, bytes.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.begin(&["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    /// The beginning of a sample.
    pub(super) fn begin(&mut self, pieces: &[&str]) {
        pieces.iter().for_each(|piece| self.0.push_str(piece));
    }

    /// More of a sample: what stands between quotes.
    pub(super) fn label(&mut self, value: &str) {
        escape_into(&mut self.0, value);
    }

    /// The rest of a sample, and its value.
    pub(super) fn sample(&mut self, pieces: &[&str], value: u64) {
        self.begin(pieces);
        match value {
            // What most counters of a long list show.
            0 => self.begin(&[" 0\n"]),
            1 => self.begin(&[" 1\n"]),
            _ => self.begin(&[" ", itoa::Buffer::new().format(value), "\n"]),
        }
    }

    /// The same of a time: seconds since 1970 with their thousandths.
    pub(super) fn sample_time(&mut self, pieces: &[&str], at: Timestamp) {
        self.begin(pieces);
        self.begin(&[" ", itoa::Buffer::new().format(at.millis() / 1000)]);
        let thousandths = at.millis() % 1000;
        if thousandths > 0 {
            // With a 1 before them, which keeps the zeros they begin with.
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(1000 + thousandths).get(1..).unwrap_or_default();
            self.begin(&[".", digits.trim_end_matches('0')]);
        }
        self.begin(&["\n"]);
    }

    /// What there is; it goes on with `room` for more.
    pub(super) fn take(&mut self, room: usize) -> String {
        std::mem::replace(&mut self.0, String::with_capacity(room))
    }
}

/// Escapes a label value as the text format and the query language want it. Other control characters are legal there and harmless.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text);
    out
}

/// The same at the end of a text.
pub(super) fn escape_into(out: &mut String, text: &str) {
    if memchr::memchr3(b'\\', b'"', b'\n', text.as_bytes()).is_none() {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        let mut text = Text::of(String::new());
        for millis in [0, 1, 10, 999, 1000, 1_795_224_600_007, 1_795_224_600_070, 1_795_224_601_000] {
            text.sample_time(&[], Timestamp::from_millis(millis));
        }
        let expected = "0 0.001 0.01 0.999 1 1795224600.007 1795224600.07 1795224601";
        assert_eq!(text.take(0).split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        assert_eq!(escape("\"}\n\\"), "\\\"}\\n\\\\");
        assert_eq!(escape("plain, \u{e9} and \t"), "plain, \u{e9} and \t");
    }
}
