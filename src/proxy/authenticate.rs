//! Steps 3 to 7 put together: whose request it is, or why it is refused. Nothing here waits; what must is told so, and
//! waited for in `prove`.

use super::Proxy;
use super::report::Notes;
use super::route::Found;
use crate::config::settings::Endpoint;
use crate::config::settings::kinds::UnknownClients;
use crate::domain::clock::Timestamp;
use crate::domain::ids::BorrowedKey;
use crate::domain::oauth::{AuthResult, Refusal};
use crate::domain::source::Source;
use crate::extract::form::Form;
use crate::extract::{Presented, Scratch, Unreadable, extract};
use crate::forwarded::Caller;
use crate::head::Head;
use crate::message::fields::Value;
use crate::registry::{Client, UpstreamIdentity};
use crate::rewrite::Passage;
use crate::verify::entrusted::{Entrusted, NotEntrusted, serves};
use crate::verify::slow::Pending;
use crate::verify::{Carried, Denied, Verdict, Verified, verify};

/// A request that may go on.
pub enum Cleared {
    /// Its client is proven.
    Verified(Verified),
    /// It passes with what it carries.
    Carried(Carried),
    /// Its client needs no proof here.
    Entrusted(Entrusted),
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
            Self::Entrusted(entrusted) => Passage::Entrusted(entrusted),
        }
    }

    /// Its client, and who that is at the upstream, where it has a secret of its own there.
    pub fn identity(&self) -> Option<(&Client, &UpstreamIdentity)> {
        match self {
            Self::Verified(verified) => Some((verified.client(), verified.client().upstream.as_deref()?)),
            Self::Entrusted(entrusted) => Some((entrusted.client(), entrusted.identity())),
            Self::Carried(_) => None,
        }
    }
}

impl Proxy {
    /// Takes the credentials, verifies them against the list in force, and settles what a failure is answered.
    pub(super) fn authenticate(
        &self,
        head: &Head<'_>,
        form: &Form<'_>,
        (route, tenant): Found<'_>,
        caller: &Caller,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Result<Decision, Refusal> {
        let endpoint = &route.endpoint;
        let mut scratch = Scratch::default();
        let presented =
            extract(head.authorization.map(Value::bytes), form, self.shared.settings.basic_decoding, &mut scratch);
        let credentials = match presented.map_err(|unreadable| self.unreadable(unreadable, notes))? {
            Presented::Secret(credentials) => credentials,
            Presented::Nothing if endpoint.is_egress() => {
                return self.entrust(head, form, (route, tenant), notes).map(Cleared::Entrusted).map(Decision::Cleared);
            }
            Presented::Nothing => {
                let carried = Carried::without_secret(endpoint.auth).or_else(|| self.stranger(head, form, tenant));
                return carried.map(Cleared::Carried).map(Decision::Cleared).ok_or_else(|| {
                    self.count_nobody(AuthResult::MissingCredentials, notes);
                    Refusal::InvalidClient
                });
            }
        };
        let snapshot = self.shared.snapshot.load();
        let listed = snapshot.tenancy(tenant);
        let verdict = verify(listed, &credentials, now);
        if let Verdict::Slow(pending) = verdict {
            return Ok(Decision::Pending(pending));
        }
        notes.decided(&self.shared.metrics);
        let cleared = match verdict {
            Verdict::Verified(verified) => self.accept(verified, endpoint, caller.address, now, notes),
            Verdict::Ambiguous | Verdict::Slow(_) => Err(self.unreadable(Unreadable::Malformed, notes)),
            Verdict::Denied(denied) => {
                // Whose secret is not ours must not go where ours go.
                let unknown = match self.shared.settings.clients.unknown {
                    UnknownClients::Pass if !endpoint.is_egress() => UnknownClients::Pass,
                    _ => UnknownClients::Refuse,
                };
                let carried = Carried::unknown(unknown, listed, &credentials).map(Cleared::Carried);
                carried.ok_or_else(|| self.settle(listed.key(credentials.id()), denied, caller.address, now, notes))
            }
        };
        cleared.map(Decision::Cleared)
    }

    /// Step 7: notes the use; and the source, where it may one day have to be told from those who guess.
    pub(super) fn accept(
        &self,
        verified: Verified,
        endpoint: &Endpoint,
        source: Source,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Result<Cleared, Refusal> {
        let client = verified.client();
        if !serves(endpoint, client) {
            self.count_nobody(AuthResult::UnknownClient, notes);
            return Err(Refusal::InvalidClient);
        }
        verified.note_use(now);
        if client.awaits_proof(now) {
            self.shared.provers.note(client.key.borrowed(), source, now);
        }
        notes.verified(&verified);
        Ok(Cleared::Verified(verified))
    }

    /// Egress: a request that presents nothing goes out with the upstream secret of the client that the endpoint or the
    /// form names. A page in a browser could send such a form too, so one that says where it comes from is refused.
    fn entrust(
        &self,
        head: &Head<'_>,
        form: &Form<'_>,
        (route, tenant): Found<'_>,
        notes: &mut Notes,
    ) -> Result<Entrusted, Refusal> {
        // With our secret beside it, it would be authenticated by two methods.
        if head.authorization.is_some() || form.has_assertion() {
            return Err(self.unreadable(Unreadable::MultipleMethods, notes));
        }
        if head.origin {
            return Err(self.unreadable(Unreadable::Malformed, notes));
        }
        let said = form.decoded_client_id();
        let snapshot = self.shared.snapshot.load();
        match Entrusted::at(&route.endpoint, snapshot.tenancy(tenant), said.as_deref()) {
            Ok(entrusted) => {
                entrusted.client().cells().count(AuthResult::Success);
                notes.result = Some(AuthResult::Success);
                notes.client = Some(entrusted.client().clone());
                return Ok(entrusted);
            }
            Err(NotEntrusted::Divided) => return Err(self.unreadable(Unreadable::Malformed, notes)),
            Err(NotEntrusted::Unnamed) => self.count_nobody(AuthResult::MissingCredentials, notes),
            Err(NotEntrusted::Unknown) => self.count_nobody(AuthResult::UnknownClient, notes),
            Err(NotEntrusted::Disabled(client)) => {
                client.cells().count(AuthResult::DisabledClient);
                notes.result = Some(AuthResult::DisabledClient);
                notes.client = Some(client);
            }
        }
        Err(Refusal::InvalidClient)
    }

    /// A client that is not listed need not have a secret: it may be a public one, or sign an assertion. It must say who
    /// it is, and by nothing that might name somebody else.
    fn stranger(&self, head: &Head<'_>, form: &Form<'_>, tenant: &str) -> Option<Carried> {
        let id = form.decoded_client_id().filter(|_| head.authorization.is_none())?;
        Carried::named(self.shared.settings.clients.unknown, self.shared.snapshot.load().tenancy(tenant), &id)
    }

    /// Counts a request that could not be read in one way.
    pub(super) fn unreadable(&self, unreadable: Unreadable, notes: &mut Notes) -> Refusal {
        self.count_nobody(unreadable.result(), notes);
        Refusal::InvalidRequest
    }

    /// A failure is answered 401, or 429 after too many of this id from this source.
    pub(super) fn settle(
        &self,
        key: BorrowedKey<'_>,
        denied: Denied,
        source: Source,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Refusal {
        match self.shared.throttle.settle(key, source, now) {
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
