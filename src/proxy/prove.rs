//! The slow way through step 5: leave to compute, the computation on another thread, and what it leads to.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::Proxy;
use super::authenticate::Cleared;
use super::report::Notes;
use crate::admission::admit;
use crate::config::settings::Endpoint;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::{AuthResult, Refusal};
use crate::domain::source::Source;
use crate::net::conn::{Conn, Phase};
use crate::verify::Verdict;
use crate::verify::slow::{Found, Pending, conclude};

/// Seconds after which a caller that found no room may try again: a queue of slow hashes moves on by then.
const BUSY: u32 = 2;

impl Proxy {
    /// Has a presented secret computed, and clears or refuses the request by what comes of it. Waits for the pool as long as
    /// for the upstream, which then has that time anew.
    pub(super) async fn prove(
        &self,
        conn: &Rc<Conn>,
        pending: Pending,
        endpoint: &Endpoint,
        source: Source,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Result<Cleared, Refusal> {
        let shared = &*self.shared;
        let key = pending.client_key().clone();
        let admission = match admit(&shared.throttle, &shared.provers, key.borrowed(), source, now) {
            Ok(admission) => admission,
            Err(seconds) => return Err(self.throttled(pending.refuse(), Refusal::Throttled(seconds), notes)),
        };
        let found = match shared.work.submit(&admission, pending.work()) {
            Ok(answer) => unless_late(conn, answer).await,
            Err(crate::work::Full) => None,
        };
        notes.decided(&shared.metrics);
        let Some(found) = found else {
            return Err(self.throttled(pending.refuse(), Refusal::Busy(BUSY), notes));
        };
        conn.enter(Phase::Upstream);
        match conclude(pending, &found) {
            Verdict::Verified(verified) => self.accept(verified, endpoint, source, now, notes),
            Verdict::Denied(denied) => Err(self.settle(key.borrowed(), denied, source, now, notes)),
            Verdict::Ambiguous | Verdict::Slow(_) => Err(Refusal::InvalidClient),
        }
    }

    /// A failure that was not looked into: too many guesses, or too much work.
    pub(super) fn throttled(&self, denied: crate::verify::Denied, refusal: Refusal, notes: &mut Notes) -> Refusal {
        match &denied.client {
            Some(client) => client.cells().count(AuthResult::Throttled),
            None => self.shared.metrics.count_nobody(AuthResult::Throttled),
        }
        notes.client = denied.client;
        notes.result = Some(AuthResult::Throttled);
        refusal
    }
}

/// Waits for an answer until the deadline of the connection's phase; nothing where none comes.
async fn unless_late<E>(conn: &Conn, answer: impl Future<Output = Result<Found, E>>) -> Option<Found> {
    let mut answer = pin!(answer);
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending if conn.is_late() => Poll::Ready(None),
        polled => polled.map(Result::ok),
    })
    .await
}
