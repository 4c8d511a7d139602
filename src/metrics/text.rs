//! The exposition as it is written: samples are put together from their pieces, and handed over in parts, so that a long list
//! needs no more memory than a short one.

use crate::domain::clock::Timestamp;

/// A part that is handed over, bytes.
const PART: usize = 128 << 10;
/// Room for the line that makes it one.
const SLACK: usize = 4 << 10;

/// Takes a part; whether it wants more.
pub type Taker<'t> = dyn FnMut(String) -> bool + 't;

/// Text on its way to a scraper.
pub(super) struct Text<'t> {
    part: String,
    taker: &'t mut Taker<'t>,
    wanted: bool,
}

impl<'t> Text<'t> {
    pub(super) fn new(part: String, taker: &'t mut Taker<'t>) -> Self {
        Self { part, taker, wanted: true }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.begin(&["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    /// The beginning of a sample.
    pub(super) fn begin(&mut self, pieces: &[&str]) {
        pieces.iter().for_each(|piece| self.part.push_str(piece));
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
        self.hand_over();
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
        self.hand_over();
    }

    /// Hands over the last part.
    pub(super) fn end(mut self) {
        if self.wanted && !self.part.is_empty() {
            (self.taker)(std::mem::take(&mut self.part));
        }
    }

    fn hand_over(&mut self) {
        if self.part.len() < PART {
            return;
        }
        // Who went away gets nothing more; what is written on is thrown away.
        let part = std::mem::replace(&mut self.part, String::with_capacity(PART + SLACK));
        self.wanted = self.wanted && (self.taker)(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        let mut whole = String::new();
        let mut taker = |part: String| {
            whole.push_str(&part);
            true
        };
        let mut text = Text::new(String::new(), &mut taker);
        for millis in [0, 1, 10, 999, 1000, 1_795_224_600_007, 1_795_224_600_070, 1_795_224_601_000] {
            text.sample_time(&[], Timestamp::from_millis(millis));
        }
        text.end();
        let expected = "0 0.001 0.01 0.999 1 1795224600.007 1795224600.07 1795224601";
        assert_eq!(whole.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn parts_are_bounded_and_who_wants_no_more_gets_none() {
        for wants in [usize::MAX, 2] {
            let (mut parts, mut longest) = (0, 0);
            let mut taker = |part: String| {
                parts += 1;
                longest = longest.max(part.len());
                parts < wants
            };
            let mut text = Text::new(String::new(), &mut taker);
            (0..100_000).for_each(|number| text.sample(&["a_sample{with=\"a label\"}"], number));
            text.end();
            assert!(longest < PART + SLACK, "{longest}");
            assert!(if wants == 2 { parts == 2 } else { parts > 20 }, "{parts}");
        }
    }
}
