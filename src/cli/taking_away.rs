//! `relatch secret revoke`: at once, after it has been quiet for long enough (`--wait`), or for a minute only, to see who
//! fails (`--rehearse`).

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use http::Method;

use super::called::Called;
use super::door::{Door, NOTHING, Paused};
use super::secret::Which;
use super::show::{self, Times};
use super::{Failure, Globals, Output, draw, say, talk};
use crate::admin::answer::{FAILED, REFUSED, USAGE};
use crate::admin::object::SecretObject;
use crate::admin::wish::LifecycleWish;
use crate::config::values;
use crate::domain::clock::{Clock, Timestamp, instant};
use crate::domain::spoken::{count, length, plural, roughly};
use crate::lifecycle::{MAX_REHEARSAL, QUIET_FOR};

/// How strict the guard is.
#[derive(clap::Args)]
pub(super) struct Guard {
    /// Do it even if the secret is in use, or the client's last usable one
    #[arg(long)]
    force: bool,
    /// How long the secret must have been quiet; default 24h
    #[arg(long, value_name = "DURATION")]
    quiet_for: Option<String>,
}

impl Guard {
    /// As the admin API wants it.
    pub(super) fn wish(&self) -> LifecycleWish {
        LifecycleWish { force: self.force, quiet_for: self.quiet_for.clone(), ..LifecycleWish::default() }
    }
}

/// How to revoke.
#[derive(clap::Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    guard: Guard,
    /// Wait until it has been quiet for long enough, then revoke it; Ctrl-C leaves everything as it is
    #[arg(long, conflicts_with_all = ["force", "rehearse", "compromised"])]
    wait: bool,
    /// Refuse it for so long (up to 1h) and accept it again, to see who fails
    #[arg(long, value_name = "DURATION", conflicts_with = "compromised")]
    rehearse: Option<String>,
    /// Somebody has it who should not: revoke it at once, and tell who used it
    #[arg(long)]
    compromised: bool,
}

