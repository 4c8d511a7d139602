//! What may come in: every entry is taken or refused by itself, and the reason is kept for the operator.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::config::clients::MOST_ACTIVE;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, ClientKey, SecretId, Tenant};
use crate::domain::mint;
use crate::domain::secret::Secret;
use crate::hash;

/// A client as another system has it.
pub(super) struct Draft {
    /// Its id.
    pub(super) id: String,
    /// Whose it is there, where the source says it; empty for none.
    pub(super) tenant: String,
    /// A name for people; empty for none.
    pub(super) name: String,
    /// Whether it may call.
    pub(super) enabled: bool,
    /// Its secrets, the newest first: where there are too many, the last are refused.
    pub(super) secrets: Vec<Result<DraftSecret, Refused>>,
}

impl Draft {
    /// A client that may call and has nothing yet.
    pub(super) const fn new(id: String, name: String) -> Self {
        Self { id, tenant: String::new(), name, enabled: true, secrets: Vec::new() }
    }
}

/// A secret as another system has it.
pub(super) struct DraftSecret {
    /// Its id, where the source has one.
    pub(super) id: Option<String>,
    /// A name for people; empty for none.
    pub(super) name: String,
    /// How the source keeps it.
    pub(super) stored: Stored,
    /// When it was made.
    pub(super) created: Option<Timestamp>,
    /// When its time comes.
    pub(super) not_before: Option<Timestamp>,
    /// When its time is over.
    pub(super) expires: Option<Timestamp>,
}

impl DraftSecret {
    /// A secret without times.
    pub(super) const fn new(name: String, stored: Stored) -> Self {
        Self { id: None, name, stored, created: None, not_before: None, expires: None }
    }
}

/// How a system keeps a secret.
pub(super) enum Stored {
    /// As a written hash.
    Hash(String),
    /// In the clear.
    Plain(Secret),
}

impl Stored {
    /// A secret that stood in the clear.
    pub(super) fn plain(text: &str) -> Self {
        Self::Plain(Secret::new(text.as_bytes().to_vec()))
    }
}

/// Why an entry stays out. Quotes nothing of it.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl Refused {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// `key` should say when something is over and cannot be read.
    pub(super) fn no_time(key: &str) -> Self {
        Self(format!("{key} is not a time that relatch can read"))
    }
}

/// A client as it goes into the list.
pub(super) struct Client {
    pub(super) key: ClientKey,
    pub(super) name: String,
    pub(super) enabled: bool,
    /// How many of its secrets are not over yet.
    pub(super) living: usize,
    pub(super) secrets: Vec<Kept>,
}

/// A secret as it goes into the list.
pub(super) struct Kept {
    pub(super) id: SecretId,
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) hint: Option<String>,
    pub(super) created: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires: Option<Timestamp>,
}

/// What came in so far, and what is to be told of the rest.
pub(super) struct Intake {
    /// What is good.
    pub(super) clients: Vec<Client>,
    /// How many entries were refused.
    pub(super) refused: usize,
    skipped: usize,
    talk: String,
    seen: HashSet<ClientKey>,
    now: Timestamp,
    /// Whose all of them are to be, whatever the source says.
    tenant: Option<Tenant>,
}

impl Intake {
    /// Nothing yet. `now` decides which secrets are over, `tenant` whose the clients are to be; the source says it where
    /// nothing is given.
    pub(super) fn at(now: Timestamp, tenant: Option<Tenant>) -> Self {
        Self { clients: Vec::new(), refused: 0, skipped: 0, talk: String::new(), seen: HashSet::new(), now, tenant }
    }

