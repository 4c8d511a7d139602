//! `relatch upstream retire`: takes the old secrets away at the provider. The new one is shown to the token endpoint before
//! and, where the provider can undo, between the steps: what would leave the client without a secret is undone.

use std::process::ExitCode;

use super::check::TokenEndpoint;
use super::far::FarEnd;
use super::site::Site;
use super::{Far, failed, rotate, usage};
use crate::admin::answer::{FAILED, REFUSED};
use crate::attempt::Said;
use crate::cli::{Failure, Globals, Output, say, talk};
use crate::domain::secret::Secret;
use crate::hash;
use crate::provider::{Ask, FarSecret, Provider};
use crate::source::write::rotation::{Record, Stage, digest};

/// Runs the command.
pub(super) fn run(globals: &Globals, far: &Far) -> anyhow::Result<ExitCode> {
    if far.provider().ends_the_old() {
        return Err(usage("Auth0 has one secret: the old one ended when it was rotated"));
    }
    let site = Site::read(globals, &far.called())?;
    let end = FarEnd::open(far, &site)?;
    let endpoint = TokenEndpoint::of(far, &site)?;
    let (Some(file), Some(new)) = (site.files.first(), site.known.first()) else {
        return Err(failed("the client has no secret file"));
    };
    let id = known_as(&end, file, new)?;
    let words = rotate::taken(&endpoint, new, far.patience()?).map_err(|words| {
        failed(&format!("{} does not take the secret of {}: {words}", endpoint.name(), file.display()))
    })?;
    let retired = older(&end, &endpoint, new, id.as_deref())?;
    if globals.output == Output::Json {
        let object = serde_json::json!({"client_id": far.client, "app": end.app, "checked": words, "retired": retired});
        say(&format!("{}\n", serde_json::to_string_pretty(&object)?))?;
    } else if !globals.quiet {
        talk(&told(&end, &retired));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of those that are gone.
pub(super) fn told(end: &FarEnd, retired: &[String]) -> String {
    match retired {
        [] => format!("{} has no older secret.\n", end.provider.name()),
        some => format!("Retired at {}: {}.\n", end.provider.name(), some.join(", ")),
    }
}

/// The id of the secret that the first file holds; refused where it is not known to be the newest.
fn known_as(end: &FarEnd, file: &std::path::Path, new: &Secret) -> anyhow::Result<Option<String>> {
    let record = Record::open(file).ok().flatten();
    if let Some((_, Stage::Done(note, id, held))) = &record
        && note.provider == end.provider
        && note.app == end.app
        && *held == digest(new)
    {
        return Ok(id.clone());
    }
    match end.provider {
        Provider::Okta => Ok(None),
        Provider::Auth0 | Provider::Hydra => {
            let message = format!(
                "{} does not hold the secret of the last `relatch upstream rotate`: all but the newest would be dropped, this \
                 one perhaps with them\n  Nothing was changed. Rotate again, with --retire.",
                file.display()
            );
            Err(Failure::new(REFUSED, message).into())
        }
    }
}

/// Takes every other secret away; what is left is `new`, which has just been taken. Gives what is gone.
pub(super) fn older(
    end: &FarEnd,
    endpoint: &TokenEndpoint,
    new: &Secret,
    id: Option<&str>,
) -> anyhow::Result<Vec<String>> {
    if end.provider == Provider::Hydra {
        end.step(Ask::DropOlder)?;
        return Ok(vec!["all older ones".to_owned()]);
    }
    let shown = end.show()?.unwrap_or_default();
    let keep = id.map(str::to_owned).or_else(|| ours(&shown, new));
    let Some(keep) = keep.filter(|id| shown.iter().any(|one| one.id.as_ref() == Some(id))) else {
        return Err(failed(&format!("{} does not list the new secret", end.name())));
    };
    let mut gone = Vec::new();
    for old in shown.iter().filter(|one| one.id.as_ref() != Some(&keep)) {
        let Some(old_id) = old.id.as_deref() else { continue };
        if old.active {
            end.step(Ask::Deactivate(old_id))?;
            // It was taken a moment ago: what it gets now is the deactivation's doing, and every moment counts.
            let seen = endpoint.ask(new);
            if seen.said != Said::Accepted {
                let undone = end.step(Ask::Activate(old_id));
                let after = match undone {
                    Ok(()) => format!("It is active again; nothing was deleted. Look which secret {old_id} is."),
                    Err(why) => format!("It could NOT be activated again ({why}): activate {old_id} by hand, now."),
                };
                let message =
                    format!("with {old_id} deactivated, the new secret is not taken: {}\n  {after}", seen.words);
                return Err(Failure::new(FAILED, message).into());
            }
        }
        end.step(Ask::Delete(old_id))?;
        gone.push(old_id.to_owned());
    }
    Ok(gone)
}

/// The one that is ours: by what is told of it, else the one that was made last.
fn ours(shown: &[FarSecret], new: &Secret) -> Option<String> {
    let told = |one: &&FarSecret| {
        one.secret
            .as_ref()
            .is_some_and(|secret| hash::sha256(secret.expose()).matches(&hash::sha256(new.expose())).into())
    };
    let newest = || shown.iter().filter(|one| one.active).max_by(|a, b| a.created.cmp(&b.created));
    shown.iter().find(told).or_else(newest)?.id.clone()
}
