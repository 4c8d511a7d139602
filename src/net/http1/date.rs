//! The Date of answers (RFC 9110 section 6.6.1), written once a second.

use std::cell::RefCell;

use jiff::fmt::rfc2822::DateTimePrinter;

use crate::domain::clock::Timestamp;

/// The line that every answer of a thread has, and the second that it is of.
#[derive(Default)]
pub struct Date(RefCell<(u64, String)>);

impl Date {
    /// It is this late.
    pub(in crate::net) fn tick(&self, now: Timestamp) {
        let second = now.millis() / 1000;
        let (written, line) = &mut *self.0.borrow_mut();
        if *written == second && !line.is_empty() {
            return;
        }
        let time = jiff::Timestamp::from_second(i64::try_from(second).unwrap_or(i64::MAX));
        // A year beyond 9999 has none: better no date than a wrong one.
        let text = time.ok().and_then(|time| DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok());
        *line = text.map_or_else(String::new, |text| format!("date: {text}\r\n"));
        *written = second;
    }

    /// Appends the line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.borrow().1.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_last_tick() {
        let date = Date::default();
        for (millis, expected) in [
            (784_111_777_999, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            (784_111_778_000, "date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"),
            (u64::MAX, ""),
        ] {
            date.tick(Timestamp::from_millis(millis));
            let mut out = Vec::new();
            date.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