/// Runs the command.
pub(super) fn revoke(globals: &Globals, arguments: &Revoke) -> anyhow::Result<ExitCode> {
    let door = Door::open(globals)?;
    let rite = Rite { globals, door: &door, which: &arguments.which };
    if let Some(length) = &arguments.rehearse {
        return rite.rehearse(length, &arguments.guard.wish());
    }
    if arguments.wait {
        rite.wait_until_quiet(arguments.guard.quiet_for.as_deref())?;
    }
    let began = instant();
    let wish = LifecycleWish { compromised: arguments.compromised, ..arguments.guard.wish() };
    let secret = rite.step("revoke", &wish)?;
    if globals.output == Output::Json {
        say(&format!("{}\n", serde_json::to_string_pretty(&secret)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    rite.tell_revoked(&secret, began);
    if arguments.compromised {
        Rite::tell_users(&secret)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until a secret is quiet, for those who revoke afterwards.
pub(super) fn finish(globals: &Globals, door: &Door, which: &Which, quiet_for: Option<&str>) -> anyhow::Result<()> {
    let rite = Rite { globals, door, which };
    rite.wait_until_quiet(quiet_for)?;
    let began = instant();
    let wish = LifecycleWish { quiet_for: quiet_for.map(str::to_owned), ..LifecycleWish::default() };
    let secret = rite.step("revoke", &wish)?;
    rite.tell_revoked(&secret, began);
    Ok(())
}

/// One secret on its way out.
struct Rite<'a> {
    globals: &'a Globals,
    door: &'a Door,
    which: &'a Which,
}

/// How often the use is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Where nobody watches a line change, a line is written this often.
const LINE: Duration = Duration::from_secs(60);

impl Rite<'_> {
    fn step(&self, verb: &str, wish: &LifecycleWish) -> anyhow::Result<SecretObject> {
        let route = self.which.client().path(&["secrets", &self.which.secret_id, "lifecycle", verb]);
        self.door.ask(Method::POST, &route, Some(wish))
    }

    /// The secret and the client's others; nothing after Ctrl-C.
    fn look(&self) -> anyhow::Result<Option<(SecretObject, Vec<SecretObject>)>> {
        let (client, secret_id) = (self.which.client(), &self.which.secret_id);
        let all: Option<Vec<SecretObject>> = self.door.look(&client.path(&["secrets"]))?;
        let Some(all) = all else { return Ok(None) };
        let (this, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|secret| secret.id == *secret_id);
        let this = this.into_iter().next();
        // Asked by its own route, so that the answer says what is missing.
        let route = client.path(&["secrets", secret_id]);
        Ok(Some((this.map_or_else(|| self.door.ask(Method::GET, &route, NOTHING), Ok)?, others)))
    }

    /// A live view of old against new use, until the old one has been quiet for the time asked.
    fn wait_until_quiet(&self, quiet_for: Option<&str>) -> anyhow::Result<()> {
        let quiet_for = quiet_for.map_or(Ok(QUIET_FOR), parse)?;
        if !self.door.is_instance() {
            let message = "no instance answers, so nobody sees who uses the secret\n  Nothing was changed.";
            return Err(Failure::new(FAILED, message).into());
        }
        self.door.catch_interrupt()?;
        let mut line = LiveLine::default();
        loop {
            let Some((secret, others)) = self.look()? else { return Err(self.stopped(&mut line)) };
            if secret.status != "active" {
                line.end();
                return Ok(());
            }
            let Some(since) = quiet_since(&secret) else {
                line.end();
                let why = secret.use_unknown.unwrap_or_default();
                let message = format!("it is not known whether {} is used: {why}\n  Nothing was changed.", secret.id);
                return Err(Failure::new(REFUSED, message).into());
            };
            let quiet = Clock::start().now().since(since);
            if quiet >= quiet_for {
                line.end();
                return Ok(());
            }
            if !others.iter().any(|other| other.status == "active") {
                line.end();
                let message = format!(
                    "{} is the last usable secret of {}: however quiet it becomes, it would not be revoked\n  \
                     Nothing was changed. Add another one first.",
                    secret.id,
                    Called::from(&secret)
                );
                return Err(Failure::new(REFUSED, message).into());
            }
            let newer: u64 = others.iter().filter_map(|other| other.use_count).sum();
            let uses = secret.use_count.unwrap_or_default();
            let (id, from) = (&secret.id, show::addresses(&secret));
            let seen = if from.is_empty() { String::new() } else { format!(" (last by {from})") };
            line.show(&format!(
                "{id}: quiet for {} of {}{seen}; uses: old {}, others {}",
                roughly(quiet.as_secs()),
                length(quiet_for),
                count(uses),
                count(newer)
            ));
            if self.door.pause(LOOK.min(quiet_for - quiet)) == Paused::Interrupted {
                return Err(self.stopped(&mut line));
            }
        }
    }

    fn stopped(&self, line: &mut LiveLine) -> anyhow::Error {
        line.end();
        let id = &self.which.secret_id;
        Failure::new(FAILED, format!("stopped waiting\n  Nothing was changed: {id} is still active.")).into()
    }

    /// Refuses the secret for a while. That it is accepted again is the instance's own doing: the end stands in the list.
    fn rehearse(&self, length_text: &str, wish: &LifecycleWish) -> anyhow::Result<ExitCode> {
        let for_how_long = parse(length_text)?;
        if for_how_long.is_zero() || for_how_long > MAX_REHEARSAL {
            return Err(Failure::new(USAGE, "--rehearse: up to 1h\n  Nothing was changed.").into());
        }
        if !self.door.is_instance() {
            let message = "no instance answers, so nobody would fail\n  Nothing was changed.";
            return Err(Failure::new(FAILED, message).into());
        }
        self.door.catch_interrupt()?;
        let Some((before, _)) = self.look()? else { return Err(self.stopped(&mut LiveLine::default())) };
        let secret = self.step("rehearse", &LifecycleWish { for_: Some(length(for_how_long)), ..wish.clone() })?;
        let until = secret.refused_until.clone().unwrap_or_default();
        talk(&format!(
            "{} is refused for {}, until {until}; then it is accepted again whatever happens here.\n",
            secret.id,
            length(for_how_long)
        ));
        let began = instant();
        let mut line = LiveLine::default();
        let mut stopped = false;
        while began.elapsed() < for_how_long {
            let left = for_how_long.saturating_sub(began.elapsed());
            let Some((now, _)) = self.look().map_err(|error| self.goes_on(&error, &until))? else {
                stopped = true;
                break;
            };
            let failed = now.refused_count.saturating_sub(before.refused_count);
            line.show(&format!(
                "{}: {} left; presented and refused {}",
                secret.id,
                roughly(left.as_secs()),
                times(failed)
            ));
            if self.door.pause(LOOK.min(left)) == Paused::Interrupted {
                stopped = true;
                break;
            }
        }
        line.end();
        // Takes the mark out of the list, at once after Ctrl-C; without it the clock alone would do.
        let after =
            self.step("end-rehearsal", &LifecycleWish::default()).map_err(|error| self.goes_on(&error, &until))?;
        talk(&format!(
            "{} is {}{}{}.\n",
            after.id,
            after.status,
            if after.status == "active" { " again" } else { ": somebody did that meanwhile" },
            if stopped { " (stopped by Ctrl-C)" } else { "" }
        ));
        self.report(&after, after.refused_count.saturating_sub(before.refused_count), began)?;
        Ok(if stopped { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }

    /// A rehearsal that cannot be watched any more ends by itself.
    fn goes_on(&self, error: &anyhow::Error, until: &str) -> anyhow::Error {
        let id = &self.which.secret_id;
        Failure::new(FAILED, format!("{error:#}\n  {id} is accepted again from {until} on, by the list itself.")).into()
    }

    /// Who failed while it was refused.
    fn report(&self, secret: &SecretObject, failed: u64, began: Instant) -> anyhow::Result<()> {
        if self.globals.output == Output::Json {
            return Ok(say(&format!("{}\n", serde_json::to_string_pretty(secret)?))?);
        }
        if failed == 0 {
            let (client, secret_id) = (self.which.client().typed(), &self.which.secret_id);
            let next = format!("To go on: relatch secret revoke {client} {secret_id}");
            return Ok(say(&format!("Nobody presented it. {next}\n"))?);
        }
        let start = Timestamp::from_millis(
            Clock::start().now().millis().saturating_sub(u64::try_from(began.elapsed().as_millis()).unwrap_or(0)),
        );
        let during = |source: &&crate::admin::object::SourceObject| {
            values::timestamp(&source.at).is_some_and(|at| at.plus(LOOK) >= start)
        };
        let callers: Vec<_> = secret.refused_from.iter().filter(during).cloned().collect();
        say(&format!(
            "It was presented and refused {}; who failed:\n{}",
            times(failed),
            show::callers(&callers, &Times::for_stdout())
        ))?;
        Ok(())
    }

    fn tell_revoked(&self, secret: &SecretObject, began: Instant) {
        if !self.globals.quiet {
            let effect = if self.door.is_instance() {
                format!("In force after {:.1} s.", began.elapsed().as_secs_f64())
            } else {
                "No instance answers: it is in force from the next start.".to_owned()
            };
            talk(&format!("Revoked {}. {effect}\n", secret.id));
        }
    }

    /// Who used a compromised secret, when and from where.
    fn tell_users(secret: &SecretObject) -> anyhow::Result<()> {
        let times = Times::for_stdout();
        let text = match (&secret.use_unknown, secret.use_count) {
            (Some(why), _) => format!("Who used it is not known: {why}\n"),
            (None, uses) => {
                let since = times.of(secret.tracking_since.as_deref(), "-");
                let last = times.of(secret.last_used_at.as_deref(), "never");
                let callers = show::callers(&secret.last_used_from, &times);
                format!(
                    "Used {} since {since}, last {last}. The latest callers:\n{callers}",
                    self::times(uses.unwrap_or(0))
                )
            }
        };
        Ok(say(&text)?)
    }
}

fn times(number: u64) -> String {
    plural(usize::try_from(number).unwrap_or(usize::MAX), "time")
}

fn parse(text: &str) -> anyhow::Result<Duration> {
    let parsed = if text == "0" { Some(Duration::ZERO) } else { values::duration(text) };
    parsed.ok_or_else(|| {
        Failure::new(
            USAGE,
            format!("{text:?}: expected a duration with a unit, such as \"24h\"\n  Nothing was changed."),
        )
        .into()
    })
}

/// Since when a secret is quiet: the later of its last use and the begin of the tracking.
fn quiet_since(secret: &SecretObject) -> Option<Timestamp> {
    let at = |text: &Option<String>| text.as_deref().and_then(values::timestamp);
    let tracking = at(&secret.tracking_since)?;
    let refused = secret.refused_from.first().and_then(|source| values::timestamp(&source.at));
    Some(at(&secret.last_used_at).max(refused).map_or(tracking, |used| used.max(tracking)))
}

/// A line that changes in place on a terminal, and is written now and then elsewhere.
#[derive(Default)]
struct LiveLine {
    written: Option<Instant>,
    width: usize,
}

impl LiveLine {
    fn show(&mut self, text: &str) {
        if std::io::stderr().is_terminal() {
            let width = text.chars().count();
            let blank = " ".repeat(self.width.saturating_sub(width));
            draw(&format!("\r{text}{blank}"));
            self.width = width;
        } else if self.written.is_none_or(|at| at.elapsed() >= LINE) {
            talk(&format!("{text}\n"));
            self.written = Some(instant());
        }
    }

    fn end(&mut self) {
        if self.width > 0 {
            talk("\n");
            self.width = 0;
        }
    }
}
