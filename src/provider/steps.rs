//! What comes next while a secret is changed at the far end. A secret that was made and not kept is an outage where the old
//! one has ended, and so is one that was asked for twice: after an answer that does not tell, the far end is looked at, and
//! it is asked again only where that can do no harm.

use std::time::Duration;

use super::{FarSecret, Provider};
use crate::attempt::Said;
use crate::domain::secret::Secret;
use crate::hash;

/// How to begin, from what the far end shows.
#[derive(Debug)]
pub enum Begin {
    /// Ask for a new one.
    Make,
    /// It has one that is not here: a run before this one was interrupted, or somebody else has changed it.
    Take(FarSecret),
    /// It has one of an interrupted run, and does not tell it.
    Hidden(String),
    /// It makes no more beside these.
    Full(Vec<FarSecret>),
}

/// What came of asking for a new secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is here.
    Made,
    /// It was refused, and nothing was done.
    Refused,
    /// It was turned away for now; perhaps with a time to wait.
    Busy(Option<Duration>),
    /// It never left: no connection.
    Unsent,
    /// The far end failed, before it acted or after.
    Failed,
    /// No answer that can be read: it may have acted, or may yet.
    Lost,
}

/// What a look at the far end finds after such an answer.
#[derive(Debug)]
pub enum Found {
    /// The new secret.
    New(FarSecret),
    /// There is a new one, of this id, and it is not told.
    Hidden(String),
    /// What was there before.
    Same,
    /// It does not tell.
    Unknown,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Keep the secret.
    Keep,
    /// Wait so long, then ask again.
    Again(Duration),
    /// Look what became of it.
    Look,
    /// Nothing more.
    Stop(Why),
}

/// Why nothing more is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was refused; nothing was changed.
    Refused,
    /// It was turned away for longer than our patience; nothing was changed.
    Busy,
    /// There is no way there; nothing was changed.
    Unreachable,
    /// The far end is what it was, as far as can be seen.
    Unchanged,
    /// There is a new one, of this id, that nobody has.
    Hidden(String),
    /// The old secret may have ended, and nobody has the new one.
    Unknown,
}

/// Asking for a new secret, from the first request to the end.
#[derive(Debug)]
pub struct Asking {
    provider: Provider,
    patience: Duration,
    tries: u32,
    doubtful: u32,
    failed: bool,
}

/// The first wait; each is twice the one before.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(8);
/// Where older secrets go on working, each of these may cost one of them.
const MOST_DOUBTFUL: u32 = 2;

/// How to begin. `known` are the secrets that are here; `before` the ids that were there when an interrupted run asked.
pub fn begin(provider: Provider, shown: Vec<FarSecret>, known: &[Secret], before: Option<&[String]>) -> Begin {
    let found = match (provider, before) {
        (Provider::Auth0, _) => found(provider, shown, known, &[]),
        (Provider::Okta, Some(before)) if shown.iter().any(|one| is_new(one, before)) => {
            found(provider, shown, known, before)
        }
        (Provider::Okta, _) if provider.most().is_some_and(|most| shown.len() >= most) => return Begin::Full(shown),
        (Provider::Okta | Provider::Hydra, _) => return Begin::Make,
    };
    match found {
        Found::New(secret) => Begin::Take(secret),
        Found::Hidden(id) => Begin::Hidden(id),
        Found::Same | Found::Unknown => Begin::Make,
    }
}

/// What became of a request. `before` are the ids that were there when it was sent.
pub fn found(provider: Provider, shown: Vec<FarSecret>, known: &[Secret], before: &[String]) -> Found {
    let is_known = |secret: &Secret| {
        let digest = hash::sha256(secret.expose());
        known.iter().any(|known| bool::from(hash::sha256(known.expose()).matches(&digest)))
    };
    match provider {
        Provider::Hydra => Found::Unknown,
        Provider::Auth0 => match shown.into_iter().next() {
            Some(FarSecret { secret: Some(secret), .. }) if is_known(&secret) => Found::Same,
            Some(one) if one.secret.is_some() => Found::New(one),
            _ => Found::Unknown,
        },
        Provider::Okta => match shown.into_iter().find(|one| is_new(one, before)) {
            None => Found::Same,
            Some(one) if one.secret.is_some() => Found::New(one),
            Some(one) => Found::Hidden(one.id.unwrap_or_default()),
        },
    }
}

fn is_new(one: &FarSecret, before: &[String]) -> bool {
    one.id.as_ref().is_some_and(|id| !before.contains(id))
}

impl Asking {
    /// Begins; `patience` bounds what is waited between requests.
    pub const fn new(provider: Provider, patience: Duration) -> Self {
        Self { provider, patience, tries: 0, doubtful: 0, failed: false }
    }

    /// After an answer, `elapsed` since the first request.
    pub fn after(&mut self, came: Came, elapsed: Duration) -> Next {
        self.failed = came == Came::Failed;
        match came {
            Came::Made => Next::Keep,
            Came::Refused => Next::Stop(Why::Refused),
            Came::Busy(wanted) => self.again(wanted, elapsed, Why::Busy),
            Came::Unsent => self.again(None, elapsed, Why::Unreachable),
            Came::Failed | Came::Lost if self.provider == Provider::Hydra => {
                self.doubtful += 1;
                if self.doubtful > MOST_DOUBTFUL {
                    return Next::Stop(Why::Unknown);
                }
                self.again(None, elapsed, Why::Unknown)
            }
            Came::Failed | Came::Lost => Next::Look,
        }
    }

    /// After a look.
    pub fn looked(&mut self, found: &Found, elapsed: Duration) -> Next {
        match found {
            Found::New(_) => Next::Keep,
            Found::Hidden(id) => Next::Stop(Why::Hidden(id.clone())),
            Found::Unknown => Next::Stop(Why::Unknown),
            // One that was answered is over; one without an answer may still be under way.
            Found::Same if self.failed => self.again(None, elapsed, Why::Unchanged),
            Found::Same => Next::Stop(Why::Unchanged),
        }
    }

    fn again(&mut self, wanted: Option<Duration>, elapsed: Duration, why: Why) -> Next {
        let wait = wanted.unwrap_or_else(|| pause(self.tries));
        self.tries += 1;
        if elapsed.saturating_add(wait) > self.patience { Next::Stop(why) } else { Next::Again(wait) }
    }
}

/// After the new secret was shown to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is taken.
    Good,
    /// Not yet: a new secret needs a while to be known everywhere.
    Again(Duration),
    /// Not within our patience.
    Bad,
}

/// What an answer to the new secret means, `tries` having gone before it.
pub fn checked(said: Said, tries: u32, elapsed: Duration, patience: Duration) -> Checked {
    let wait = pause(tries);
    match said {
        Said::Accepted => Checked::Good,
        Said::Refused | Said::Unclear if elapsed + wait <= patience => Checked::Again(wait),
        Said::Refused | Said::Unclear => Checked::Bad,
    }
}

fn pause(tries: u32) -> Duration {
    (SHORTEST * 2_u32.saturating_pow(tries.min(16))).min(LONGEST)
}
