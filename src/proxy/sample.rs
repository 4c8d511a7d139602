//! Where secrets are used from, sampled: a request whose like was seen within the last seconds costs a look into a small
//! table of its own thread, and nothing else.

use std::hash::BuildHasher;
use std::sync::Arc;
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
    pub client: Arc<Client>,
    /// Index of the secret among the client's records.
    pub record: usize,
    /// From where.
    pub sighting: Sighting,
}

/// What one thread saw lately: a table of fingerprints, each at the one place where it can stand.
pub(super) struct Sampler {
    keys: RandomState,
    seen: Box<[(u64, Timestamp)]>,
}

/// Callers that a thread tells apart; more of them are sampled more often.
const PLACES: usize = 8192;
/// How often a caller that goes on is noted again: as often as what is known is written down.
const AGAIN: Duration = Duration::from_secs(5);
/// Uses that may wait for the next tick: a client that makes up a User-Agent for each request is not followed further.
const MOST_WAITING: usize = 256;

impl Default for Sampler {
    fn default() -> Self {
        Self { keys: RandomState::default(), seen: vec![(0, Timestamp::MIN); PLACES].into() }
    }
}

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
        let fingerprint = self.keys.hash_one((Arc::as_ptr(&record.uses), address, shown, verified.method()));
        let place = usize::try_from(fingerprint % PLACES as u64).unwrap_or(0);
        let Some(seen) = self.seen.get_mut(place) else { return };
        if (seen.0 == fingerprint && at.since(seen.1) < AGAIN) || out.len() >= MOST_WAITING {
            return;
        }
        *seen = (fingerprint, at);
        let sighting = Sighting { address, user_agent: user_agent(said), method: verified.method(), at };
        out.push(Used { client: verified.client().clone(), record: verified.record_index(), sighting });
    }
}
