//! What a web hook says: one event, about one secret.

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use crate::config::settings::hooks::Kind;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::source::Source;
use crate::registry::diff::{Diff, Named};
use crate::registry::{SecretState, Snapshot};

/// Something that happened, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was seen.
    pub at: Timestamp,
    /// Whose secret and which; nothing of what is about many.
    pub about: Option<Named>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A new secret is in force; its end, where it has one.
    Added(Option<Timestamp>),
    /// So many new secrets came with one list.
    ManyAdded(Many),
    /// The end of a secret comes near: when, and the days that were passed on the way.
    Expiring(Timestamp, u16),
    /// A secret is refused for good.
    Revoked {
        /// Its entry is gone from the list or holds another secret, rather than marked.
        removed: bool,
        /// Why, where the list tells it, such as `compromised`.
        reason: Option<String>,
    },
    /// So many secrets went with one list.
    ManyRevoked(Many),
    /// A secret that is not accepted was presented.
    DeadPresented {
        /// Why it is not, in a word.
        status: &'static str,
        /// By whom.
        address: Source,
        /// What the caller says it is.
        user_agent: String,
    },
    /// The old secret has been quiet for long enough: the rotation to this one can be finished.
    RotationReady(SecretId),
}

/// More than are told one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Many {
    /// How many.
    pub count: usize,
    /// The list that brought it.
    pub generation: u64,
}

/// Secrets of one list that are told one by one. More of them would push what else waits out of the queue of a receiver, and
/// nobody reads them.
const MOST_OF_A_LIST: usize = 100;

impl What {
    /// As settings name it.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Added(_) | Self::ManyAdded(_) => Kind::SecretAdded,
            Self::Expiring(..) => Kind::SecretExpiring,
            Self::Revoked { .. } | Self::ManyRevoked(_) => Kind::SecretRevoked,
            Self::DeadPresented { .. } => Kind::SecretDeadPresented,
            Self::RotationReady(_) => Kind::RotationReady,
        }
    }

    /// The type of the event: another one where it has no client and no secret.
    const fn word(&self) -> &'static str {
        match self {
            Self::ManyAdded(_) => "secrets.added",
            Self::ManyRevoked(_) => "secrets.revoked",
            _ => self.kind().as_str(),
        }
    }
}

/// The body, in this order.
#[derive(Default, Serialize)]
struct Body<'e> {
    id: &'e str,
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    instance: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'e str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice_days: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'e str>,
}

impl Event {
    /// Of one secret.
    pub const fn of(at: Timestamp, client: ClientKey, secret: SecretId, what: What) -> Self {
        Self { at, about: Some(Named { client, secret }), what }
    }

    /// The id of what more than one instance tells, and an instance once more after a restart: whoever is told can see that
    /// it is the same. Made of names and times alone. Of other events each delivery has an id of its own.
    pub fn id(&self) -> Option<String> {
        let about = match &self.what {
            What::Expiring(expires, days) => format!("{} {days}", expires.millis()),
            What::RotationReady(current) => current.to_string(),
            _ => return None,
        };
        let Named { client, secret } = self.about.as_ref()?;
        let (tenant, client) = (client.tenant.as_str(), client.id.as_str());
        let mut digest = Sha256::new();
        for part in [self.what.kind().as_str(), tenant, client, secret.as_str(), &about] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest = digest.finalize();
        Some(digest.iter().take(16).fold("msg_".to_owned(), |id, byte| id + &format!("{byte:02x}")))
    }

