//! A rotation that is asked for again: an SDK that lost the answer asks once more, and must not be given a third secret.
//! The plaintext waits in memory only, for three minutes or until the new secret is first used, and is wiped then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::caller::Identity;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Secret;

/// Longer than any SDK goes on retrying.
const REMEMBERED: Duration = Duration::from_secs(180);

/// Of one client: as many as it may have active secrets. One more takes the place of the oldest.
const MOST_OF_ONE: usize = 8;

/// The rotations of the last minutes, the last one of each wish: what another caller has done meanwhile makes a retry no
/// wish for one more.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<ClientKey, Vec<Rotation>>>);

/// Who asked, and for what beside the new secret: whoever asks for something else is no retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The caller.
    pub(super) caller: Identity,
    /// The end that the old ones are to have.
    pub(super) grace: Option<Duration>,
    /// The name of the new one.
    pub(super) name: Option<String>,
}

struct Rotation {
    asked: Asked,
    secret: SecretId,
    plain: Secret,
    at: Timestamp,
}

impl Repeats {
    /// Remembers a rotation that was answered.
    pub(super) fn remember(&self, client: ClientKey, asked: Asked, secret: SecretId, plain: &Secret, at: Timestamp) {
        let plain = Secret::new(plain.expose().to_vec());
        let mut known = self.lock();
        let of_client = known.entry(client).or_default();
        of_client.retain(|rotation| rotation.asked != asked);
        if of_client.len() >= MOST_OF_ONE {
            of_client.remove(0);
        }
        of_client.push(Rotation { asked, secret, plain, at });
    }

    /// The answer that the same wish had, where it was had lately and `unused` still holds for the secret.
    pub(super) fn again(
        &self,
        client: &ClientKey,
        asked: &Asked,
        now: Timestamp,
        unused: impl Fn(&SecretId) -> bool,
    ) -> Option<(SecretId, Secret)> {
        let mut known = self.lock();
        forget_late(&mut known, now);
        let of_client = known.get_mut(client)?;
        let at = of_client.iter().position(|rotation| rotation.asked == *asked)?;
        let rotation = of_client.get(at)?;
        if !unused(&rotation.secret) {
            of_client.remove(at);
            return None;
        }
        Some((rotation.secret.clone(), Secret::new(rotation.plain.expose().to_vec())))
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&self, now: Timestamp) {
        forget_late(&mut self.lock(), now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ClientKey, Vec<Rotation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_late(known: &mut HashMap<ClientKey, Vec<Rotation>>, now: Timestamp) {
    known.retain(|_, of_client| {
        of_client.retain(|rotation| now.since(rotation.at) < REMEMBERED);
        !of_client.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tokens::TokenName;
    use crate::domain::ids::ClientId;
    use crate::domain::secret::Digest;

    #[test]
    fn the_same_caller_is_answered_the_same_until_the_secret_is_used_or_time_is_over() {
        let repeats = Repeats::default();
        let client = ClientKey::from(ClientId::parse("c").unwrap());
        let secret = SecretId::parse("s").unwrap();
        let at = Timestamp::from_millis(1_000_000);
        let asked = |user| Asked { caller: Identity::User(user), grace: None, name: None };
        let remember = || repeats.remember(client.clone(), asked(7), secret.clone(), &Secret::new(b"x".to_vec()), at);
        let again =
            |user, now: Timestamp, unused: bool| repeats.again(&client, &asked(user), now, |_| unused).is_some();
        remember();
        assert!(again(7, at, true));
        assert!(!again(8, at, true), "another caller");
        let token = |name: &str, digest| Asked {
            caller: Identity::Token(TokenName::parse(name).unwrap(), Digest::from_bytes([digest; 32])),
            ..asked(7)
        };
        assert!(repeats.again(&client, &token("ci", 7), at, |_| true).is_none(), "a token");
        repeats.remember(client.clone(), token("ci", 7), secret.clone(), &Secret::new(b"x".to_vec()), at);
        assert!(again(7, at, true), "each has its own");
        for (caller, same) in [(token("ci", 7), true), (token("ops", 7), false), (token("ci", 8), false)] {
            assert_eq!(repeats.again(&client, &caller, at, |_| true).is_some(), same, "{caller:?}");
        }
        remember();
        let grace = Asked { grace: Some(Duration::ZERO), ..asked(7) };
        assert!(repeats.again(&client, &grace, at, |_| true).is_none(), "another wish");
        assert!(again(7, at.plus(REMEMBERED / 2), true));
        assert!(!again(7, at.plus(REMEMBERED), true), "too late");
        remember();
        assert!(!again(7, at, false), "it was used");
        assert!(!again(7, at, true), "and is forgotten");
    }

    #[test]
    fn of_each_wish_the_last_answer_is_known_and_of_the_wishes_a_few() {
        let repeats = Repeats::default();
        let client = ClientKey::from(ClientId::parse("c").unwrap());
        let at = Timestamp::from_millis(1_000_000);
        let asked = |user| Asked { caller: Identity::User(user), grace: None, name: None };
        let remember = |user, id: &str| {
            let secret = SecretId::parse(id).unwrap();
            repeats.remember(client.clone(), asked(user), secret, &Secret::new(b"x".to_vec()), at);
        };
        let again = |user| repeats.again(&client, &asked(user), at, |_| true).map(|(id, _)| id.to_string());
        remember(7, "first");
        remember(7, "second");
        remember(8, "other");
        assert_eq!((again(7).as_deref(), again(8).as_deref()), (Some("second"), Some("other")));
        assert!(repeats.again(&client, &asked(7), at, |_| false).is_none());
        assert_eq!((again(7), again(8).as_deref()), (None, Some("other")), "the first is no answer to it");
        (100..1000).for_each(|user| remember(user, "more"));
        assert_eq!(repeats.lock().get(&client).map(Vec::len), Some(MOST_OF_ONE));
        assert!(again(8).is_none() && again(999).is_some());
        repeats.sweep(at.plus(REMEMBERED));
        assert!(repeats.lock().is_empty(), "no plaintext stays");
    }
}
