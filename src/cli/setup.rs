//! The two files as a command reads them, and the certificates that they name: every error at once, the environment over
//! the file.

use std::path::Path;
use std::process::ExitCode;

use super::talk;
use crate::config::problem::{ConfigErrors, Place, Problem, Problems};
use crate::config::settings::Settings;
use crate::domain::clock::Clock;
use crate::domain::spoken::plural;
use crate::hooks;
use crate::reload::{self, Loaded};
use crate::source::file::check_mode;
use crate::source::tokens;
use crate::tls::links::Links;
use crate::tls::material::Unusable;
use crate::upstream::remote::Remotes;

/// Everything that a start needs.
pub(super) struct Ready {
    pub(super) settings: Settings,
    pub(super) remotes: Remotes,
    pub(super) loaded: Loaded,
    pub(super) warnings: Vec<Problem>,
    pub(super) text: String,
    pub(super) links: Links,
}

/// Reads both files as a start does. Where either has errors, every error of both is given, and the warnings beside them.
pub(super) fn ready(
    path: &Path,
    flags: &[(String, String)],
    clock: &Clock,
) -> Result<Ready, (ConfigErrors, Vec<Problem>)> {
    let (settings, problems, text) = settings(path, flags);
    let mut problems = problems;
    let links = settings.as_ref().map(|settings| Links::read(settings, &mut problems)).unwrap_or_default();
    if let Some(settings) = settings.as_ref().filter(|settings| !settings.admin.addresses.is_empty()) {
        look_at_tokens(&settings.admin.tokens, &mut problems);
    }
    hooks::check(settings.as_ref().map_or(&[], |settings| &settings.hooks), &mut problems);
    for key in settings.iter().flat_map(Settings::private_keys) {
        check_mode(key, true, &mut problems);
    }
    let Problems { mut errors, warnings } = problems;
    let Some(settings) = settings else { return Err((ConfigErrors(errors), warnings)) };
    let remotes = remotes(&settings, path).map_err(|found| errors.extend(found.0));
    match (reload::load(&settings, clock), remotes) {
        (Ok(loaded), Ok(remotes)) if errors.is_empty() => {
            Ok(Ready { settings, remotes, loaded, warnings, text, links })
        }
        (loaded, _) => {
            errors.extend(loaded.err().into_iter().flat_map(|more| more.0));
            Err((ConfigErrors(errors), warnings))
        }
    }
}

/// What the links to the token servers need.
pub(super) fn remotes(settings: &Settings, path: &Path) -> Result<Remotes, ConfigErrors> {
    let place = || Place::whole(path.display().to_string());
    let problem = |(key, why): (String, Unusable)| Problem { place: place(), key, message: why.to_string() };
    Remotes::load(settings).map_err(|unusable| ConfigErrors(unusable.into_iter().map(problem).collect()))
}

/// The tokens that an instance needs at an address. It starts without any: they are read again as their file changes.
fn look_at_tokens(path: &Path, problems: &mut Problems) {
    let (tokens, found) = tokens::read(path);
    if tokens.is_none_or(|tokens| tokens.is_empty()) && found.errors.is_empty() {
        let next = "`relatch token add NAME --scope SCOPE` makes one";
        let why =
            format!("holds no token, so that only browsers are let in at the addresses of [admin] listen: {next}");
        problems.warning(Place::whole(path.display().to_string()), "", why);
    }
    problems.absorb(found);
}

/// The settings of a file, with the environment over it. `flags` win over both.
pub(super) fn settings(path: &Path, flags: &[(String, String)]) -> (Option<Settings>, Problems, String) {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let mut problems = Problems::default();
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "does not exist: `relatch init --upstream URL` writes one".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            problems.error(Place::whole(name), "", why);
            return (None, problems, String::new());
        }
    };
    let mut overrides = environment();
    overrides.extend_from_slice(flags);
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let (settings, problems) = Settings::parse(&name, &text, &overrides, base);
    (settings, problems, text)
}

/// The variables that override settings; all others are left alone.
pub(super) fn environment() -> Vec<(String, String)> {
    let ours =
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    ours.filter(|(key, _)| key.starts_with("RELATCH__")).collect()
}

/// Every error, a line each, and how many there are.
pub(super) fn refuse(errors: &ConfigErrors) -> ExitCode {
    for error in &errors.0 {
        talk(&format!("error: {error}\n"));
    }
    talk(&format!("{}; nothing was started or changed\n", plural(errors.0.len(), "error")));
    ExitCode::FAILURE
}

pub(super) fn warn(warnings: &[Problem]) {
    for warning in warnings {
        talk(&format!("warning: {warning}\n"));
    }
}
