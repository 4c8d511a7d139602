//! What a command that changes files by itself leaves in the audit log: the user, what was done, how it ended.

use std::path::PathBuf;

use super::{Failure, talk};
use crate::admin::answer::{NOT_FOUND, REFUSED, USAGE};
use crate::audit::Audit;
use crate::domain::clock::Clock;
use crate::event::entry::{Entry, Outcome, Who};

/// The log of those who change files; that it cannot be written is said, and stops nothing.
pub(super) fn log(path: Option<PathBuf>) -> Audit {
    Audit::direct(path, Box::new(|why| talk(&format!("note: {why}\n"))))
}

/// Writes down what was done and hands it on; `about` says on what.
pub(super) fn note<T>(
    audit: &Audit,
    what: &str,
    done: anyhow::Result<T>,
    about: impl FnOnce(&mut Entry),
) -> anyhow::Result<T> {
    let outcome = match &done {
        Ok(_) => Outcome::Done,
        Err(error) => match error.downcast_ref::<Failure>().map(|failure| failure.exit) {
            Some(REFUSED) => Outcome::Refused("refused".to_owned()),
            Some(NOT_FOUND) => Outcome::Refused("not_found".to_owned()),
            Some(USAGE) => Outcome::Refused("invalid".to_owned()),
            _ => Outcome::Failed("failed".to_owned(), error.to_string()),
        },
    };
    let who = Who::user(rustix::process::geteuid().as_raw());
    let mut entry = Entry::new(Clock::start().now(), who, what, outcome);
    about(&mut entry);
    audit.write(&entry);
    done
}
