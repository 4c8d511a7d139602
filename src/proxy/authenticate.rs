//! Steps 3 to 7 put together: whose request it is, or why it is refused. Nothing here waits.

use super::Proxy;
use super::report::Notes;
use crate::config::settings::kinds::EndpointAuth;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::{AuthResult, Refusal};
use crate::extract::form::Form;
use crate::extract::{Credentials, Presented, Scratch, Unreadable, extract};
use crate::forwarded::Caller;
use crate::head::Head;
use crate::rewrite::Passage;
use crate::verify::{Carried, Denied, Verdict, Verified, verify};

/// A request that may go on.
pub enum Cleared {
    /// Its client is proven.
    Verified(Verified),
    /// It passes with what it carries.
    Carried(Carried),
}

impl Cleared {
    /// What the rewriting asks for.
    pub const fn passage(&self) -> Passage<'_> {
        match self {
            Self::Verified(verified) => Passage::Verified(verified),
            Self::Carried(carried) => Passage::Carried(carried),
        }
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
    ) -> Result<Cleared, Refusal> {
        let mut scratch = Scratch::default();
        let presented = extract(head.authorization, form, self.shared.settings.basic_decoding, &mut scratch);
        let credentials = match presented.map_err(|unreadable| self.unreadable(unreadable, notes))? {
            Presented::Secret(credentials) => credentials,
            Presented::Nothing => {
                let carried = Carried::without_secret(auth).or_else(|| self.stranger(head, form));
                return carried.map(Cleared::Carried).ok_or_else(|| {
                    self.count_nobody(AuthResult::MissingCredentials, notes);
                    Refusal::InvalidClient
                });
            }
        };
        let snapshot = self.shared.snapshot.load();
        let verdict = verify(&snapshot, &credentials, now);
        notes.decided(&self.shared.metrics);
        match verdict {
            Verdict::Verified(verified) => {
                verified.note_use(now);
                notes.verified(&verified);
                Ok(Cleared::Verified(verified))
            }
            Verdict::Ambiguous => Err(self.unreadable(Unreadable::Malformed, notes)),
            Verdict::Denied(denied) => {
                let unknown = self.shared.settings.clients.unknown;
                let carried = Carried::unknown(unknown, &snapshot, &credentials).map(Cleared::Carried);
                carried.ok_or_else(|| self.settle(&credentials, denied, caller, now, notes))
            }
        }
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
    fn settle(
        &self,
        credentials: &Credentials<'_>,
        denied: Denied,
        caller: &Caller,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Refusal {
        let Some(seconds) = self.shared.throttle.settle(credentials.id(), caller.address, now) else {
            notes.denied = Some(denied);
            return Refusal::InvalidClient;
        };
        match &denied.client {
            Some(client) => client.cells.count(AuthResult::Throttled),
            None => self.shared.metrics.count_nobody(AuthResult::Throttled),
        }
        notes.client = denied.client;
        notes.result = Some(AuthResult::Throttled);
        Refusal::Throttled(seconds)
    }

    fn count_nobody(&self, result: AuthResult, notes: &mut Notes) {
        self.shared.metrics.count_nobody(result);
        notes.result = Some(result);
    }
}
