//! When a delivery that failed is tried again, and when it is given up.

use std::time::Duration;

/// The first pause; each next one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// No pause of our own is longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// A receiver that is down over a night is served in the morning; what is older than this is no news.
pub const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// The pause after so many failures, at least what the receiver asked for. `random` spreads those that failed together
/// over the second half of the pause.
pub fn pause(failures: u32, random: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    let half = doubled / 2;
    let spread = half.mul_f64(f64::from(random) / f64::from(u32::MAX));
    (half + spread).max(retry_after.unwrap_or_default()).min(GIVE_UP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_are_spread() {
        let seconds = |seconds| Duration::from_secs_f64(seconds);
        for (failures, least, most) in [
            (1, 0.5, 1.0),
            (2, 1.0, 2.0),
            (5, 8.0, 16.0),
            (12, 1024.0, 2048.0),
            (13, 1800.0, 3600.0),
            (32, 1800.0, 3600.0),
            (33, 1800.0, 3600.0),
            (u32::MAX, 1800.0, 3600.0),
        ] {
            assert_eq!(pause(failures, 0, None), seconds(least), "{failures}");
            assert_eq!(pause(failures, u32::MAX, None), seconds(most), "{failures}");
            let middle = pause(failures, u32::MAX / 2, None);
            assert!(middle > seconds(least) && middle < seconds(most), "{failures}: {middle:?}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_and_not_for_less_or_for_ever() {
        let asked = |failures, seconds| pause(failures, 0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1, 30), Duration::from_secs(30));
        assert_eq!(asked(5, 1), Duration::from_secs(8));
        assert_eq!(asked(1, u64::MAX), GIVE_UP);
    }

    #[test]
    fn a_day_has_a_few_dozen_tries() {
        let mut passed = Duration::ZERO;
        let tries = (1..).take_while(|failures| {
            passed += pause(*failures, u32::MAX / 2, None);
            passed < GIVE_UP
        });
        assert!((20..60).contains(&tries.count()));
    }
}
