//! Kinds of values that stand in the files as strings: durations, sizes, addresses, times.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::clock::Timestamp;

/// `"2s"`, `"1m30s"`, `"24h"`, `"7d"`, `"100ms"`: a length of time, days being 24 hours. Always with a unit.
pub fn duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 || !text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let millis = span.total((jiff::Unit::Millisecond, jiff::SpanRelativeTo::days_are_24_hours())).ok()?;
    (0.0..=MAX_MILLIS).contains(&millis).then(|| Duration::from_secs_f64(millis / 1000.0))
}

/// A duration as [`duration`] reads it, in the largest unit that it is a whole number of.
pub fn written(length: Duration) -> String {
    let millis = length.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let unit = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    match (unit, millis) {
        (Some((unit, name)), _) => format!("{}{name}", millis / unit),
        (None, 0) => "0s".to_owned(),
        (None, _) => format!("{millis}ms"),
    }
}

/// A size as [`size`] reads it, in the largest unit that it is a whole number of.
pub fn written_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// A hundred years: beyond it a duration is a slip of the pen.
const MAX_MILLIS: f64 = 100.0 * 365.0 * 24.0 * 3_600_000.0;

/// `"64KiB"`, `"1MiB"`, `"512B"`, `"10KB"`: a number of bytes. Always with a unit.
pub fn size(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: usize = match unit.trim_start() {
        "B" => 1,
        "KB" | "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// An RFC 3339 time with its offset, such as `2026-11-21T01:30:00Z`.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// `127.0.0.1:8080` or `[::1]:8080`: an address to listen on. Names are refused, because what they mean can change.
pub fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// `unix:/run/relatch/proxy.sock`: the path of a unix socket.
pub fn unix_path(text: &str) -> Option<PathBuf> {
    text.strip_prefix("unix:").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What the kernel keeps of a socket's path, its final zero not counted.
const MOST_SOCKET_PATH: usize = 107;

/// Says so where a path is too long to be a socket's.
pub fn too_long_for_a_socket(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    (length > MOST_SOCKET_PATH).then(|| {
        format!("the socket's path has {length} bytes, and the system takes {MOST_SOCKET_PATH}: choose a shorter one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same() {
        for text in ["0s", "1ms", "1500ms", "10s", "75s", "1m", "90m", "24h", "30d"] {
            let length = duration(text).unwrap();
            assert_eq!(duration(&written(length)), Some(length), "{text}");
        }
        assert_eq!(
            ["75s", "60s", "48h", "1500ms"].map(|text| written(duration(text).unwrap())),
            ["75s", "1m", "2d", "1500ms"]
        );
        for text in ["0B", "512B", "64KiB", "1MiB", "1500B"] {
            assert_eq!(written_size(size(text).unwrap()), text);
        }
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [
            ("2s", 2.0),
            ("0s", 0.0),
            ("100ms", 0.1),
            ("1m", 60.0),
            ("24h", 86400.0),
            ("7d", 604_800.0),
            ("1m30s", 90.0),
        ] {
            assert_eq!(duration(text).map(|d| d.as_secs_f64()), Some(seconds), "{text}");
        }
        for bad in ["", "2", "s", "-2s", "2 parsecs", "1y", "1mo", "1e9s", "NaN", "9999999999h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("64KiB", 65_536), ("1MiB", 1 << 20), ("512B", 512), ("10KB", 10_000), ("2 KiB", 2048)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "64", "KiB", "-1KiB", "1.5MiB", "1TiB", "99999999999999999999B", "64kib"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_have_an_offset() {
        assert_eq!(timestamp("1970-01-01T00:00:01Z"), Some(Timestamp::from_millis(1000)));
        assert_eq!(timestamp("2026-11-21T02:30:00+01:00"), timestamp("2026-11-21T01:30:00Z"));
        for bad in ["", "2026-11-21", "2026-11-21T01:30:00", "1969-12-31T23:59:59Z", "9e99", "-1"] {
            assert_eq!(timestamp(bad), None, "{bad}");
        }
    }
}
