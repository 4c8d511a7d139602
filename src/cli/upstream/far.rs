//! The provider, asked as often as is safe: what is only looked at or said twice without harm is repeated while it is busy;
//! a new secret is asked for by the rules of [`crate::provider::steps`].

use std::time::Duration;

use super::site::Site;
use super::{Far, failed, usage};
use crate::admin::answer::{FAILED, NOT_FOUND};
use crate::cli::{Failure, talk};
use crate::domain::clock::instant;
use crate::domain::secret::Secret;
use crate::management::base::Base;
use crate::management::link::Link;
use crate::management::{Api, Told};
use crate::provider::steps::{Asking, Came, Found, Next, Why, found};
use crate::provider::{Ask, FarSecret, Provider};
use crate::source::file;

/// The provider of one application.
pub(super) struct FarEnd {
    pub(super) provider: Provider,
    pub(super) app: String,
    patience: Duration,
    api: Api,
    runtime: tokio::runtime::Runtime,
}

/// Between two looks at a provider that is busy.
const BETWEEN: Duration = Duration::from_millis(500);

impl FarEnd {
    /// Of the arguments.
    pub(super) fn open(far: &Far, site: &Site) -> anyhow::Result<Self> {
        let provider = far.provider();
        let base = Base::parse(&far.url)
            .ok_or_else(|| usage("--url: expected https://HOST[:PORT][/PATH], the base of the management API"))?;
        if !base.is_closed() {
            return Err(usage(&format!("--url {base}: secrets go there, and http can be read on the way: use https")));
        }
        let token = match &far.token_file {
            Some(path) => {
                Some(file::read_secret(path).map_err(|why| failed(&format!("--token-file {} {why}", path.display())))?)
            }
            None if provider == Provider::Hydra => None,
            None => return Err(usage(&format!("{} wants a token: --token-file FILE", provider.name()))),
        };
        let app = far.app.clone().unwrap_or_else(|| site.upstream_id().to_owned());
        let link = Link::to(base, far.ca.as_deref()).map_err(|unusable| failed(&unusable.to_string()))?;
        let api = Api::new(provider, link, app.clone(), token.as_ref())
            .ok_or_else(|| failed("--token-file holds what no header can: it must be one line of text"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { provider, app, patience: far.patience()?, api, runtime })
    }

    /// What it is called, and where.
    pub(super) fn name(&self) -> String {
        format!("{} at {}", self.provider.name(), self.api.base())
    }

    fn ask(&self, ask: Ask<'_>) -> anyhow::Result<Told> {
        let told = self.runtime.block_on(self.api.ask(ask));
        told.ok_or_else(|| failed(&format!("{} knows no such request", self.provider.name())))
    }

    /// Asks what may be said twice, again and again while it is busy or fails.
    fn settled(&self, ask: Ask<'_>) -> anyhow::Result<Told> {
        let began = instant();
        loop {
            let told = self.ask(ask)?;
            let (came, _) = told.of_making(self.provider);
            let wait = match came {
                Came::Busy(wait) => wait.unwrap_or(BETWEEN),
                Came::Unsent | Came::Failed => BETWEEN,
                Came::Lost if !matches!(told, Told::Yes(_)) => BETWEEN,
                Came::Made | Came::Refused | Came::Lost => return Ok(told),
            };
            if began.elapsed().saturating_add(wait) > self.patience {
                return Ok(told);
            }
            std::thread::sleep(wait);
        }
    }

    /// Which secrets there are. Nothing where it does not tell this token, and goes on all the same.
    pub(super) fn show(&self) -> anyhow::Result<Option<Vec<FarSecret>>> {
        let told = self.settled(Ask::Show)?;
        match &told {
            Told::Yes(body) => match self.provider.shown(body) {
                Some(shown) => Ok(Some(shown)),
                None => Err(failed(&format!("{}: the answer cannot be read: is --url right?", self.name()))),
            },
            Told::No(http::StatusCode::NOT_FOUND, ..) => {
                let message = format!("{} knows no application {}: --app ID names it", self.name(), self.app);
                Err(Failure::new(NOT_FOUND, format!("{message}\n  Nothing was changed.")).into())
            }
            Told::No(http::StatusCode::FORBIDDEN, ..) if self.provider == Provider::Auth0 => Ok(None),
            other => Err(failed(&format!("{}: {other}", self.name()))),
        }
    }

    /// A new secret, `before` being the ids that are there and `known` the secrets that are here.
    pub(super) fn make(&self, known: &[Secret], before: &[String]) -> Result<FarSecret, Stopped> {
        let mut asking = Asking::new(self.provider, self.patience);
        let began = instant();
        loop {
            let told = self.ask(Ask::Make).map_err(|error| Stopped::refused(&error))?;
            let (came, made) = told.of_making(self.provider);
            let mut got = made;
            let mut next = asking.after(came, began.elapsed());
            if next == Next::Look {
                talk(&format!("{}: {told}; looking what became of it\n", self.name()));
                let found = match self.show() {
                    Ok(Some(shown)) => found(self.provider, shown, known, before),
                    Ok(None) | Err(_) => Found::Unknown,
                };
                next = asking.looked(&found, began.elapsed());
                if let Found::New(secret) = found {
                    got = Some(secret);
                }
            }
            match (next, got) {
                (Next::Keep, Some(secret)) => return Ok(secret),
                (Next::Again(wait), _) => {
                    talk(&format!("{}: {told}; asking again in {:.1} s\n", self.name(), wait.as_secs_f64()));
                    std::thread::sleep(wait);
                }
                (Next::Stop(why), _) => return Err(Stopped { why, words: told.to_string() }),
                (Next::Keep | Next::Look, _) => return Err(Stopped { why: Why::Unknown, words: told.to_string() }),
            }
        }
    }

    /// Does what may be said twice, and gives why it is refused.
    pub(super) fn step(&self, ask: Ask<'_>) -> anyhow::Result<()> {
        let told = self.settled(ask)?;
        match (&told, ask) {
            (Told::Yes(_), _) | (Told::No(http::StatusCode::NOT_FOUND, ..), Ask::Delete(_)) => Ok(()),
            _ => Err(Failure::new(FAILED, format!("{}: {told}", self.name())).into()),
        }
    }
}

/// Why there is no new secret.
pub(super) struct Stopped {
    pub(super) why: Why,
    pub(super) words: String,
}

impl Stopped {
    fn refused(error: &anyhow::Error) -> Self {
        Self { why: Why::Refused, words: error.to_string() }
    }
}
