//! Steps 3 to 7 put together: whose request it is, or why it is refused. Nothing here waits; what must is told so, and
//! waited for in [`super::prove`].

use std::net::IpAddr;

use super::Proxy;
use super::report::Notes;
use crate::config::settings::kinds::EndpointAuth;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::{AuthResult, Refusal};
use crate::extract::form::Form;
use crate::extract::{Presented, Scratch, Unreadable, extract};
use crate::forwarded::Caller;
use crate::head::Head;
use crate::registry::{Client, UpstreamIdentity};
use crate::rewrite::Passage;
use crate::verify::slow::Pending;
use crate::verify::{Carried, Denied, Verdict, Verified, verify};

/// A request that may go on.
pub enum Cleared {
    /// Its client is proven.
    Verified(Verified),
    /// It passes with what it carries.
    Carried(Carried),
}

/// How far authentication came at once.
pub enum Decision {
    /// To its end.
    Cleared(Cleared),
    /// A slow hash must be computed.
    Pending(Box<Pending>),
}

impl Cleared {
    /// What the rewriting asks for.
    pub const fn passage(&self) -> Passage<'_> {
        match self {
            Self::Verified(verified) => Passage::Verified(verified),
            Self::Carried(carried) => Passage::Carried(carried),
        }
    }

    /// Its client, and who that is at the upstream, where it has a secret of its own there.
    pub fn identity(&self) -> Option<(&Client, &UpstreamIdentity)> {
        let Self::Verified(verified) = self else { return None };
        let client = verified.client();
        Some((client, client.upstream.as_deref()?))
    }
}

impl Proxy {
    /// Takes the credentials, verifies them against the list in force, and settles what a failure is answered.
    pub(super) fn authenticate(
        &self,
        head: &Head<'_>,
        form: &Form<'_>,
        auth: EndpointAuth,
        caller: &Caller,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Result<Decision, Refusal> {
        let mut scratch = Scratch::default();
        let presented = extract(head.authorization, form, self.shared.settings.basic_decoding, &mut scratch);
        let credentials = match presented.map_err(|unreadable| self.unreadable(unreadable, notes))? {
            Presented::Secret(credentials) => credentials,
            Presented::Nothing => {
                let carried = Carried::without_secret(auth).or_else(|| self.stranger(head, form));
                return carried.map(Cleared::Carried).map(Decision::Cleared).ok_or_else(|| {
                    self.count_nobody(AuthResult::MissingCredentials, notes);
                    Refusal::InvalidClient
                });
            }
        };
        let snapshot = self.shared.snapshot.load();
        let verdict = verify(&snapshot, &credentials, now);
        if let Verdict::Slow(pending) = verdict {
            return Ok(Decision::Pending(pending));
        }
        notes.decided(&self.shared.metrics);
        let cleared = match verdict {
            Verdict::Verified(verified) => Ok(self.accept(verified, caller.address, now, notes)),
            Verdict::Ambiguous | Verdict::Slow(_) => Err(self.unreadable(Unreadable::Malformed, notes)),
            Verdict::Denied(denied) => {
                let unknown = self.shared.settings.clients.unknown;
                let carried = Carried::unknown(unknown, &snapshot, &credentials).map(Cleared::Carried);
                carried.ok_or_else(|| self.settle(credentials.id(), denied, caller.address, now, notes))
            }
        };
        cleared.map(Decision::Cleared)
    }

    /// Step 7: notes the use; and the source, where it may one day have to be told from those who guess.
    pub(super) fn accept(&self, verified: Verified, source: IpAddr, now: Timestamp, notes: &mut Notes) -> Cleared {
        verified.note_use(now);
        let client = verified.client();
        if client.awaits_proof(now) {
            self.shared.provers.note(client.id.as_str().as_bytes(), source, now);
        }
        notes.verified(&verified);
        Cleared::Verified(verified)
    }

    /// A client that is not listed need not have a secret: it may be a public one, or sign an assertion. It must say who
    /// it is, and by nothing that might name somebody else.
    fn stranger(&self, head: &Head<'_>, form: &Form<'_>) -> Option<Carried> {
        let id = form.decoded_client_id().filter(|_| head.authorization.is_none())?;
        Carried::named(self.shared.settings.clients.unknown, &self.shared.snapshot.load(), &id)
    }

    /// Counts a request that could not be read in one way.
    pub(super) fn unreadable(&self, unreadable: Unreadable, notes: &mut Notes) -> Refusal {
        self.count_nobody(unreadable.result(), notes);
        Refusal::InvalidRequest
    }

    /// A failure is answered 401, or 429 after too many of this id from this source.
    pub(super) fn settle(
        &self,
        id: &[u8],
        denied: Denied,
        source: IpAddr,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Refusal {
        match self.shared.throttle.settle(id, source, now) {
            Some(seconds) => self.throttled(denied, Refusal::Throttled(seconds), notes),
            None => {
                notes.denied = Some(denied);
                Refusal::InvalidClient
            }
        }
    }

    fn count_nobody(&self, result: AuthResult, notes: &mut Notes) {
        self.shared.metrics.count_nobody(result);
        notes.result = Some(result);
    }
}
