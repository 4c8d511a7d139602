//! How the token server does: what its answers of the last minutes say, without a question of our own.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::metrics::Metrics;

/// How far back is looked.
const WINDOW: Duration = Duration::from_secs(300);

/// The counters as they were, the oldest first.
#[derive(Default)]
pub(super) struct Watch(VecDeque<(Timestamp, Counted)>);

/// The answers of the token server, and the calls that had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) answers: u64,
    pub(super) failures: u64,
}

impl Counted {
    pub(super) fn of(metrics: &Metrics) -> Self {
        let errors = &metrics.upstream_errors;
        let failures = [&errors.connect, &errors.tls, &errors.timeout, &errors.closed, &errors.protocol];
        Self {
            answers: metrics.upstream_duration.get_sample_count(),
            failures: failures.iter().map(|counter| counter.get()).sum(),
        }
    }
}

/// How the token server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Nobody asked it.
    Idle,
    /// It answered every time.
    Answers,
    /// It did not answer so many of so many times.
    Fails(u64, u64),
}

impl Watch {
    /// Remembers the counters as they are now.
    pub(super) fn note(&mut self, now: Timestamp, counted: Counted) {
        self.0.push_back((now, counted));
        // One that is older than the window stays: it is where the window begins.
        while self.0.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// What the time since says.
    pub(super) fn health(&self, now: Counted) -> Health {
        let before = self.0.front().map_or(Counted::default(), |(_, counted)| *counted);
        let failures = now.failures.saturating_sub(before.failures);
        match now.answers.saturating_sub(before.answers) + failures {
            0 => Health::Idle,
            _ if failures == 0 => Health::Answers,
            calls => Health::Fails(failures, calls),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_tell_how_it_does() {
        let at = |minutes: u64| Timestamp::from_millis(minutes * 60_000);
        let counted = |answers, failures| Counted { answers, failures };
        let mut watch = Watch::default();
        assert_eq!(watch.health(counted(0, 0)), Health::Idle);
        watch.note(at(0), counted(0, 0));
        assert_eq!(watch.health(counted(3, 0)), Health::Answers);
        (1..=5).for_each(|minute| watch.note(at(minute), counted(3, 2)));
        assert_eq!(watch.health(counted(3, 2)), Health::Fails(2, 5));
        (6..=9).for_each(|minute| watch.note(at(minute), counted(3, 2)));
        assert_eq!(watch.health(counted(3, 2)), Health::Idle, "it is long ago");
        (10..1000).for_each(|minute| watch.note(at(minute), counted(3, 2)));
        assert!(watch.0.len() < 8);
    }
}
