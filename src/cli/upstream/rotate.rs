//! `relatch upstream rotate`: look, ask, keep, reload, check; and only then, where it is wanted, retire.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::Method;

use super::check::TokenEndpoint;
use super::far::FarEnd;
use super::keep::Keep;
use super::site::Site;
use super::{Far, failed, retire, usage};
use crate::admin::answer::{FAILED, REFUSED};
use crate::attempt::Said;
use crate::cli::door::Door;
use crate::cli::{Failure, Globals, Output, confirm, harmless, say, talk};
use crate::domain::clock::instant;
use crate::domain::secret::Secret;
use crate::provider::FarSecret;
use crate::provider::steps::{Begin, Checked, Why, begin, checked};
use crate::source::write::rotation::{Note, Record, Stage};

/// What to rotate, and where to keep it.
#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(super) far: Far,
    /// Of a client with one secret file: the file for the new secret, which the list names before the old one
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    new_file: Option<PathBuf>,
    /// Put the new secret into a new file of mode 0600 and change nothing else, for a store of secrets of your own
    #[arg(long, value_name = "FILE", conflicts_with = "retire")]
    out: Option<PathBuf>,
    /// Rotate even if no secret that is here is taken now
    #[arg(long)]
    force: bool,
    /// Take the old secrets away at the provider once the new one is taken (Okta, Hydra)
    #[arg(long)]
    retire: bool,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let far = &arguments.far;
    if arguments.retire && far.provider().ends_the_old() {
        return Err(usage("--retire: Auth0 has one secret, and the old one ends as it is rotated"));
    }
    let site = Site::read(globals, &far.called())?;
    let keep = Keep::choose(&site, arguments.new_file.as_deref(), arguments.out.as_deref())?;
    let run = Run {
        globals,
        patience: far.patience()?,
        force: arguments.force,
        end: FarEnd::open(far, &site)?,
        endpoint: TokenEndpoint::of(far, &site)?,
        site: &site,
        keep,
    };
    run.keep.prove(&site)?;
    let (mut record, stage) = run.record()?;
    let made = run.new_secret(&mut record, stage)?;
    let Some(secret) = &made.secret else { return Err(failed("the provider gave no secret")) };
    let written = run.keep.put(&site, secret, run.end.provider.ends_the_old())?;
    let reloaded = run.reload()?;
    let words = run.check(secret)?;
    if matches!(run.keep, Keep::Out(_)) {
        record.forget();
    } else {
        record.done(made.id.as_deref(), secret)?;
    }
    drop(record);
    let older = || retire::older(&run.end, &run.endpoint, secret, made.id.as_deref());
    let retired = arguments.retire.then(older).transpose()?;
    run.tell(&made, &written, reloaded, &words, retired)?;
    Ok(ExitCode::SUCCESS)
}

/// One rotation.
pub(super) struct Run<'a> {
    globals: &'a Globals,
    patience: Duration,
    force: bool,
    pub(super) end: FarEnd,
    pub(super) endpoint: TokenEndpoint,
    pub(super) site: &'a Site,
    pub(super) keep: Keep,
}

