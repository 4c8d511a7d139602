//! Times, lengths of time and counts as people say them.

use std::borrow::Cow;
use std::time::Duration;

use super::clock::Timestamp;
use super::ids::ClientKey;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `8 s ago`, `2 min ago`, `6 mo ago`; `just now` for what is less than a second away; `in 3 d` for what is to come.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let (past, to_come) = (now.since(at), at.since(now));
    match (past.as_secs(), to_come.as_secs()) {
        (0, 0) => "just now".to_owned(),
        (0, seconds) => format!("in {}", roughly(seconds)),
        (seconds, _) => format!("{} ago", roughly(seconds)),
    }
}

/// `8 s`, `2 min`, `3 h`, `5 d`, `6 mo`, `2 y`: the largest unit, rounded down.
pub fn roughly(seconds: u64) -> String {
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        _ => match seconds / DAY {
            days @ 0..60 => format!("{days} d"),
            days @ 60..730 => format!("{} mo", days / 30),
            days => format!("{} y", days / 365),
        },
    }
}

/// `24h`, `7d`, `1m30s`: as durations are written in files and flags. A day is told as 24 hours.
pub fn length(of: Duration) -> String {
    let seconds = of.as_secs();
    if seconds == 0 {
        return format!("{}ms", of.as_millis());
    }
    if seconds > DAY && seconds.is_multiple_of(DAY) {
        return format!("{}d", seconds / DAY);
    }
    let parts = [(seconds / HOUR, "h"), (seconds % HOUR / MINUTE, "m"), (seconds % MINUTE, "s")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

/// `8,123`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An id as a shell takes it for one word: as it is, or in quotes.
pub fn word(id: &str) -> Cow<'_, str> {
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b));
    if plain && !id.is_empty() { id.into() } else { format!("'{}'", id.replace('\'', "'\\''")).into() }
}

/// `1 client`, `2 clients`
pub fn plural(number: usize, what: &str) -> String {
    let number_text = count(number as u64);
    if number == 1 { format!("{number_text} {what}") } else { format!("{number_text} {what}s") }
}

/// A client as the commands take it: `billing`, or `billing --tenant master`.
pub fn named(client: &ClientKey) -> String {
    argument(client.tenant.as_str(), client.id.as_str())
}

/// The same of its two names.
pub fn argument(tenant: &str, id: &str) -> String {
    let id = word(id);
    if tenant.is_empty() { id.into_owned() } else { format!("{id} --tenant {}", word(tenant)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_their_largest_unit() {
        let now = Timestamp::from_millis(2_000_000_000_000);
        let before = |seconds: u64| Timestamp::from_millis(now.millis() - seconds * 1000);
        for (seconds, said) in [
            (0, "just now"),
            (8, "8 s ago"),
            (119, "1 min ago"),
            (2 * HOUR, "2 h ago"),
            (59 * DAY, "59 d ago"),
            (182 * DAY, "6 mo ago"),
            (800 * DAY, "2 y ago"),
        ] {
            assert_eq!(ago(before(seconds), now), said);
        }
        assert_eq!(ago(now.plus(Duration::from_secs(3 * DAY)), now), "in 3 d");
    }

    #[test]
    fn lengths_are_said_as_they_are_written() {
        for (seconds, said) in [(60, "1m"), (90, "1m30s"), (DAY, "24h"), (7 * DAY, "7d"), (2, "2s"), (3661, "1h1m1s")] {
            assert_eq!(length(Duration::from_secs(seconds)), said);
            assert_eq!(crate::config::values::duration(said), Some(Duration::from_secs(seconds)), "{said}");
        }
    }

    #[test]
    fn counts_are_grouped() {
        for (number, said) in [(0, "0"), (999, "999"), (8123, "8,123"), (1_000_000, "1,000,000")] {
            assert_eq!(count(number), said);
        }
        assert_eq!(plural(1, "client"), "1 client");
        assert_eq!(plural(2, "client"), "2 clients");
        assert_eq!((word("billing-1"), word("a b'c")), ("billing-1".into(), "'a b'\\''c'".into()));
    }
}
