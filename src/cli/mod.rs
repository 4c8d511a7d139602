//! The commands: one file a verb, each a function from arguments to an exit code.
//!
//! Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a safety rule (nothing was
//! changed), 4 not found.

pub mod completions;
pub mod config;
pub mod demo;
pub mod import;
pub mod init;
pub mod man;
pub mod run;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config::problem::{ConfigErrors, Problem, Problems};
use crate::config::settings::Settings;
use crate::domain::clock::Clock;
use crate::reload::{self, Loaded};

/// A command ended because a rule protects something; nothing was changed.
pub const REFUSED: u8 = 3;

/// Rotate OAuth client secrets without downtime.
///
/// relatch stands in front of a token endpoint, accepts every active secret of a client, shows when each was last used,
/// and reloads its client list while it serves.
#[derive(Parser)]
#[command(name = "relatch", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// The configuration file
    #[arg(long, global = true, default_value = "relatch.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything with nothing else: a built-in token server and two demo clients, in memory
    Demo,
    /// Run the sidecar
    ///
    /// Settings can be overridden in the environment as RELATCH__SECTION__KEY, for example
    /// RELATCH__UPSTREAM__URL=http://127.0.0.1:9000. SIGHUP reloads the client list, SIGTERM drains and stops.
    Run(run::Arguments),
    /// Write relatch.toml and clients.toml, ready to run
    Init(init::Arguments),
    /// Look at configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Turn another system's clients into entries for clients.toml
    ///
    /// The entries go to standard output: relatch import --from hydra clients.json >> clients.toml. What cannot be
    /// imported is named with its reason, and the exit code is then 1; the rest is printed all the same.
    Import(import::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
    /// Write the manual pages
    Man(man::Arguments),
    /// Print the version
    Version,
}

/// What a command leaves to do.
pub enum Next {
    /// Nothing: it is done.
    Exit(ExitCode),
    /// Everything is loaded and good: serve.
    Serve(Box<Launch>),
}

/// An instance to be: settings, and the list they name.
pub struct Launch {
    /// What is fixed.
    pub settings: Settings,
    /// The first list.
    pub loaded: Loaded,
    /// The time of windows.
    pub clock: Arc<Clock>,
    /// What the operator should know about the settings.
    pub warnings: Vec<Problem>,
    /// Where the settings came from; nothing for the demo, whose list is fixed too.
    pub origin: Option<Origin>,
    /// Told where we listen, once we do.
    pub announce: Option<Announce>,
}

/// Is told where we listen.
pub type Announce = Box<dyn FnOnce(&Bound)>;

/// Where the settings came from, to notice when a key was changed that needs a restart.
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Its keys and their values, as they were at the start.
    pub keys: Vec<(String, String)>,
}

/// Where an instance can be reached.
pub struct Bound {
    /// The proxy's listeners.
    pub proxy: Vec<SocketAddr>,
    /// The telemetry listener.
    pub telemetry: SocketAddr,
}

/// Runs the command that the arguments name.
pub fn main() -> anyhow::Result<Next> {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Demo => return demo::run(),
        Command::Run(arguments) => return run::run(&cli.config, &arguments),
        Command::Init(arguments) => init::run(&cli.config, &arguments)?,
        Command::Config(command) => config::run(&cli.config, &command)?,
        Command::Import(arguments) => import::run(&arguments)?,
        Command::Completions(arguments) => completions::run(&arguments)?,
        Command::Man(arguments) => man::run(&arguments)?,
        Command::Version => {
            say(&format!("relatch {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    };
    Ok(Next::Exit(done))
}

/// Says why a command failed.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    talk(&format!("error: {error:#}\n"));
    ExitCode::FAILURE
}

/// Data, on stdout. A reader that went away is no error.
fn say(text: &str) {
    let _closed = std::io::stdout().write_all(text.as_bytes());
}

/// Talk, on stderr.
fn talk(text: &str) {
    let _closed = std::io::stderr().write_all(text.as_bytes());
}

/// Everything that a start needs.
struct Ready {
    settings: Settings,
    loaded: Loaded,
    warnings: Vec<Problem>,
    text: String,
}

/// Reads both files as a start does. Where either has errors, every error of both is given, and the warnings beside them.
fn ready(path: &Path, flags: &[(String, String)], clock: &Clock) -> Result<Ready, (ConfigErrors, Vec<Problem>)> {
    let (settings, problems, text) = settings(path, flags);
    let Problems { mut errors, warnings } = problems;
    match settings.map(|settings| (reload::load(&settings, clock), settings)) {
        Some((Ok(loaded), settings)) if errors.is_empty() => Ok(Ready { settings, loaded, warnings, text }),
        Some((Err(more), _)) => {
            errors.extend(more.0);
            Err((ConfigErrors(errors), warnings))
        }
        _ => Err((ConfigErrors(errors), warnings)),
    }
}

/// The settings of a file, with the environment over it. `flags` win over both.
fn settings(path: &Path, flags: &[(String, String)]) -> (Option<Settings>, Problems, String) {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let mut problems = Problems::default();
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "does not exist: `relatch init --upstream URL` writes one".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            problems.error(crate::config::problem::Place::whole(name), "", why);
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
fn environment() -> Vec<(String, String)> {
    let ours =
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    ours.filter(|(key, _)| key.starts_with("RELATCH__")).collect()
}

/// Every error, a line each, and how many there are.
fn refuse(errors: &ConfigErrors) -> ExitCode {
    let count = errors.0.len();
    for error in &errors.0 {
        talk(&format!("error: {error}\n"));
    }
    talk(&format!("{count} error{}; nothing was started or changed\n", if count == 1 { "" } else { "s" }));
    ExitCode::FAILURE
}

fn warn(warnings: &[Problem]) {
    for warning in warnings {
        talk(&format!("warning: {warning}\n"));
    }
}
