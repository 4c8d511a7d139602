//! Warnings ahead: an active secret whose end comes near has passed one threshold after the other.

use std::time::Duration;

use super::{Record, SecretState};
use crate::domain::clock::Timestamp;

/// Days before the end at which there is a notice: as certificates have them, long enough for whoever rotates by hand.
pub const THRESHOLDS: [u16; 6] = [90, 60, 30, 15, 7, 1];

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The last threshold that has been passed on the way to `expires`; nothing before the first one, after the end, and
/// where there is no end.
pub fn notice(expires: Timestamp, now: Timestamp) -> Option<u16> {
    if expires == Timestamp::MAX || now >= expires {
        return None;
    }
    let left = expires.since(now);
    THRESHOLDS.into_iter().filter(|days| left <= DAY * u32::from(*days)).min()
}

impl Record {
    /// The notice that is due for it: only a secret that is accepted can be missed.
    pub fn notice(&self, now: Timestamp) -> Option<u16> {
        (self.state(now) == SecretState::Active).then(|| notice(self.expires, now)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_the_smallest_threshold_that_was_passed() {
        let now = Timestamp::from_millis(1_795_000_000_000);
        let day = 86_400_000;
        for (left, expected) in [
            (91 * day, None),
            (90 * day + 1, None),
            (90 * day, Some(90)),
            (61 * day, Some(90)),
            (60 * day, Some(60)),
            (30 * day, Some(30)),
            (16 * day, Some(30)),
            (15 * day, Some(15)),
            (7 * day, Some(7)),
            (day + 1, Some(7)),
            (day, Some(1)),
            (1, Some(1)),
            (0, None),
        ] {
            assert_eq!(notice(Timestamp::from_millis(now.millis() + left), now), expected, "{left} ms left");
        }
        assert_eq!(notice(Timestamp::MAX, now), None);
        assert_eq!(notice(Timestamp::from_millis(now.millis() - day), now), None);
    }
}
