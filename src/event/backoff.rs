//! When a delivery that failed is tried again, and when it is given up.

use std::time::Duration;

/// The first pause; each next one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// No pause is longer, whoever asks for it: what waits would be given up without a try.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// A receiver that is down over a night is served in the morning; what is older than this is no news.
pub const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// The pause after so many failures. `random` spreads those that failed together over the second half of the pause.
pub fn pause(failures: u32, random: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    let half = doubled / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
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
            assert_eq!(pause(failures, 0), seconds(least), "{failures}");
            assert_eq!(pause(failures, u32::MAX), seconds(most), "{failures}");
            let middle = pause(failures, u32::MAX / 2);
            assert!(middle > seconds(least) && middle < seconds(most), "{failures}: {middle:?}");
        }
    }

    #[test]
    fn a_day_has_a_few_dozen_tries() {
        let mut passed = Duration::ZERO;
        let tries = (1..).take_while(|failures| {
            passed += pause(*failures, u32::MAX / 2);
            passed < GIVE_UP
        });
        assert!((20..60).contains(&tries.count()));
    }
}