    /// Takes a client with those of its secrets that are good. One that is left without any stays out, and so does a
    /// second one of the same id and tenant: that may be somebody else, whose secrets must not mix.
    pub(super) fn client(&mut self, draft: Draft) {
        let who = client(&draft.id);
        let Some(id) = ClientId::parse(&draft.id) else {
            return self.refuse(&who, &Refused::new("its id is empty or longer than 512 bytes"));
        };
        let Some(tenant) = self.tenant.clone().or_else(|| Tenant::parse(&draft.tenant)) else {
            let why = "its realm or tenant has a name that no path can hold as it is: give one with --tenant";
            return self.refuse(&who, &Refused::new(why));
        };
        let key = ClientKey { tenant, id };
        if !self.seen.insert(key.clone()) {
            return self.refuse(&who, &Refused::new("stands in the file twice: only the first was imported"));
        }
        if draft.secrets.is_empty() {
            return self.refuse(&who, &Refused::new("has no secret"));
        }
        let mut taken = Taken::default();
        let several = draft.secrets.len() > 1;
        for (at, secret) in draft.secrets.into_iter().enumerate() {
            if let Err(why) = secret.and_then(|secret| taken.secret(secret, self.now)) {
                let which = if several { format!("{who}, secret {}", at + 1) } else { who.clone() };
                self.refuse(&which, &why);
            }
        }
        let Taken { secrets, living, .. } = taken;
        if !secrets.is_empty() {
            self.clients.push(Client { key, name: draft.name, enabled: draft.enabled, living, secrets });
        }
    }

    /// An entry stays out that may have been meant to come in.
    pub(super) fn refuse(&mut self, who: &str, why: &Refused) {
        self.refused += 1;
        let _infallible = writeln!(self.talk, "refused: {who}: {}", why.0);
    }

    /// An entry stays out that has no business in a list of secrets.
    pub(super) fn skip(&mut self, who: &str, why: &str) {
        self.skipped += 1;
        let _infallible = writeln!(self.talk, "skipped: {who}: {why}");
    }

    /// A line for each entry that stayed out, then the sum.
    pub(super) fn told(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (clients, secrets) = (self.clients.len(), self.clients.iter().map(|client| client.secrets.len()).sum());
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        format!(
            "{}Imported {clients} client{}, {secrets} secret{}; {} refused{skipped}\n",
            self.talk,
            plural(clients),
            plural(secrets),
            self.refused
        )
    }
}

/// How messages name a client. Quoted, so that no id can pass for words of ours.
pub(super) fn client(id: &str) -> String {
    format!("client {id:?}")
}

/// The good secrets of one client.
#[derive(Default)]
struct Taken {
    secrets: Vec<Kept>,
    living: usize,
    ids: HashSet<String>,
    /// What was stored, to notice the same secret twice.
    stored: HashSet<Vec<u8>>,
}

impl Taken {
    fn secret(&mut self, draft: DraftSecret, now: Timestamp) -> Result<(), Refused> {
        let living = draft.expires.is_none_or(|expires| expires > now);
        if let (Some(start), Some(end)) = (draft.not_before, draft.expires)
            && end <= start
        {
            return Err(Refused::new("its time is over before it comes"));
        }
        if living && self.living == MOST_ACTIVE {
            return Err(Refused::new("a client can have 8 secrets that are not over, and these are taken"));
        }
        let id = match &draft.id {
            None => mint::secret_id(fill),
            Some(id) => id.clone(),
        };
        let Some(parsed) = SecretId::parse(&id) else {
            return Err(Refused::new("its secret id is not 1 to 64 characters of a-z, 0-9 and _"));
        };
        if self.ids.contains(&id) {
            return Err(Refused::new("its secret id stands twice at this client"));
        }
        let (hash, hint, bytes) = match draft.stored {
            Stored::Hash(hash) => {
                hash::read(&hash).map_err(|why| Refused::new(format!("its hash {why}")))?;
                let bytes = hash.clone().into_bytes();
                (hash, None, bytes)
            }
            Stored::Plain(secret) if secret.is_empty() => return Err(Refused::new("its secret is empty")),
            Stored::Plain(secret) => (keep(&secret), secret.hint(), secret.expose().to_vec()),
        };
        if !self.stored.insert(bytes) {
            return Err(Refused::new("is the same secret as another of this client"));
        }
        self.ids.insert(id);
        self.living += usize::from(living);
        let DraftSecret { name, created, not_before, expires, .. } = draft;
        self.secrets.push(Kept { id: parsed, name, hash, hint, created, not_before, expires });
        Ok(())
    }
}

/// The written hash of a secret that stood in the clear.
fn keep(secret: &Secret) -> String {
    let mut salt = [0; 16];
    fill(&mut salt);
    hash::keep(secret, salt)
}

fn fill(out: &mut [u8]) {
    // Ids that could be guessed or collide are no ids.
    getrandom::fill(out).unwrap_or_else(|error| unreachable!("no random source: {error}"));
}
