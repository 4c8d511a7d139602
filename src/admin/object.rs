//! What the admin API shows: clients, their secrets and the instance, as JSON objects. Never a secret but in the one
//! answer that made it, and never a hash.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ground::View;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::AuthMethod;
use crate::domain::source::Source;
use crate::lifecycle::progress::Progress;
use crate::lifecycle::{Held, Usage};
use crate::registry::cells::Sighting;
use crate::registry::expiry;
use crate::registry::{Client, Record, SecretState};

/// A client.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ClientObject {
    /// Its id.
    pub id: String,
    /// Its tenant; absent where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// A name for people.
    pub name: String,
    /// Whether any secret of it is accepted.
    pub enabled: bool,
    /// How many of its secrets are active or pending.
    pub active_secrets: usize,
    /// How many may be.
    pub max_active_secrets: usize,
    /// Whether the upstream sees a secret of its own.
    pub replace: bool,
    /// Where its rotation stands, in a word.
    pub rotation: String,
    /// Its secrets, the newest first.
    pub secrets: Vec<SecretObject>,
}

/// A secret of a client.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct SecretObject {
    /// The client's id.
    pub client_id: String,
    /// The client's tenant; absent where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Its own id.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// `current` for the newest active one, `previous` for the others.
    pub role: String,
    /// `active`, `pending`, `expired`, `disabled` or `revoked`.
    pub status: String,
    /// The last characters of it.
    pub hint: Option<String>,
    /// When it was made, RFC 3339 as every time here.
    pub created: Option<String>,
    /// When its time comes.
    pub not_before: Option<String>,
    /// When its time is over.
    pub expires: Option<String>,
    /// The notice that its end gives by now: days, of 90, 60, 30, 15, 7 and 1.
    pub expiry_notice_days: Option<u16>,
    /// A rehearsal of its end is under way until then.
    pub refused_until: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// Why, such as `compromised`.
    pub revoked_reason: Option<String>,
    /// Why nothing is known of its use, where that is so; the next four are absent then.
    pub use_unknown: Option<String>,
    /// Since when its use is observed: nothing is known about the time before.
    pub tracking_since: Option<String>,
    /// Its last use; nothing where none was observed.
    pub last_used_at: Option<String>,
    /// Successful uses since tracking began.
    pub use_count: Option<u64>,
    /// The latest callers.
    pub last_used_from: Vec<SourceObject>,
    /// How often it was presented while it was not accepted.
    pub refused_count: u64,
    /// The latest callers of those.
    pub refused_from: Vec<SourceObject>,
    /// The secret itself: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// A caller.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SourceObject {
    /// Its address.
    #[schema(value_type = String)]
    pub address: Source,
    /// Its User-Agent; empty where it sent none.
    pub user_agent: String,
    /// `client_secret_basic` or `client_secret_post`.
    pub method: String,
    /// When, last.
    pub at: String,
}

/// The instance and its list.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct StatusObject {
    /// The program's version.
    pub version: String,
    /// When the instance started; nothing where none answers.
    pub started_at: Option<String>,
    /// The list.
    pub list: ListObject,
    /// The clients whose rotation wants something done, with the next step.
    pub attention: Vec<AttentionObject>,
}

/// The list in force.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ListObject {
    /// Where it stands.
    pub path: String,
    /// Number of lists published since the start.
    pub generation: u64,
    /// First 48 bits of the SHA-256 of its content, hexadecimal.
    pub hash: String,
    /// How many clients.
    pub clients: usize,
    /// How many secrets, dead ones included.
    pub secrets: usize,
    /// How many secrets are accepted now.
    pub active_secrets: usize,
    /// Whether what stands in the files is what is in force.
    pub in_force: bool,
    /// When a reload last succeeded.
    pub last_reload_at: Option<String>,
}

/// Something that a person should look at.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct AttentionObject {
    /// The client's id.
    pub client_id: String,
    /// The client's tenant; absent where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// In a word: `expiring`, `ready to finish`, `stalled`, `revoked secret presented`, ...
    pub what: String,
    /// The secret it is about, where it is about one.
    pub secret_id: Option<String>,
    /// What to do next.
    pub next: String,
}

impl ClientObject {
    /// As it stands in a view.
    pub(super) fn of(view: &View, client: &Client) -> Self {
        let (holder, now) = (view.holder(client), view.now);
        let current = client.current(now).map(|record| &record.id);
        let object = |(record, held): (&Record, &Held)| {
            SecretObject::of(view, client, record, held, current == Some(&record.id))
        };
        let mut secrets: Vec<SecretObject> = client.records().iter().zip(&holder.secrets).map(object).collect();
        secrets.sort_by(|a, b| b.created.cmp(&a.created));
        Self {
            id: client.key.id.to_string(),
            tenant: client.key.tenant.to_string(),
            name: client.name.to_string(),
            enabled: client.enabled,
            active_secrets: holder.active(),
            max_active_secrets: holder.max_active,
            replace: client.upstream.is_some(),
            rotation: Progress::of(&holder, now).as_str().to_owned(),
            secrets,
        }
    }
}

impl SecretObject {
    fn of(view: &View, client: &Client, record: &Record, held: &Held, current: bool) -> Self {
        let refused = view.refusals(client, record);
        let mut object = Self {
            client_id: client.key.id.to_string(),
            tenant: client.key.tenant.to_string(),
            id: record.id.to_string(),
            name: record.name().to_owned(),
            role: if current { "current" } else { "previous" }.to_owned(),
            status: held.state.as_str().to_owned(),
            hint: record.hint.as_deref().map(str::to_owned),
            created: record.created().map(Timestamp::rfc3339),
            not_before: Some(record.not_before).filter(|at| *at > Timestamp::MIN).map(Timestamp::rfc3339),
            expires: held.expires.map(Timestamp::rfc3339),
            expiry_notice_days: held
                .expires
                .filter(|_| held.state == SecretState::Active)
                .and_then(|end| expiry::notice(end, view.now)),
            refused_until: held.refused_until.map(Timestamp::rfc3339),
            revoked_at: record.revoked_at().map(Timestamp::rfc3339),
            revoked_reason: record.revoked_reason().map(str::to_owned),
            refused_count: refused.count,
            refused_from: refused.from.iter().map(SourceObject::of).collect(),
            ..Self::default()
        };
        match &held.usage {
            Usage::Unknown(why) => object.use_unknown = Some(why.clone()),
            Usage::Seen { tracking_since, last_used, uses, from, .. } => {
                object.tracking_since = Some(tracking_since.rfc3339());
                object.last_used_at = last_used.map(Timestamp::rfc3339);
                object.use_count = Some(*uses);
                object.last_used_from = from.iter().map(SourceObject::of).collect();
            }
        }
        object
    }
}

impl SourceObject {
    fn of(sighting: &Sighting) -> Self {
        let method = match sighting.method {
            AuthMethod::Basic => "client_secret_basic",
            AuthMethod::Post => "client_secret_post",
        };
        Self {
            address: sighting.address,
            user_agent: sighting.user_agent.to_string(),
            method: method.to_owned(),
            at: sighting.at.rfc3339(),
        }
    }
}
