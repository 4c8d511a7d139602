//! Where secrets are used from, sampled: a request whose like was seen within the last seconds costs a look into a small
//! table of its own thread, and nothing else.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::domain::clock::Timestamp;
use crate::domain::source::Source;
use crate::registry::Client;
use crate::registry::cells::{MAX_USER_AGENT, Sighting, user_agent};
use crate::verify::Verified;

/// A use of a secret, on its way to the secret's cell.
pub struct Used {
    /// Whose secret.
    pub client: Client,
    /// Index of the secret among the client's records.
    pub record: usize,
    /// From where.
    pub sighting: Sighting,
}

/// What one thread saw lately.
#[derive(Default)]
pub(super) struct Sampler {
    keys: RandomState,
    lately: Lately,
}

/// How often a caller that goes on is noted again: as often as what is known is written down.
const AGAIN: Duration = Duration::from_secs(5);
/// Uses that may wait for the next tick: a client that makes up a User-Agent for each request is not followed further.
const MOST_WAITING: usize = 256;

impl Sampler {
    /// Notes a use, unless its like was noted a moment ago.
    pub(super) fn sample(
        &mut self,
        verified: &Verified,
        address: Source,
        said: &[u8],
        at: Timestamp,
        out: &mut Vec<Used>,
    ) {
        let Some(record) = verified.record() else { return };
        let shown = said.get(..MAX_USER_AGENT).unwrap_or(said);
        // The cell stands for client and secret, over reloads too.
        let fingerprint = self.keys.hash_one((triomphe::Arc::as_ptr(&record.uses), address, shown, verified.method()));
        let Some(seen) = self.lately.place(fingerprint) else { return };
        if (seen.fingerprint == fingerprint && at.since(seen.at) < AGAIN) || out.len() >= MOST_WAITING {
            return;
        }
        *seen = Seen { fingerprint, at };
        let sighting = Sighting { address, user_agent: user_agent(said), method: verified.method(), at };
        out.push(Used { client: verified.client().clone(), record: verified.record_index(), sighting });
    }
}

/// A caller, and when it was noted.
#[derive(Clone, Copy)]
struct Seen {
    fingerprint: u64,
    at: Timestamp,
}

/// A table of callers, each in one of a few places: where it had only one, a fifth of two thousand would share theirs with
/// another and be noted at each request.
struct Lately(Box<[[Seen; WAYS]]>);

/// Callers that a thread tells apart; more of them are noted more often.
const PLACES: usize = 8192;
/// As many as a line of the cache holds.
const WAYS: usize = 4;
const SETS: usize = PLACES / WAYS;

impl Default for Lately {
    fn default() -> Self {
        Self(vec![[Seen { fingerprint: 0, at: Timestamp::MIN }; WAYS]; SETS].into())
    }
}

impl Lately {
    /// Its place, or the one of those it may have whose caller was noted the longest ago.
    fn place(&mut self, fingerprint: u64) -> Option<&mut Seen> {
        let set = usize::try_from(fingerprint % SETS as u64).unwrap_or(0);
        let set = self.0.get_mut(set)?;
        let known = set.iter().position(|seen| seen.fingerprint == fingerprint);
        let stalest = || (0..WAYS).min_by_key(|at| set.get(*at).map(|seen| seen.at));
        let at = known.or_else(stalest)?;
        set.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_find_their_places_again() {
        let (mut lately, keys) = (Lately::default(), RandomState::default());
        let mut strangers = |at| {
            let callers = (0..2000u32).map(|caller| keys.hash_one(caller));
            let mut count = 0;
            for fingerprint in callers {
                let seen = lately.place(fingerprint).unwrap();
                count += u32::from(seen.fingerprint != fingerprint);
                *seen = Seen { fingerprint, at: Timestamp::from_millis(at) };
            }
            count
        };
        assert_eq!(strangers(1), 2000);
        let pushed_out = strangers(2);
        // About 35; of places that hold one each, 430.
        assert!(pushed_out < 120, "{pushed_out} of 2,000");
    }
}
