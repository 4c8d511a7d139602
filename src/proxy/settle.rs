//! What is found out after the answer, on the control thread: why credentials were refused, whose dead secret they were,
//! and where the living ones are used from. The data plane tells it in batches.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;

use super::Shared;
pub use super::sample::Used;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::oauth::AuthResult;
use crate::domain::request_id::RequestId;
use crate::domain::secret::Digest;
use crate::domain::source::Source;
use crate::event::webhook::{Event, What};
use crate::hash;
use crate::hooks::Hooks;
use crate::log::access::{Line, LineCache};
use crate::log::{Field, Log, about};
use crate::registry::Client;
use crate::registry::cells::Sighting;
use crate::verify::{Denied, post_mortem, tombstone};

/// What a data-plane thread leaves to be settled.
#[derive(Default)]
pub struct Batch {
    /// Refusals.
    pub denials: Vec<Denial>,
    /// Uses.
    pub used: Vec<Used>,
}

impl Batch {
    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.denials.is_empty() && self.used.is_empty()
    }
}

/// A refusal whose reason is still to be found out.
pub struct Denial {
    /// The credentials, as digests.
    pub denied: Denied,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub peer: Source,
    /// What the caller says it is, fit to be shown; empty for a client that is not on the list.
    pub user_agent: Box<str>,
    /// The request's id.
    pub request_id: Option<RequestId>,
    /// Index of the endpoint.
    pub endpoint: Option<usize>,
    /// How long it took.
    pub took: Duration,
    /// The status that was answered.
    pub status: StatusCode,
}

/// Settles batch after batch.
pub struct Settler {
    cache: LineCache,
    told: Told,
    hooks: Hooks,
}

/// What is shorter is a version or a name, whoever uses it as a secret.
const SHORTEST: usize = 6;
/// Stands for a User-Agent that cannot be shown.
const WITHHELD: &str = "(withheld: it holds a secret)";

impl Settler {
    /// Tells whoever wants to know of dead secrets.
    pub fn telling(hooks: Hooks) -> Self {
        Self { cache: LineCache::default(), told: Told::default(), hooks }
    }

    /// Counts and logs what is in a batch.
    pub fn settle(&mut self, batch: Batch, shared: &Shared, log: &Log) {
        for Used { client, record, mut sighting } in batch.used {
            let Some(record) = client.records().get(record) else { continue };
            // What is shown already was looked at when it was new.
            if !record.uses.shows(&sighting.user_agent) {
                withhold(&client, |_| false, &mut sighting.user_agent);
            }
            record.uses.sight(sighting);
        }
        let mut lines = Vec::new();
        for denial in batch.denials {
            let (result, secret) = self.find_out(&denial, shared, log);
            match &denial.denied.client {
                Some(client) => client.cells().count(result),
                None => shared.metrics.count_nobody(result),
            }
            if !log.access() {
                continue;
            }
            let line = Line {
                at: denial.at,
                client: denial.denied.client.as_ref().map(|client| &client.key),
                secret_id: secret.as_ref().map_or("", |id| id.as_str()),
                result: Some(result),
                status: denial.status.as_u16(),
                took: denial.took,
                peer: denial.peer,
                request_id: denial.request_id.as_ref(),
                method: "POST",
                endpoint: shared.routes.name(denial.endpoint),
                error: None,
            };
            line.write(log, &mut self.cache, &mut lines);
        }
        if !lines.is_empty() {
            log.write(lines);
        }
    }

    /// Why it was refused; the secret is named, noted and told where it is one that we know and that is dead.
    fn find_out(&mut self, denial: &Denial, shared: &Shared, log: &Log) -> (AuthResult, Option<SecretId>) {
        let (result, record) = post_mortem(&denial.denied, denial.at);
        let Some(client) = &denial.denied.client else { return (result, None) };
        let mut user_agent = denial.user_agent.clone();
        let mut withhold = || withhold(client, |digest| denial.denied.presented(digest), &mut user_agent);
        if let Some(record) = record {
            let id = record.id.clone();
            if let Some((what, status)) = dead(result) {
                withhold();
                let Denial { peer: address, at, .. } = *denial;
                let sighting = Sighting { address, user_agent: user_agent.clone(), method: denial.denied.method, at };
                record.uses.refuse(sighting);
                self.tell((what, status), client, &id, denial, &user_agent, log);
            }
            return (result, Some(id));
        }
        // A revoked record may have left the list, and its secret still be in somebody's configuration.
        match tombstone(&denial.denied, &shared.snapshot.load()) {
            Some(id) if client.enabled => {
                withhold();
                self.tell(REVOKED, client, id, denial, &user_agent, log);
                (AuthResult::RevokedSecret, Some(id.clone()))
            }
            _ => (result, None),
        }
    }

