//! Why something is not done: what happened, that nothing was changed, and what to do next. No secret in any of them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::spoken::{ago, count, length, named};
use crate::registry::SecretState;
use crate::registry::cells::Sighting;

/// A rule that stands against an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No client of that id.
    NoClient(ClientKey),
    /// The client has no secret of that id.
    NoSecret {
        /// The client.
        client: ClientKey,
        /// The secret.
        secret: SecretId,
    },
    /// A client of that id is there.
    ClientExists(ClientKey),
    /// What was asked for makes no sense.
    Invalid(String),
    /// As many secrets as may be are active or pending.
    AtLimit {
        /// The client.
        client: ClientKey,
        /// How many there are.
        active: usize,
        /// How many there may be.
        limit: usize,
        /// The one that is quiet for the longest.
        revoke: Option<SecretId>,
    },
    /// The client would be locked out.
    LastUsable {
        /// The client.
        client: ClientKey,
        /// Its last secret.
        secret: SecretId,
    },
    /// Somebody uses it.
    RecentlyUsed {
        /// The secret.
        secret: SecretId,
        /// When.
        last_used: Timestamp,
        /// Whether it was refused then: somebody wants it all the same.
        refused: bool,
        /// Now.
        now: Timestamp,
        /// How often.
        uses: u64,
        /// Who.
        from: Vec<Sighting>,
        /// How long it must be quiet.
        quiet_for: Duration,
    },
    /// It has not been watched for long enough to say.
    NotObserved {
        /// The secret.
        secret: SecretId,
        /// Since when it is watched.
        since: Timestamp,
        /// Now.
        now: Timestamp,
        /// How long it must be quiet.
        quiet_for: Duration,
    },
    /// Nothing is known of its use.
    UseUnknown {
        /// The secret.
        secret: SecretId,
        /// Why.
        why: String,
    },
    /// A revoked secret stays revoked.
    Revoked(SecretId),
    /// An expired secret stays expired.
    Expired(SecretId),
    /// Only an active secret can be rehearsed.
    NotActive(SecretId, SecretState),
    /// The secret that was given is one that the client has, or had.
    SameSecret(SecretId),
}

impl Refused {
    /// One word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoClient(_) => "no_such_client",
            Self::NoSecret { .. } => "no_such_secret",
            Self::ClientExists(_) => "client_exists",
            Self::Invalid(_) => "invalid",
            Self::AtLimit { .. } => "at_limit",
            Self::LastUsable { .. } => "last_usable_secret",
            Self::RecentlyUsed { .. } => "recently_used",
            Self::NotObserved { .. } => "not_observed",
            Self::UseUnknown { .. } => "use_unknown",
            Self::Revoked(_) => "revoked",
            Self::Expired(_) => "expired",
            Self::NotActive(..) => "not_active",
            Self::SameSecret(_) => "same_secret",
        }
    }
}

/// Two lines: what is the matter, and that nothing was changed with what to do next.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClient(client) => {
                write!(
                    f,
                    "there is no client {client}\n  Nothing was changed. `relatch client list` shows those there are."
                )
            }
            Self::NoSecret { client, secret } => write!(
                f,
                "client {client} has no secret {secret}\n  \
                 Nothing was changed. `relatch secret list {}` shows those it has.",
                named(client)
            ),
            Self::ClientExists(client) => write!(
                f,
                "client {client} is there already\n  \
                 Nothing was changed. `relatch secret add {}` gives it one more secret.",
                named(client)
            ),
            Self::Invalid(why) => write!(f, "{why}\n  Nothing was changed."),
            Self::AtLimit { client, active, limit, revoke } => {
                write!(f, "client {client} has {active} of {limit} secrets\n  Nothing was changed. Revoke one first")?;
                match revoke {
                    Some(secret) => {
                        let client = named(client);
                        write!(f, ": `relatch secret revoke {client} {secret}` (quiet for the longest).")
                    }
                    None => f.write_str(", or raise its max_active_secrets."),
                }
            }
            Self::LastUsable { client, secret } => write!(
                f,
                "{secret} is the last usable secret of {client}: without it the client is locked out\n  \
                 Nothing was changed. Add another one first, or use --force."
            ),
            Self::RecentlyUsed { secret, last_used, refused, now, uses, from, quiet_for } => {
                let was = if *refused { "presented (and refused)" } else { "used" };
                write!(f, "{secret} was {was} {}{}", ago(*last_used, *now), addresses(from))?;
                let quiet = length(*quiet_for);
                write!(f, "\n  Nothing was changed. Wait until it is quiet for {quiet}, or use --force.")?;
                let (of, callers) = (if *uses == 1 { "use" } else { "uses" }, callers(from));
                write!(f, "\n  {} {of} in all{callers}", count(*uses))
            }
            Self::NotObserved { secret, since, now, quiet_for } => write!(
                f,
                "{secret} is observed only since {}: \"not seen\" is not \"not used\"\n  \
                 Nothing was changed. Wait until it is quiet for {}, or use --force.",
                ago(*since, *now),
                length(*quiet_for)
            ),
            Self::UseUnknown { secret, why } => write!(
                f,
                "it is not known whether {secret} is still used: {why}\n  \
                 Nothing was changed. Mend that, or use --force."
            ),
            Self::Revoked(secret) => write!(
                f,
                "{secret} is revoked, and a revoked secret never comes back\n  \
                 Nothing was changed. Add a new one."
            ),
            Self::Expired(secret) => write!(f, "{secret} has expired\n  Nothing was changed. Add a new one."),
            Self::NotActive(secret, state) => {
                write!(
                    f,
                    "{secret} is {}, and only an active secret can be rehearsed\n  Nothing was changed.",
                    state.as_str()
                )
            }
            Self::SameSecret(secret) => write!(
                f,
                "the client has this very secret already, as {secret}\n  \
                 Nothing was changed. Give another one."
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// ` by 2 addresses (10.0.3.7, 10.0.3.9)`
fn addresses(from: &[Sighting]) -> String {
    let addresses: BTreeSet<_> = from.iter().map(|sighting| sighting.address).collect();
    if addresses.is_empty() {
        return String::new();
    }
    let named: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let what = if addresses.len() == 1 { "address" } else { "addresses" };
    format!(" by {} {what} ({})", addresses.len(), named.join(", "))
}

/// `; last: 10.0.3.7 (curl/8.5), 10.0.3.9`
fn callers(from: &[Sighting]) -> String {
    let named: Vec<String> = from
        .iter()
        .filter(|sighting| !sighting.user_agent.is_empty())
        .map(|sighting| format!("{} ({})", sighting.address, sighting.user_agent))
        .collect();
    if named.is_empty() { String::new() } else { format!("; last: {}", named.join(", ")) }
}
