//! What requests write: atomics on the record they used and on its client. Carried over from snapshot to snapshot.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::domain::clock::Timestamp;
use crate::domain::oauth::{AuthMethod, AuthResult, BasicEncoding};

/// When a secret was used, and from where. Requests touch the atomics; the rest is sampled, off their path.
pub struct UseCell {
    tracking_since: Timestamp,
    last_used: AtomicU64,
    uses: AtomicU64,
    from: Mutex<Vec<Sighting>>,
    refused: Mutex<Refusals>,
}

/// Where a secret was presented from, last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The caller's address.
    pub address: IpAddr,
    /// Its User-Agent, cut to [`MAX_USER_AGENT`]; empty where it sent none.
    pub user_agent: Box<str>,
    /// How it presented the secret.
    pub method: AuthMethod,
    /// When, last.
    pub at: Timestamp,
}

/// Bytes of a User-Agent that are kept.
pub const MAX_USER_AGENT: usize = 120;
/// Callers of one secret that are kept: the latest.
pub const MAX_SIGHTINGS: usize = 8;

/// A dead secret that is still presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How often.
    pub count: u64,
    /// From where, the latest first.
    pub from: Vec<Sighting>,
}

/// What is known of a secret's use at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since when uses are observed: nothing is known about the time before.
    pub tracking_since: Timestamp,
    /// The last successful use; nothing where none was observed.
    pub last_used: Option<Timestamp>,
    /// Successful uses since tracking began.
    pub uses: u64,
    /// From where, the latest first.
    pub from: Vec<Sighting>,
    /// Presented while it was not accepted.
    pub refused: Refusals,
}

impl UseCell {
    /// Observed from now on: nothing is known about the time before.
    pub const fn tracked_since(now: Timestamp) -> Self {
        Self {
            tracking_since: now,
            last_used: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            from: Mutex::new(Vec::new()),
            refused: Mutex::new(Refusals { count: 0, from: Vec::new() }),
        }
    }

    /// Notes a successful authentication. Never moves back.
    pub fn note(&self, now: Timestamp) {
        self.uses.fetch_add(1, Relaxed);
        self.last_used.fetch_max(now.millis(), Relaxed);
    }

    /// Since when uses are observed.
    pub const fn tracking_since(&self) -> Timestamp {
        self.tracking_since
    }

    /// The last use; nothing where none was observed.
    pub fn last_used(&self) -> Option<Timestamp> {
        Some(self.last_used.load(Relaxed)).filter(|at| *at > 0).map(Timestamp::from_millis)
    }

    /// How often it was used since tracking began.
    pub fn uses(&self) -> u64 {
        self.uses.load(Relaxed)
    }

    /// Everything that is known.
    pub fn seen(&self) -> Seen {
        Seen {
            tracking_since: self.tracking_since,
            last_used: self.last_used(),
            uses: self.uses(),
            from: self.from.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// How the authentications of one client ended.
#[derive(Default)]
pub struct ClientCells {
    results: [AtomicU64; AuthResult::OF_A_CLIENT.len()],
    basic_rfc6749: AtomicU64,
    basic_raw: AtomicU64,
}

impl ClientCells {
    /// Counts a result; one that is not of a client is not counted here.
    pub fn count(&self, result: AuthResult) {
        if let Some(cell) = self.cell(result) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Counts which reading of Basic matched.
    pub fn count_basic(&self, encoding: BasicEncoding) {
        match encoding {
            BasicEncoding::Rfc6749 => self.basic_rfc6749.fetch_add(1, Relaxed),
            BasicEncoding::Raw => self.basic_raw.fetch_add(1, Relaxed),
        };
    }

    /// How often a result was counted.
    pub fn results(&self, result: AuthResult) -> u64 {
        self.cell(result).map_or(0, |cell| cell.load(Relaxed))
    }

    /// How often each reading of Basic matched: form-encoded, raw.
    pub fn basic(&self) -> (u64, u64) {
        (self.basic_rfc6749.load(Relaxed), self.basic_raw.load(Relaxed))
    }

    fn cell(&self, result: AuthResult) -> Option<&AtomicU64> {
        AuthResult::OF_A_CLIENT.iter().zip(&self.results).find(|(of, _)| **of == result).map(|(_, cell)| cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_used_never_moves_back() {
        let cell = UseCell::tracked_since(Timestamp::from_millis(5));
        assert_eq!((cell.last_used(), cell.uses()), (None, 0));
        cell.note(Timestamp::from_millis(20));
        cell.note(Timestamp::from_millis(10));
        assert_eq!((cell.last_used(), cell.uses()), (Some(Timestamp::from_millis(20)), 2));
    }
}
