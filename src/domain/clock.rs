//! The one clock. Rules take [`Timestamp`]s as arguments; only this file asks the machine for the time.
//!
//! The time that opens and closes the windows of secrets starts at the wall clock and then advances by the monotonic one,
//! so an expired secret does not come back to life because somebody set the clock back (an hour, or by a bad time
//! server), and does not die because it jumped ten years ahead. [`Clock::follow_wall`] brings in what an honest clock
//! gains: small steps forward at once, larger ones when they have lasted, those beyond a day never without a restart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Before every window.
    pub const MIN: Self = Self(0);
    /// After every window: the end of a secret that does not expire.
    pub const MAX: Self = Self(u64::MAX);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Seconds since the epoch, as Prometheus wants them.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium fit a double")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// From seconds since the epoch, as Prometheus tells them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is not a time becomes 0")]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as u64)
    }

    /// This time, later by a duration.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How much later this is than `earlier`; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds, as logs and answers show it.
    pub fn rfc3339(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).map_or_else(|_| self.0.to_string(), |t| format!("{t:.3}"))
    }
}

/// A step of the wall clock below this is drift, and taken over at once.
const DRIFT: Duration = Duration::from_secs(2);
/// A step forward beyond this is believed only by a restart.
const LEAP: Duration = Duration::from_secs(24 * 3600);
/// How long a step between the two must last before it is believed.
const LASTING: Duration = Duration::from_secs(60);

/// What [`Clock::follow_wall`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WallClock {
    /// It agrees with ours, or does again.
    InStep,
    /// It stands behind ours; ours does not go back.
    Behind(Duration),
    /// It stands ahead of ours by more than drift, and is not believed (yet).
    Ahead(Duration),
}

/// The time of windows and of last use.
pub struct Clock {
    origin: Instant,
    /// What the wall clock said at `origin`, plus what was taken over since; milliseconds.
    base: AtomicU64,
    ahead_since: Mutex<Option<Instant>>,
}

impl Clock {
    /// Starts at the wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { origin: Instant::now(), base: AtomicU64::new(wall().0), ahead_since: Mutex::new(None) }
    }

    /// Now. One monotonic clock read, no lock.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The time that an instant stands for, for callers that have read the monotonic clock already.
    pub fn at(&self, instant: Instant) -> Timestamp {
        Timestamp(self.base.load(Ordering::Relaxed)).plus(instant.saturating_duration_since(self.origin))
    }

    /// As if so much time had gone by, and the wall clock been set back by as much.
    #[cfg(test)]
    pub(crate) fn pass(&self, time: Duration) {
        self.base.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Compares with the wall clock and takes over what it may; to be called every few seconds.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn follow_wall(&self) -> WallClock {
        self.follow(Instant::now(), wall())
    }

    fn follow(&self, instant: Instant, wall: Timestamp) -> WallClock {
        let ours = self.at(instant);
        let mut ahead_since = self.ahead_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ahead = wall.since(ours);
        if ahead > DRIFT {
            let since = *ahead_since.get_or_insert(instant);
            if ahead > LEAP || instant.saturating_duration_since(since) < LASTING {
                return WallClock::Ahead(ahead);
            }
        }
        *ahead_since = None;
        let step = u64::try_from(ahead.as_millis()).unwrap_or(0);
        self.base.fetch_add(step, Ordering::Relaxed);
        match ours.since(wall) {
            behind if behind > DRIFT => WallClock::Behind(behind),
            _ => WallClock::InStep,
        }
    }
}

/// The monotonic clock, for durations of requests.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock, which may go back: for what others compare with theirs.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> Timestamp {
    Timestamp::MIN.plus(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn time_for_windows_never_goes_back_and_a_leap_is_not_believed() {
        let clock = Clock::start();
        let began = clock.origin;
        let start = clock.at(began);
        let back = Timestamp(start.0 - 3_600_000);
        assert_eq!(clock.follow(began, back), WallClock::Behind(HOUR));
        assert_eq!(clock.at(began), start);
        let ten_years = start.plus(HOUR * 24 * 3650);
        assert_eq!(clock.follow(began + HOUR, ten_years.plus(HOUR)), WallClock::Ahead(HOUR * 24 * 3650));
        assert_eq!(clock.at(began + HOUR), start.plus(HOUR));
        assert_eq!(clock.follow(began + HOUR, start.plus(HOUR)), WallClock::InStep);
    }

    #[test]
    fn a_lasting_step_forward_is_taken_over_and_drift_at_once() {
        let clock = Clock::start();
        let began = clock.origin;
        let start = clock.at(began);
        assert_eq!(clock.follow(began, start.plus(Duration::from_secs(1))), WallClock::InStep);
        assert_eq!(clock.at(began), start.plus(Duration::from_secs(1)));
        let minute = began + Duration::from_secs(60);
        assert_eq!(clock.follow(began, start.plus(HOUR)), WallClock::Ahead(HOUR - Duration::from_secs(1)));
        assert_eq!(clock.follow(minute, start.plus(HOUR + Duration::from_secs(60))), WallClock::InStep);
        assert_eq!(clock.at(minute), start.plus(HOUR + Duration::from_secs(60)));
    }

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_795_224_600_123).rfc3339(), "2026-11-21T01:30:00.123Z");
    }
}