    /// The body. `id` is the delivery's, the same however often it is tried; `instance` says which one tells it.
    pub fn body(&self, id: &str, instance: &str) -> String {
        let about = self.about.as_ref();
        let mut body = Body {
            id,
            kind: self.what.word(),
            at: self.at.rfc3339(),
            instance,
            client_id: about.map(|named| named.client.id.as_str()),
            tenant: about.map_or("", |named| named.client.tenant.as_str()),
            secret_id: about.map(|named| named.secret.as_str()),
            ..Body::default()
        };
        match &self.what {
            What::Added(expires) => body.expires = expires.map(Timestamp::rfc3339),
            What::Expiring(expires, days) => {
                body.expires = Some(expires.rfc3339());
                body.days_left = Some(expires.since(self.at).as_secs() / 86_400);
                body.notice_days = Some(*days);
            }
            What::Revoked { removed, reason } => {
                body.status = Some(if *removed { "removed" } else { "revoked" });
                body.reason = reason.as_deref();
            }
            What::DeadPresented { status, address, user_agent } => {
                body.status = Some(status);
                body.address = Some(address.to_string());
                body.user_agent = Some(user_agent);
            }
            What::ManyAdded(many) | What::ManyRevoked(many) => {
                (body.count, body.generation) = (Some(many.count), Some(many.generation));
                body.next = Some("relatch secret list");
            }
            What::RotationReady(_) => {}
        }
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// What a new list is told of, however it came about: secret by secret, or how many where they are too many.
pub fn of_a_list(before: &Snapshot, after: &Snapshot, diff: &Diff, at: Timestamp) -> Vec<Event> {
    let event = |named: &Named, what| Event { at, about: Some(named.clone()), what };
    let record = |list: &Snapshot, named: &Named| {
        list.client(&named.client)?.records().iter().find(|record| record.id == named.secret).cloned()
    };
    // Another secret under the same id: the old one is refused from now on.
    let is_another = |named: &&Named| {
        let identity = |list| record(list, named).map(|record| record.identity());
        identity(before) != identity(after)
    };
    let replaced = || diff.secrets_changed.iter().filter(is_another);
    let added = diff.secrets_added.iter().chain(replaced()).filter_map(|named| {
        let record = record(after, named)?;
        let alive = matches!(record.state(at), SecretState::Active | SecretState::Pending | SecretState::Disabled);
        let expires = Some(record.expires).filter(|end| *end != Timestamp::MAX);
        alive.then(|| event(named, What::Added(expires)))
    });
    let revoked = diff.secrets_revoked.iter().map(|named| {
        let reason = record(after, named).and_then(|record| record.revoked_reason().map(str::to_owned));
        event(named, What::Revoked { removed: false, reason })
    });
    // A dead one that is cleared away has been told of.
    let removed = diff.secrets_removed.iter().chain(replaced()).filter_map(|named| {
        let state = record(before, named)?.state(at);
        let alive = !matches!(state, SecretState::Revoked | SecretState::Expired);
        alive.then(|| event(named, What::Revoked { removed: true, reason: None }))
    });
    let few = |events: Vec<Event>, many: fn(Many) -> What| match events.len() {
        count if count > MOST_OF_A_LIST => {
            vec![Event { at, about: None, what: many(Many { count, generation: after.generation }) }]
        }
        _ => events,
    };
    [few(added.collect(), What::ManyAdded), few(revoked.chain(removed).collect(), What::ManyRevoked)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, Tenant};
    use crate::registry::build::tests::{NOW, client, good};
    use crate::registry::diff::diff;

    #[test]
    fn another_secret_under_the_same_id_is_told_as_a_new_one_and_the_end_of_the_old_one() {
        let gone = || What::Revoked { removed: true, reason: None };
        let (disabled, over) = ("status = \"disabled\"", "expires = 2020-01-01T00:00:00Z");
        for (before, after, expected) in [
            (("one", ""), ("two", ""), vec![What::Added(None), gone()]),
            (("one", ""), ("one", disabled), vec![]),
            (("one", ""), ("two", over), vec![gone()]),
            (("one", over), ("two", ""), vec![What::Added(None)]),
        ] {
            let list = |(secret, rest), previous| good(&client("a", &[("s", secret, rest)]), previous);
            let before = list(before, None);
            let after = list(after, Some(&before));
            let told = of_a_list(&before, &after, &diff(&before, &after), NOW);
            assert_eq!(told.into_iter().map(|event| event.what).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_list_that_brings_or_takes_many_is_told_in_a_word() {
        let secrets = |count: usize| {
            let all: Vec<_> = (0..count).map(|number| (format!("s{number}"), format!("s3cr3t {number}"))).collect();
            let all: Vec<_> = all.iter().map(|(id, secret)| (id.as_str(), secret.as_str(), "")).collect();
            all.chunks(8).enumerate().map(|(number, some)| client(&format!("c{number}"), some)).collect::<String>()
        };
        let told = |before: &str, after: &str| {
            let before = good(before, None);
            let after = good(after, Some(&before));
            of_a_list(&before, &after, &diff(&before, &after), NOW)
        };
        assert_eq!(told("", &secrets(MOST_OF_A_LIST)).len(), MOST_OF_A_LIST);
        let many = Many { count: MOST_OF_A_LIST + 1, generation: 2 };
        let event = |what| [Event { at: NOW, about: None, what }];
        assert_eq!(told("", &secrets(many.count)), event(What::ManyAdded(many)));
        let gone = told(&secrets(many.count), "");
        assert_eq!(gone, event(What::ManyRevoked(many)));
        let body = gone[0].body("msg_1", "pod-1");
        let rest = "\"instance\":\"pod-1\",\"count\":101,\"generation\":2,\"next\":\"relatch secret list\"}";
        assert!(body.contains("\"type\":\"secrets.revoked\"") && body.ends_with(rest), "{body}");
    }

    #[test]
    fn what_several_instances_tell_has_one_id_and_what_differs_has_another() {
        let secret = |id: &str| SecretId::parse(id).unwrap();
        let of = |tenant: &str, client: &str, secret: SecretId, what: What, at: u64| {
            let client = ClientKey { tenant: Tenant::parse(tenant).unwrap(), id: ClientId::parse(client).unwrap() };
            Event::of(Timestamp::from_millis(at), client, secret, what).id()
        };
        let ready = || What::RotationReady(secret("new"));
        let id = of("", "billing", secret("old"), ready(), 1).unwrap();
        assert_eq!(of("", "billing", secret("old"), ready(), 2).as_ref(), Some(&id), "whenever it is told");
        assert!(id.len() == 36 && id.starts_with("msg_"), "{id}");
        let end = Timestamp::from_millis;
        let others = [
            of("t", "billing", secret("old"), ready(), 1),
            of("", "billin", secret("gold"), ready(), 1),
            of("", "billing", secret("older"), ready(), 1),
            of("", "billing", secret("old"), What::RotationReady(secret("newer")), 1),
            of("", "billing", secret("old"), What::Expiring(end(5), 7), 1),
            of("", "billing", secret("old"), What::Expiring(end(5), 1), 1),
            of("", "billing", secret("old"), What::Expiring(end(57), 1), 1),
        ];
        let each: std::collections::HashSet<_> = others.iter().flatten().chain([&id]).collect();
        assert_eq!(each.len(), others.len() + 1);
        assert_eq!(of("", "billing", secret("old"), What::Added(None), 1), None, "the same id may be made twice");
    }

    #[test]
    fn an_event_says_what_it_is_about_and_nothing_that_must_not_be_said() {
        let at = Timestamp::from_millis(1_795_224_600_007);
        let end = Timestamp::from_millis(at.millis() + 5 * 86_400_000 + 1);
        let dead = || What::DeadPresented {
            status: "revoked",
            address: Source::Unix(7),
            user_agent: "curl/8 \"x\"".to_owned(),
        };
        let head = |kind: &str| {
            format!(
                "{{\"id\":\"msg_1\",\"type\":\"{kind}\",\"at\":\"2026-11-21T01:30:00.007Z\",\"instance\":\"pod-1\",\
                 \"client_id\":\"billing\",\"secret_id\":\"sec_1\""
            )
        };
        let expires = end.rfc3339();
        for (what, kind, rest) in [
            (What::Added(None), "secret.added", String::new()),
            (What::Added(Some(end)), "secret.added", format!(",\"expires\":\"{expires}\"")),
            (
                What::Expiring(end, 7),
                "secret.expiring",
                format!(",\"expires\":\"{expires}\",\"days_left\":5,\"notice_days\":7"),
            ),
            (
                What::Revoked { removed: false, reason: Some("compromised".to_owned()) },
                "secret.revoked",
                ",\"status\":\"revoked\",\"reason\":\"compromised\"".to_owned(),
            ),
            (What::Revoked { removed: true, reason: None }, "secret.revoked", ",\"status\":\"removed\"".to_owned()),
            (
                dead(),
                "secret.dead_presented",
                ",\"status\":\"revoked\",\"address\":\"unix:7\",\"user_agent\":\"curl/8 \\\"x\\\"\"".to_owned(),
            ),
            (What::RotationReady(SecretId::parse("sec_2").unwrap()), "rotation.ready", String::new()),
        ] {
            let client = ClientKey::from(ClientId::parse("billing").unwrap());
            let event = Event::of(at, client, SecretId::parse("sec_1").unwrap(), what);
            assert_eq!(event.body("msg_1", "pod-1"), format!("{}{rest}}}", head(kind)));
            let mut named = event.about.clone().unwrap();
            named.client.tenant = Tenant::parse("master").unwrap();
            let body = Event { about: Some(named), ..event }.body("msg_1", "pod-1");
            assert!(body.contains("\"client_id\":\"billing\",\"tenant\":\"master\",\"secret_id\""), "{body}");
        }
    }
}
