//! The tokens in force: read again as their file changes, the last good ones kept where it cannot be used.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable};
use utoipa::ToSchema;

use crate::config::problem::{ConfigErrors, Problems};
use crate::config::tokens::Token;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Digest;
use crate::hash;
use crate::log::Log;
use crate::source::tokens;

/// The tokens in force.
pub struct Tokens {
    path: PathBuf,
    list: ArcSwap<Vec<Token>>,
    seen: Mutex<Seen>,
    /// When each was last let in, since the start. A token that takes over a name begins anew.
    uses: Mutex<HashMap<Digest, Timestamp>>,
}

/// A token, without what it is known by.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct TokenObject {
    /// Its name.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Option<String>,
    /// When its time is over.
    pub expires: Option<String>,
    /// When it was last let in; nothing where it was not since the instance started.
    pub last_used_at: Option<String>,
}

/// What was seen of the file.
#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Why what stands there is not in force, as it was told.
    fault: Option<String>,
}

/// Device, inode, length, and when it was changed last.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let found = path.metadata().ok()?;
    let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.len(), modified.0, modified.1, changed.0, changed.1))
}

impl Tokens {
    /// Reads the file for the first time. One that is not there holds none yet.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let stamp = stamp(path);
        let (found, Problems { errors, .. }) = tokens::read(path);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let seen = Mutex::new(Seen { stamp, fault: None });
        Ok(Self {
            path: path.to_owned(),
            list: ArcSwap::from_pointee(found.unwrap_or_default()),
            seen,
            uses: Mutex::default(),
        })
    }

    /// Reads the file again where it looks changed.
    pub(super) fn renew_if_changed(&self, log: &Log) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).stamp;
        (stamp(&self.path) != seen).then(|| self.renew(log)).flatten()
    }

    /// Reads the file again, and takes what it holds, all of it or nothing: gives why, where that is new.
    pub fn renew(&self, log: &Log) -> Option<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path);
        let (found, Problems { errors, warnings }) = tokens::read(&self.path);
        let file = self.path.display();
        let changed = stamp != std::mem::replace(&mut seen.stamp, stamp);
        let was_there = !self.list.load().is_empty();
        let fault = match found {
            _ if !errors.is_empty() => Some(ConfigErrors(errors).to_string()),
            None if was_there => Some("does not exist any more".to_owned()),
            _ => None,
        };
        if let Some(why) = fault {
            let is_new = seen.fault.as_ref() != Some(&why);
            if is_new {
                let next = "the tokens before stay in force; mend the file, `relatch token revoke` takes one out";
                log.error("the admin tokens cannot be used", &[("file", &file), ("error", &why), ("next", &next)]);
            }
            seen.fault = Some(why.clone());
            return is_new.then_some(why);
        }
        let found = found.unwrap_or_default();
        let news = **self.list.load() != found;
        if seen.fault.take().is_some() || news {
            log.info("admin tokens are in force", &[("file", &file), ("tokens", &found.len())]);
        }
        if changed {
            warnings.iter().for_each(|warning| log.warn("admin tokens", &[("warning", warning)]));
        }
        if news {
            let stays = |digest: &Digest| found.iter().any(|token| token.digest == *digest);
            self.uses().retain(|digest, _| stays(digest));
            self.list.store(Arc::new(found));
        }
        None
    }

    /// Those in force.
    pub(super) fn in_force(&self) -> Arc<Vec<Token>> {
        self.list.load_full()
    }

    /// The token that a session was opened with, while it is in force.
    pub(super) fn of_digest(&self, digest: &Digest, now: Timestamp) -> Option<Token> {
        let alive = |token: &&Token| !token.has_expired(now) && bool::from(token.digest.matches(digest));
        self.list.load().iter().find(alive).cloned()
    }

    /// The token that was presented, which is not let in by that yet. The same work whether it is known or not: one digest,
    /// compared with all of them.
    pub(super) fn find(&self, presented: &[u8], now: Timestamp) -> Option<Token> {
        let digest = hash::sha256(presented);
        let list = self.list.load();
        let mut found = 0u32;
        for (number, token) in (1u32..).zip(list.iter()) {
            let alive = Choice::from(u8::from(!token.has_expired(now)));
            found.conditional_assign(&number, token.digest.matches(&digest) & alive);
        }
        list.get(usize::try_from(found).ok()?.checked_sub(1)?).cloned()
    }

    /// A token was let in.
    pub(super) fn note_use(&self, token: &Token, now: Timestamp) {
        self.uses().insert(token.digest, now);
    }

    /// Those in force, each with its last use since the start.
    pub(super) fn objects(&self) -> Vec<TokenObject> {
        let uses = self.uses();
        let object = |token: &Token| TokenObject {
            name: token.name.to_string(),
            scopes: token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            created: token.created.map(Timestamp::rfc3339),
            expires: token.expires.map(Timestamp::rfc3339),
            last_used_at: uses.get(&token.digest).copied().map(Timestamp::rfc3339),
        };
        self.list.load().iter().map(object).collect()
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Digest, Timestamp>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::settings::Log as LogSettings;
    use crate::config::settings::kinds::{LogFormat, LogLevel};
    use crate::domain::clock::Clock;

    fn entry(name: &str, token: &str, rest: &str) -> String {
        let hash = hash::write(&hash::sha256(token.as_bytes()));
        format!("[[token]]\nname = \"{name}\"\nhash = \"{hash}\"\nscopes = [\"admin\"]\n{rest}\n")
    }

    #[test]
    fn a_token_is_found_while_it_is_alive_and_stands_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let settings = LogSettings { format: LogFormat::Json, level: LogLevel::Error, access: false, audit: None };
        let dropped = prometheus::IntCounter::new("lost", "lost").unwrap();
        let (log, _writer) = Log::start(&settings, Arc::new(Clock::start()), dropped).unwrap();
        let tokens = Tokens::read(&path).unwrap();
        let now = Timestamp::from_millis(1_795_000_000_000);
        let found = |token: &str| {
            let token = tokens.find(token.as_bytes(), now)?;
            tokens.note_use(&token, now);
            Some(token.name.to_string())
        };
        assert_eq!((found("one"), found("")), (None, None), "there is no file yet");

        let last = |name: &str| {
            let found = tokens.objects().into_iter().find(|token| token.name == name);
            found.and_then(|token| token.last_used_at)
        };
        let ended = entry("old", "three", "expires = 2020-01-01T00:00:00Z");
        write(&(entry("a", "one", "") + &entry("b", "two", "expires = 2090-01-01T00:00:00Z") + &ended));
        tokens.renew_if_changed(&log);
        assert!(tokens.find(b"one", now).is_some() && last("a").is_none(), "found, and not let in");
        assert_eq!((found("one").as_deref(), found("two").as_deref()), (Some("a"), Some("b")));
        assert_eq!((last("a"), last("old")), (Some(now.rfc3339()), None));
        for wrong in ["", "on", "one ", "three", "four", "One"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }

        for bad in ["[[token]]\nname = \"a\"", "\u{feff}", &entry("a", "one", "scops = 1")] {
            write(bad);
            tokens.renew_if_changed(&log);
            assert_eq!(found("two").as_deref(), Some("b"), "the last good ones stay: {bad}");
        }
        std::fs::remove_file(&path).unwrap();
        tokens.renew(&log);
        assert_eq!(found("two").as_deref(), Some("b"));

        write(&entry("a", "one", ""));
        tokens.renew_if_changed(&log);
        assert_eq!((found("one").as_deref(), found("two")), (Some("a"), None));
        write(&entry("a", "another", ""));
        tokens.renew_if_changed(&log);
        assert_eq!(last("a"), None, "it has the name alone of the one that was used");
        write("");
        tokens.renew_if_changed(&log);
        assert_eq!(found("one"), None, "an empty file is a good one");
        write("[[token]]\n");
        assert!(Tokens::read(&path).is_err());
    }
}