impl Run<'_> {
    fn talk(&self, text: &str) {
        if !self.globals.quiet {
            talk(text);
        }
    }

    /// The record of this rotation, and how far an earlier run came.
    fn record(&self) -> anyhow::Result<(Record, Stage)> {
        let file = self.keep.first(self.site);
        let opened = Record::open(file)
            .map_err(|error| failed(&format!("beside {} no record can be kept: {error}", file.display())))?;
        let busy = || failed(&format!("another run rotates the secret of {}: wait for it", file.display()));
        let (record, stage) = opened.ok_or_else(busy)?;
        if let Stage::Asked(note) | Stage::Made(note, _) = &stage
            && (note.provider != self.end.provider || note.app != self.end.app)
        {
            let message = format!(
                "an interrupted run rotated {} at {}: finish that first, or remove {}\n  Nothing was changed.",
                note.app,
                note.provider.name(),
                record.path().display()
            );
            return Err(Failure::new(REFUSED, message).into());
        }
        Ok((record, stage))
    }

    /// The new secret: that of an interrupted run, one that the far end has and we have not, or one that is asked for now.
    fn new_secret(&self, record: &mut Record, stage: Stage) -> anyhow::Result<FarSecret> {
        let before = match stage {
            Stage::Made(_, made) => {
                self.talk("An interrupted run got a new secret: going on with it.\n");
                return Ok(made);
            }
            Stage::Asked(note) => Some(note.before),
            Stage::Fresh | Stage::Done(..) => None,
        };
        self.keep.prove_free()?;
        let shown = self.end.show()?;
        if shown.is_none() {
            self.talk(
                "note: the token may not read the client (read:clients, read:client_keys): were the answer lost, the new \
                 secret would be lost with it\n",
            );
        }
        let shown = shown.unwrap_or_default();
        let ids: Vec<String> = shown.iter().filter_map(|one| one.id.clone()).collect();
        match begin(self.end.provider, shown, &self.site.known, before.as_deref()) {
            Begin::Make => self.ask(record, &ids),
            Begin::Take(made) => {
                self.talk(&format!(
                    "{} has a secret that is not here: taking it. No other was asked for.\n",
                    self.end.provider.name()
                ));
                self.note(record, &before.unwrap_or_default())?;
                self.kept(record, made)
            }
            Begin::Hidden(id) => Err(self.hidden(&id, "an interrupted run had a secret made, and nobody has it")),
            Begin::Full(all) => Err(self.full(&all)),
        }
    }

    fn ask(&self, record: &mut Record, before: &[String]) -> anyhow::Result<FarSecret> {
        self.look_at_the_old()?;
        if self.end.provider.ends_the_old() {
            self.talk(&format!(
                "{} ends the old secret of {} at once: until the new one is in force here and known everywhere there, some \
                 requests may fail.\n",
                self.end.provider.name(),
                self.end.app
            ));
            confirm(self.globals, "Rotate it now?")?;
        }
        self.note(record, before)?;
        match self.end.make(&self.site.known, before) {
            Ok(made) => self.kept(record, made),
            Err(stopped) => {
                if matches!(stopped.why, Why::Refused | Why::Busy | Why::Unreachable) {
                    record.forget();
                }
                Err(self.stopped(stopped))
            }
        }
    }

    fn note(&self, record: &mut Record, before: &[String]) -> anyhow::Result<()> {
        let note = Note { provider: self.end.provider, app: self.end.app.clone(), before: before.to_vec() };
        record.asking(&note).map_err(|error| failed(&format!("{}: {error}", record.path().display())))
    }

    fn kept(&self, record: &mut Record, made: FarSecret) -> anyhow::Result<FarSecret> {
        if let Err(error) = record.made(&made) {
            talk(&format!("warning: {}: {error}; going on, the secret is in memory only\n", record.path().display()));
        }
        Ok(made)
    }

    /// Before anything is asked: whether the endpoint can tell at all, and that the one secret which works is not the one
    /// that the files are about to lose.
    fn look_at_the_old(&self) -> anyhow::Result<()> {
        let takes = |secret: &Secret| self.endpoint.ask(secret);
        let Some(first) = self.site.known.first() else { return Ok(()) };
        let seen = takes(first);
        match seen.said {
            Said::Accepted => return Ok(()),
            Said::Refused => {}
            Said::Unclear => {
                return Err(failed(&format!(
                    "{} does not tell whether a secret is taken: {}\n  So the new one could not be checked. --scope, \
                     --audience and --grant-params say what is asked for, --token-url where.",
                    self.endpoint.name(),
                    seen.words
                )));
            }
        }
        let file = self.keep.first(self.site).display();
        if self.keep.dropped(self.site).is_some_and(|last| takes(last).said == Said::Accepted) {
            let message = format!(
                "{} refuses the secret of {file} and takes that of the last file, which would go to make room\n  Nothing was \
                 changed. Put the one that is taken into {file} first.",
                self.endpoint.name()
            );
            return Err(Failure::new(REFUSED, message).into());
        }
        if self.force || self.site.known.iter().skip(1).any(|secret| takes(secret).said == Said::Accepted) {
            self.talk(&format!("note: {} refuses the secret of {file} ({})\n", self.endpoint.name(), seen.words));
            return Ok(());
        }
        let message = format!(
            "{} takes no secret that is here ({}), so it would say nothing of a new one: is it the right place?\n  Nothing was \
             changed. --token-url names another; --force rotates all the same.",
            self.endpoint.name(),
            seen.words
        );
        Err(Failure::new(REFUSED, message).into())
    }

    /// Puts the files into force in the running instance, where there is one.
    fn reload(&self) -> anyhow::Result<bool> {
        if matches!(self.keep, Keep::Out(_)) {
            return Ok(false);
        }
        let kept = |error: anyhow::Error| {
            Failure::new(
                FAILED,
                format!(
                    "{error:#}\n  The files hold the new secret. Once they are in force, run the same command again."
                ),
            )
        };
        let door = Door::open(self.globals).map_err(kept)?;
        if !door.is_instance() {
            self.talk("note: no instance answers: the files are read at the next start\n");
            return Ok(false);
        }
        let wish = serde_json::json!({"allow_shrink": false});
        let _done: serde_json::Value = door.ask(Method::POST, "/-/reload", Some(&wish)).map_err(kept)?;
        Ok(true)
    }

    fn check(&self, secret: &Secret) -> anyhow::Result<String> {
        taken(&self.endpoint, secret, self.patience).map_err(|words| {
            let old = if self.end.provider.ends_the_old() { "has ended" } else { "was left as it is" };
            let message = format!(
                "{} does not take the new secret: {words}\n  It stays in {}; the old one {old}. The same command checks it \
                 again.",
                self.endpoint.name(),
                self.keep.first(self.site).display()
            );
            Failure::new(FAILED, message).into()
        })
    }

    /// Where the secret is and what comes next; of the secret its last characters.
    fn tell(
        &self,
        made: &FarSecret,
        written: &[PathBuf],
        reloaded: bool,
        words: &str,
        retired: Option<Vec<String>>,
    ) -> anyhow::Result<()> {
        let hint = made.secret.as_ref().and_then(Secret::hint);
        let first = self.keep.first(self.site).display().to_string();
        let next = self.next(retired.is_some());
        if self.globals.output == Output::Json {
            let object = serde_json::json!({
                "client_id": self.site.client.id.as_str(),
                "provider": self.end.provider,
                "app": self.end.app,
                "secret_id": made.id,
                "hint": hint,
                "file": first,
                "written": written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
                "reloaded": reloaded,
                "checked": words,
                "retired": retired,
                "next": next,
            });
            return Ok(say(&format!("{}\n", serde_json::to_string_pretty(&object)?))?);
        }
        let hint = hint.map(|hint| format!(" ...{hint}")).unwrap_or_default();
        say(&harmless(&format!(
            "{}: new secret{hint} in {first}, taken by {}\n",
            self.site.client,
            self.endpoint.name()
        )))?;
        self.talk(&format!("The check got {words}.{}\n", if reloaded { " The running instance has it." } else { "" }));
        if let Some(retired) = retired {
            self.talk(&retire::told(&self.end, &retired));
        }
        self.talk(&format!("{next}\n"));
        Ok(())
    }

    fn next(&self, retired: bool) -> String {
        match &self.keep {
            Keep::Out(path) => format!(
                "Next: put {} into your store of secrets, as the first of the client's files, and remove it.",
                path.display()
            ),
            _ if retired || self.end.provider.ends_the_old() => "The old one has ended.".to_owned(),
            _ => format!(
                "The old one is taken still. Next, when every instance has the new one: `relatch upstream retire {}` with the \
                 same options.",
                self.site.typed()
            ),
        }
    }
}

/// Shows the endpoint a secret until it takes it or our patience ends; what came, either way.
pub(super) fn taken(endpoint: &TokenEndpoint, secret: &Secret, patience: Duration) -> Result<String, String> {
    let began = instant();
    let mut tries = 0;
    loop {
        let seen = endpoint.ask(secret);
        match checked(seen.said, tries, began.elapsed(), patience) {
            Checked::Good => return Ok(seen.words),
            Checked::Bad => return Err(seen.words),
            Checked::Again(wait) => std::thread::sleep(wait),
        }
        tries += 1;
    }
}
