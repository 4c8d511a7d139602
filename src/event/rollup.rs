//! Many of the same from strangers: the first from an address is told at once, what follows within a minute as a number,
//! and of more addresses than these only how many. However many come, the lines a minute are few.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::clock::Timestamp;

/// A line stands for this long a time.
const EVERY: Duration = Duration::from_secs(60);
/// Addresses that have a line of their own.
const MOST: usize = 16;

/// What was counted and not told yet.
#[derive(Debug, Default)]
pub struct Rollup {
    addresses: Vec<Counted>,
    others: Option<Counted>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    from: Option<IpAddr>,
    since: Timestamp,
    count: u64,
}

/// What is to be told: from where, where that is one address, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The address; nothing for those of many.
    pub from: Option<IpAddr>,
    /// How many.
    pub count: u64,
}

impl Rollup {
    /// One more from this address; what is to be told of it now.
    pub fn note(&mut self, from: IpAddr, now: Timestamp) -> Option<Told> {
        if let Some(known) = self.addresses.iter_mut().find(|known| known.from == Some(from)) {
            known.count += 1;
            return None;
        }
        if self.addresses.len() < MOST {
            self.addresses.push(Counted { from: Some(from), since: now, count: 0 });
            return Some(Told { from: Some(from), count: 1 });
        }
        self.others.get_or_insert(Counted { from: None, since: now, count: 0 }).count += 1;
        None
    }

    /// What is to be told of the minutes that are over, or at the end of `all`.
    pub fn due(&mut self, now: Timestamp, all: bool) -> Vec<Told> {
        let is_over = |counted: &Counted| all || now.since(counted.since) >= EVERY;
        let over = self.addresses.iter().chain(&self.others).filter(|counted| is_over(counted) && counted.count > 0);
        let told = over.map(|counted| Told { from: counted.from, count: counted.count }).collect();
        // One that goes on stays known, so that its next one is counted and not told at once.
        for counted in self.addresses.iter_mut().filter(|counted| is_over(counted)) {
            if counted.count > 0 {
                *counted = Counted { since: now, count: 0, ..*counted };
            }
        }
        self.addresses.retain(|counted| !is_over(counted));
        self.others = self.others.filter(|others| !is_over(others));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_a_minute() {
        let mut rollup = Rollup::default();
        let told = |count| Told { from: Some(address(1)), count };
        assert_eq!(rollup.note(address(1), at(0)), Some(told(1)));
        assert!((1..50).all(|second| rollup.note(address(1), at(second)).is_none()));
        assert_eq!(rollup.due(at(59), false), []);
        assert_eq!(rollup.due(at(60), false), [told(49)]);
        assert_eq!(rollup.note(address(1), at(61)), None, "it goes on");
        assert_eq!(rollup.due(at(119), false), []);
        assert_eq!(rollup.due(at(120), false), [told(1)]);
        assert_eq!(rollup.due(at(180), false), [], "it was quiet");
        assert_eq!(rollup.note(address(1), at(181)), Some(told(1)));
        assert_eq!(rollup.note(address(1), at(182)), None);
        assert_eq!(rollup.due(at(183), true), [told(1)], "at the end");
    }

    #[test]
    fn a_flood_from_everywhere_is_a_few_lines_a_minute_and_nothing_is_lost_in_the_count() {
        let mut rollup = Rollup::default();
        let (mut lines, mut count) = (0, 0);
        for second in 0..600 {
            for number in 0..100 {
                if let Some(told) = rollup.note(address(second as u32 * 100 + number), at(second)) {
                    (lines, count) = (lines + 1, count + told.count);
                }
            }
            for told in rollup.due(at(second), second == 599) {
                (lines, count) = (lines + 1, count + told.count);
            }
        }
        assert_eq!(count, 60_000);
        assert!(lines <= 10 * (2 * MOST + 1), "{lines}");
        assert!(rollup.addresses.len() <= MOST);
    }
}
