//! What is said of a rotation that came to no new secret: what happened, what was not changed, what to do next.

use super::failed;
use super::far::Stopped;
use super::rotate::Run;
use crate::admin::answer::{FAILED, REFUSED};
use crate::attempt::Said;
use crate::cli::Failure;
use crate::hash::sha256;
use crate::provider::steps::Why;
use crate::provider::{FarSecret, Provider};

impl Run<'_> {
    /// A secret was made, and its value is lost.
    pub(super) fn hidden(&self, id: &str, what: &str) -> anyhow::Error {
        let message = format!(
            "{}: {what}: {id}\n  The files were not changed, and the old secret works. Deactivate and delete {id} there, then \
             run the same command again.",
            self.end.name()
        );
        Failure::new(REFUSED, message).into()
    }

    /// As many as there can be: which ones, as far as it is told.
    pub(super) fn full(&self, all: &[FarSecret]) -> anyhow::Error {
        let known = |one: &FarSecret| {
            let held = one.secret.as_ref()?;
            let digest = sha256(held.expose());
            let at = self.site.known.iter().position(|s| sha256(s.expose()).matches(&digest).into());
            Some(
                at.and_then(|at| self.site.files.get(at))
                    .map_or("is not here".to_owned(), |file| format!("is that of {}", file.display())),
            )
        };
        let line = |one: &FarSecret| {
            let status = if one.active { "active" } else { "inactive" };
            let whose = known(one).map(|whose| format!(", {whose}")).unwrap_or_default();
            let made = one.created.as_deref().unwrap_or("?");
            format!("    {} ({status}, made {made}{whose})", one.id.as_deref().unwrap_or("?"))
        };
        let oldest = all.iter().min_by(|a, b| (a.active, &a.created).cmp(&(b.active, &b.created)));
        let message = format!(
            "{} keeps {} secrets, and there are as many:\n{}\n  Nothing was changed. Remove the one that nobody uses, most \
             likely {}: `relatch upstream retire {}` does once the newest is in use.",
            self.end.name(),
            all.len(),
            all.iter().map(line).collect::<Vec<_>>().join("\n"),
            oldest.and_then(|one| one.id.as_deref()).unwrap_or("?"),
            self.site.typed()
        );
        Failure::new(REFUSED, message).into()
    }

    /// What happened, what was not changed, and what to do: by what is known of the far end.
    pub(super) fn stopped(&self, Stopped { why, words }: Stopped) -> anyhow::Error {
        let (name, file) = (self.end.name(), self.keep.first(self.site).display());
        match why {
            Why::Refused => {
                let right =
                    if self.end.provider == Provider::Auth0 { " The token needs update:client_keys." } else { "" };
                failed(&format!("{name} refuses to make a secret: {words}.{right}"))
            }
            Why::Busy => failed(&format!("{name} is busy for longer than --patience: {words}")),
            Why::Unreachable => failed(&format!("{name}: {words}")),
            Why::Unchanged => failed(&format!("{name}: {words}; it shows no new secret. The same command tries again")),
            Why::Hidden(id) => self.hidden(&id, &format!("{words}; it made a secret, and does not tell it")),
            Why::Unknown => {
                let old = self.site.known.first().map(|old| self.endpoint.ask(old));
                let now = match old.map(|seen| seen.said) {
                    Some(Said::Accepted) => "The old one is taken now.",
                    Some(Said::Refused) => "The old one is REFUSED now.",
                    _ => "Whether the old one is still taken is not known.",
                };
                let next = if self.end.provider.ends_the_old() {
                    format!(
                        "It was not asked for again, which would end it once more. The same command, with a token that has \
                         read:client_keys, fetches the new one; or put the one that the dashboard shows into {file}."
                    )
                } else {
                    "The same command asks for another one, and the old ones go on working.".to_owned()
                };
                let message = format!(
                    "{name}: {words}; it may have made a secret that nobody has\n  Nothing was changed here. {now} {next}"
                );
                Failure::new(FAILED, message).into()
            }
        }
    }
}
