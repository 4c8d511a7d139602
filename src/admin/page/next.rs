//! Where a rotation stands, in a word, and the one step that comes next, in a sentence.

use maud::{Markup, html};

use crate::domain::clock::Timestamp;
use crate::domain::spoken::ago;
use crate::lifecycle::progress::Progress;
use crate::lifecycle::{Held, Holder, QUIET_FOR, Refused, Usage};
use crate::registry::Client;

/// What to do next.
pub(super) struct Step {
    /// In a few words.
    pub(super) what: String,
    /// Why, and what to look at.
    pub(super) why: String,
    /// The button that does it.
    pub(super) does: Option<Does>,
}

/// What a button does.
pub(super) enum Does {
    Generate,
    Revoke(crate::domain::ids::SecretId),
}

/// The word, with its colour.
pub(super) fn badge(client: &Client, holder: &Holder, now: Timestamp) -> Markup {
    let progress = Progress::of(holder, now);
    let (class, word) = match progress {
        Progress::LockedOut if !client.enabled => ("off", "switched off"),
        Progress::Steady => ("calm", progress.as_str()),
        Progress::Rotating => ("busy", progress.as_str()),
        Progress::Ready => ("done", progress.as_str()),
        Progress::Stalled | Progress::Expiring => ("warn", progress.as_str()),
        Progress::LockedOut => ("bad", progress.as_str()),
    };
    html! { span class=(format!("badge {class}")) { (word) } }
}

/// Whether a person should look at it.
pub(super) fn wants_attention(holder: &Holder, now: Timestamp) -> bool {
    match Progress::of(holder, now) {
        Progress::Steady | Progress::Rotating => false,
        Progress::LockedOut => holder.enabled,
        Progress::Ready | Progress::Stalled | Progress::Expiring => true,
    }
}

/// The next step of a client.
pub(super) fn step(holder: &Holder, now: Timestamp) -> Step {
    let usable: Vec<&Held> = holder.usable().collect();
    let newest = usable.iter().max_by_key(|secret| secret.created);
    let old = || usable.iter().filter(|secret| newest.is_none_or(|newest| newest.id != secret.id));
    let step = |what: String, why: String, does: Option<Does>| Step { what, why, does };
    match (Progress::of(holder, now), newest) {
        (Progress::LockedOut, _) | (_, None) if !holder.enabled => step(
            "Nothing to do here".to_owned(),
            "The client is switched off: none of its secrets is accepted.".to_owned(),
            None,
        ),
        (Progress::LockedOut, _) | (_, None) => match holder.room() {
            Err(Refused::AtLimit { revoke: Some(waiting), .. }) => step(
                format!("Make room: revoke {waiting}"),
                "No secret of this client is accepted: it cannot get a token. Those that wait take every place there is, and \
                 none is left to generate one in."
                    .to_owned(),
                Some(Does::Revoke(waiting)),
            ),
            _ => step(
                "Generate a new secret".to_owned(),
                "No secret of this client is accepted: it cannot get a token.".to_owned(),
                Some(Does::Generate),
            ),
        },
        (Progress::Steady, _) => step(
            "Nothing to do".to_owned(),
            "To rotate, generate a new secret. The one in use goes on working until you revoke it.".to_owned(),
            None,
        ),
        (Progress::Expiring, Some(newest)) => step(
            "Generate a new secret".to_owned(),
            match newest.expires {
                Some(end) => format!("The only one ends {}, and no other stands behind it.", ago(end, now)),
                None => "The only one ends soon, and no other stands behind it.".to_owned(),
            },
            Some(Does::Generate),
        ),
        (Progress::Stalled, Some(newest)) => step(
            format!("Deploy {}, or revoke it", newest.id),
            "It was made a while ago, and nobody has used it yet.".to_owned(),
            None,
        ),
        (Progress::Ready, Some(_)) => {
            let quiet = old().min_by_key(|secret| secret.usage.quiet_since());
            let since = quiet.and_then(|secret| secret.usage.quiet_since());
            step(
                quiet.map_or_else(|| "Revoke the old secret".to_owned(), |secret| format!("Revoke {}", secret.id)),
                since.map_or_else(String::new, |at| format!("Nobody has used it since {}.", ago(at, now))),
                quiet.map(|secret| Does::Revoke(secret.id.clone())),
            )
        }
        (Progress::Rotating, Some(newest)) if is_unused(newest) => step(
            format!("Deploy {}", newest.id),
            "Nobody has used it yet. Give it to everybody who still uses the old one; both work meanwhile.".to_owned(),
            None,
        ),
        (Progress::Rotating, Some(_)) => wait(old().copied(), now),
    }
}

/// The new one is in use: the old one is to become quiet.
fn wait<'h>(old: impl Iterator<Item = &'h Held>, now: Timestamp) -> Step {
    let busiest = old.max_by_key(|secret| secret.usage.quiet_since());
    let (what, why) = match busiest.map(|secret| (secret, &secret.usage)) {
        Some((secret, Usage::Seen { last_used: Some(at), .. })) if now.since(*at) < QUIET_FOR => (
            format!("Wait until {} is quiet", secret.id),
            format!(
                "It was used {}: the table tells by whom, and they still need the new one. If it stays quiet, it can be \
                 revoked {}.",
                ago(*at, now),
                ago(at.plus(QUIET_FOR), now)
            ),
        ),
        Some((secret, Usage::Seen { tracking_since, .. })) => (
            format!("Wait until {} has been watched for a day", secret.id),
            format!("Watched since {}: \"not seen\" is not \"not used\" yet.", ago(*tracking_since, now)),
        ),
        Some((secret, Usage::Unknown(why))) => {
            (format!("Find out who uses {}", secret.id), format!("That is not known here: {why}."))
        }
        None => ("Wait".to_owned(), String::new()),
    };
    Step { what, why, does: None }
}

fn is_unused(secret: &Held) -> bool {
    matches!(secret.usage, Usage::Seen { last_used: None, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, ClientKey, SecretId, Tenant};
    use crate::registry::SecretState;

    #[test]
    fn no_step_leads_to_a_button_that_refuses() {
        let now = Timestamp::from_millis(1_795_000_000_000);
        let pending = |id: &str| Held {
            id: SecretId::parse(id).unwrap(),
            state: SecretState::Pending,
            created: Some(now),
            not_before: Some(now.plus(QUIET_FOR)),
            expires: None,
            refused_until: None,
            marked: false,
            usage: Usage::Unknown("not known".to_owned()),
        };
        let key = ClientKey { tenant: Tenant::parse("").unwrap(), id: ClientId::parse("c").unwrap() };
        let mut holder = Holder { key, enabled: true, max_active: 2, secrets: vec![pending("one")] };
        assert!(matches!(step(&holder, now).does, Some(Does::Generate)));
        holder.secrets.push(pending("two"));
        assert!(matches!(step(&holder, now).does, Some(Does::Revoke(id)) if id.as_str() == "one"));
    }
}
