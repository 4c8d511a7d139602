//! Secrets that only a slow hash can tell: what must be computed, and what comes of it.
//!
//! [`super::verify`] gives a [`Pending`] where nothing known matches and a slow record may. Its [`Work`] is run elsewhere;
//! [`conclude`] makes a verdict of what was [`Found`], and only of what was found for that very work.

use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable};

use super::{Denied, Verdict, Verified};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;
use crate::domain::oauth::{AuthMethod, BasicEncoding};
use crate::domain::secret::{Digest, Secret};
use crate::extract::Credentials;
use crate::hash::{self, Keyed};
use crate::registry::{Client, Tenancy};

/// A verdict that waits for a computation.
pub struct Pending {
    work: Arc<Work>,
    method: AuthMethod,
    denied: Denied,
}

/// What is to be computed: whether one of the client's slow records keeps a presented secret.
pub struct Work {
    client: Client,
    presented: Vec<Presented>,
    now: Timestamp,
}

struct Presented {
    secret: Secret,
    digest: Digest,
    encoding: Option<BasicEncoding>,
}

/// What was computed. Only [`Work::run`] makes one.
#[derive(Clone)]
pub struct Found {
    work: Arc<Work>,
    hit: Option<Hit>,
}

#[derive(Clone, Copy)]
struct Hit {
    record: u32,
    encoding: Option<BasicEncoding>,
}

impl Pending {
    /// The work, to be run once for all who present the same.
    pub const fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// Whose secret it is about. However a caller writes the id, guesses count against this one.
    pub fn client_key(&self) -> &ClientKey {
        &self.work.client.key
    }

    /// Refuses without computing.
    pub fn refuse(self) -> Denied {
        self.denied
    }
}

impl Work {
    /// Whose secret it is about.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the other one asks the same: the same secrets of the same client in the same list.
    pub fn is_like(&self, other: &Self) -> bool {
        let digests = || self.presented.iter().zip(&other.presented);
        self.client.is_same(&other.client)
            && self.presented.len() == other.presented.len()
            && digests().all(|(a, b)| bool::from(a.digest.matches(&b.digest)) && a.encoding == b.encoding)
    }

    /// Computes. A record that was proven since is not computed again.
    pub fn run(self: &Arc<Self>) -> Found {
        let hit = self.presented.iter().find_map(|presented| {
            let keyed = Keyed::of(&presented.digest);
            let open = self.client.slow().iter().filter(|slot| slot.is_open(self.now));
            let slot = open.into_iter().find(|slot| slot.prove(presented.secret.expose(), keyed.as_ref()))?;
            Some(Hit { record: slot.record(), encoding: presented.encoding })
        });
        Found { work: self.clone(), hit }
    }
}

/// The verdict that a computation leads to.
pub fn conclude(pending: Pending, found: &Found) -> Verdict {
    let Pending { work, method, denied, .. } = pending;
    match found.hit.filter(|_| found.work.is_like(&work)) {
        Some(Hit { record, encoding }) => {
            Verdict::Verified(Verified { client: work.client.clone(), record, method, encoding })
        }
        None => Verdict::Denied(denied),
    }
}

/// What must be computed before credentials that match nothing known can be refused.
pub(super) fn pending(listed: Tenancy<'_>, credentials: &Credentials<'_>, denied: Denied, now: Timestamp) -> Verdict {
    let mut client: Option<&Client> = None;
    let mut presented = Vec::new();
    for reading in credentials.readings() {
        let Some(named) = listed.client(reading.id) else { continue };
        if !named.awaits_proof(now) || reading.secret.is_empty() {
            continue;
        }
        client = Some(named);
        let digest = hash::sha256(reading.secret);
        presented.push(Presented { secret: Secret::new(reading.secret.to_vec()), digest, encoding: reading.encoding });
    }
    let Some(client) = client else { return Verdict::Denied(denied) };
    let work = Arc::new(Work { client: client.clone(), presented, now });
    Verdict::Slow(Box::new(Pending { work, method: credentials.method, denied }))
}

/// Whether the readings name two clients of the list. No list that loads lets them; where one did, a secret that is proven
/// later could prove the other client.
pub(super) fn are_divided(listed: Tenancy<'_>, credentials: &Credentials<'_>) -> bool {
    let mut named = credentials.readings().filter_map(|reading| listed.client(reading.id));
    let first = named.next();
    named.any(|other| first.is_some_and(|first| first.key != other.key))
}

/// The proven slow records, each looked at in constant time.
pub(super) fn compare(client: &Client, digest: &Digest, now: Timestamp) -> (Choice, u32) {
    let mut proof = Choice::from(0);
    let mut record = 0u32;
    if let Some(keyed) = Keyed::of(digest) {
        for slot in client.slow() {
            let accepted = slot.accepts(&keyed, now);
            record.conditional_assign(&slot.record(), accepted);
            proof |= accepted;
        }
    }
    (proof, record)
}

#[cfg(test)]
mod tests;
