//! Objects of the admin API as people read them: relative times on a terminal, RFC 3339 elsewhere.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use super::table;
use crate::admin::object::SecretObject;
use crate::config::values;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::spoken::{ago, count};

/// Callers that fit a line.
const CALLERS: usize = 3;

/// How times are written.
pub(super) struct Times {
    relative: bool,
    now: Timestamp,
}

impl Times {
    /// As fits where stdout goes.
    pub(super) fn for_stdout() -> Self {
        Self { relative: std::io::stdout().is_terminal(), now: Clock::start().now() }
    }

    /// A time, or `none` where there is none.
    pub(super) fn of(&self, time: Option<&str>, none: &str) -> String {
        let Some(time) = time else { return none.to_owned() };
        match values::timestamp(time) {
            Some(at) if self.relative => ago(at, self.now),
            _ => time.to_owned(),
        }
    }
}

/// The table of secrets; `of_all` with columns that tell whose they are.
pub(super) fn secrets(secrets: &[SecretObject], of_all: bool, times: &Times) -> String {
    let mut head = vec!["ID", "NAME", "ROLE", "STATUS", "CREATED", "EXPIRES", "LAST-USED", "USES", "FROM", "HINT"];
    if !of_all {
        return table::lines(&head, &secrets.iter().map(|secret| secret_row(secret, times)).collect::<Vec<_>>());
    }
    head.insert(0, "CLIENT");
    let row = |secret: &SecretObject| {
        let mut row = secret_row(secret, times);
        row.insert(0, secret.client_id.clone());
        row
    };
    table::of_tenants(&head, secrets.iter().map(|secret| (&*secret.tenant, row(secret))).collect())
}

fn secret_row(secret: &SecretObject, times: &Times) -> Vec<String> {
    vec![
        secret.id.clone(),
        or_dash(&secret.name),
        secret.role.clone(),
        status(secret),
        times.of(secret.created.as_deref(), "-"),
        times.of(secret.expires.as_deref(), "never"),
        last_used(secret, times),
        secret.use_count.map_or_else(|| "-".to_owned(), count),
        or_dash(&addresses(secret)),
        secret.hint.as_deref().map_or_else(|| "-".to_owned(), |hint| format!("...{hint}")),
    ]
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn status(secret: &SecretObject) -> String {
    match (&secret.refused_until, secret.revoked_reason.as_deref()) {
        (Some(_), _) => "rehearsed".to_owned(),
        (_, Some("compromised")) => "compromised".to_owned(),
        _ => secret.status.clone(),
    }
}

/// The last use; where none was observed, since when nobody was seen.
pub(super) fn last_used(secret: &SecretObject, times: &Times) -> String {
    match (&secret.use_unknown, &secret.last_used_at, &secret.tracking_since) {
        (Some(_), ..) | (_, None, None) => "unknown".to_owned(),
        (None, Some(at), _) => times.of(Some(at), "-"),
        (None, None, Some(since)) => format!("none since {}", times.of(Some(since), "-")),
    }
}

/// The latest callers' addresses.
pub(super) fn addresses(secret: &SecretObject) -> String {
    let mut named = BTreeSet::new();
    let sources = secret.last_used_from.iter().filter(|source| named.insert(source.address)).take(CALLERS);
    sources.map(|source| source.address.to_string()).collect::<Vec<_>>().join(" ")
}

/// Who presented a secret: a line a caller.
pub(super) fn callers(sources: &[crate::admin::object::SourceObject], times: &Times) -> String {
    let line = |source: &crate::admin::object::SourceObject| {
        let agent = if source.user_agent.is_empty() { "(no user agent)" } else { &source.user_agent };
        format!("  {}  {agent}  {}  {}\n", source.address, source.method, times.of(Some(&source.at), "-"))
    };
    sources.iter().map(line).collect()
}