    fn tell(
        &mut self,
        (what, status): Said,
        client: &Client,
        secret: &SecretId,
        denial: &Denial,
        user_agent: &str,
        log: &Log,
    ) {
        let Denial { peer: address, at, .. } = *denial;
        if !self.told.is_due((client.key.clone(), secret.clone(), address), at) {
            return;
        }
        let rest: [Field<'_>; 3] = [("secret_id", secret), ("address", &address), ("user_agent", &user_agent)];
        log.warn(what, &about(&client.key, &rest));
        let (client, secret, user_agent) = (client.key.clone(), secret.clone(), user_agent.to_owned());
        self.hooks.tell(&Event::of(at, client, secret, What::DeadPresented { status, address, user_agent }));
    }
}

/// In the log, and in a word.
type Said = (&'static str, &'static str);

const REVOKED: Said = ("a revoked secret was presented", "revoked");

/// What is said of a secret of ours that was presented and refused.
const fn dead(result: AuthResult) -> Option<Said> {
    match result {
        AuthResult::RevokedSecret => Some(REVOKED),
        AuthResult::ExpiredSecret => Some(("an expired secret was presented", "expired")),
        AuthResult::DisabledSecret => Some(("a disabled secret was presented", "disabled")),
        AuthResult::NotYetValidSecret => Some(("a secret was presented before its time", "pending")),
        AuthResult::DisabledClient => Some(("a secret of a disabled client was presented", "client_disabled")),
        _ => None,
    }
}

/// Callers have been seen to write a secret wherever they can: a User-Agent that holds one of the client's, or the one that
/// was `presented`, is not kept.
fn withhold(client: &Client, presented: impl Fn(&Digest) -> bool, user_agent: &mut Box<str>) {
    let word = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+' | '*'));
    let ours = |text: &str| {
        if text.len() < SHORTEST {
            return false;
        }
        let digest = hash::sha256(text.as_bytes());
        presented(&digest) || client.records().iter().any(|record| record.held.knows(&digest))
    };
    if !user_agent.is_empty() && (ours(user_agent) || user_agent.split(word).any(ours)) {
        *user_agent = WITHHELD.into();
    }
}

/// What was told of dead secrets lately: once a minute of each, from each address.
#[derive(Default)]
struct Told(HashMap<(ClientKey, SecretId, Source), Timestamp>);

const EVERY: Duration = Duration::from_secs(60);
/// More pairs within a minute are counted and not told.
const MOST_TOLD: usize = 4096;

impl Told {
    fn is_due(&mut self, key: (ClientKey, SecretId, Source), now: Timestamp) -> bool {
        if self.0.get(&key).is_some_and(|told| now.since(*told) < EVERY) {
            return false;
        }
        if self.0.len() >= MOST_TOLD {
            self.0.retain(|_, told| now.since(*told) < EVERY);
        }
        if self.0.len() < MOST_TOLD {
            self.0.insert(key, now);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ClientId;
    use crate::registry::build::tests::{client, good};

    #[test]
    fn a_user_agent_that_holds_a_secret_is_not_shown_whether_it_is_listed_or_was_presented() {
        let list = good(&client("a", &[("s", "listed-s3cr3t", "")]), None);
        let presented = hash::sha256(b"buried-s3cr3t");
        for (user_agent, shown) in [
            ("cron/1.0", true),
            ("listed-s3cr3t", false),
            ("cron/1.0 (key=listed-s3cr3t)", false),
            ("cron/1.0 (key=buried-s3cr3t)", false),
            ("cron/1.0 (key=strange-s3cr3t)", true),
        ] {
            let mut said = user_agent.into();
            withhold(&list.clients[0], |digest| *digest == presented, &mut said);
            assert_eq!(*said == *user_agent, shown, "{user_agent}");
        }
    }

    #[test]
    fn a_dead_secret_is_told_once_a_minute_of_each_address_and_what_is_remembered_is_bounded() {
        let (client, secret) = (ClientKey::from(ClientId::parse("c").unwrap()), SecretId::parse("s").unwrap());
        let key =
            |host: u32| (client.clone(), secret.clone(), Source::from(std::net::IpAddr::from(host.to_be_bytes())));
        let mut told = Told::default();
        let at = |seconds: u64| Timestamp::from_millis(1_000_000 + seconds * 1000);
        assert!(told.is_due(key(1), at(0)));
        assert!(!told.is_due(key(1), at(59)));
        assert!(told.is_due(key(2), at(59)));
        assert!(told.is_due(key(1), at(60)));
        let due = (10..20_000).filter(|host| told.is_due(key(*host), at(61))).count();
        assert_eq!(due, MOST_TOLD - 2);
        assert!(told.is_due(key(30_000), at(200)), "there is room again");
    }
}
