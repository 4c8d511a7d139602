//! The commands: one file a verb, each a function from arguments to an exit code.
//!
//! Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a safety rule (nothing was
//! changed), 4 not found. What is about clients and secrets goes through the `door`: a running instance, or its files.

mod called;
mod client;
mod completions;
pub mod config;
pub mod demo;
mod discover;
mod door;
mod identify;
mod import;
pub mod init;
mod link;
mod man;
mod noted;
mod reload;
mod rotate;
pub mod run;
mod secret;
mod setup;
mod show;
mod shown_once;
mod status;
mod table;
mod taking_away;
mod token;
mod upstream;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use crate::admin::answer::{FAILED, USAGE};
use crate::config::problem::Problem;
use crate::config::settings::Settings;
use crate::config::settings::proxy::Listen;
use crate::demo::Scratch;
use crate::domain::clock::Clock;
use crate::domain::mint;
use crate::reload::Loaded;
use crate::tls::links::Links;
use crate::upstream::remote::Remotes;

/// Rotate OAuth client secrets without downtime.
///
/// relatch stands in front of a token endpoint, accepts every active secret of a client, shows when each was last used,
/// and reloads its client list while it serves.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a safety rule (nothing was changed), 4 not found.
#[derive(Parser)]
#[command(name = "relatch", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
struct Globals {
    /// The configuration file
    #[arg(long, global = true, default_value = "relatch.toml", value_name = "FILE")]
    config: PathBuf,
    /// A running instance, as https://HOST:PORT, http://127.0.0.1:PORT or unix:PATH; default: the one that the
    /// configuration names, if it answers, else the files
    #[arg(long, global = true, value_name = "ADDRESS", hide_short_help = true)]
    server: Option<String>,
    /// A file with the token for an instance that is reached by TCP
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    token_file: Option<PathBuf>,
    /// Who signed the certificate of that instance, PEM; default: whom the system trusts
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    ca: Option<PathBuf>,
    /// How data is written
    #[arg(short, long, global = true, default_value = "table", hide_short_help = true)]
    output: Output,
    /// Data only: of a secret that was made, the secret alone
    #[arg(short, long, global = true, hide_short_help = true)]
    quiet: bool,
    /// Ask nothing
    #[arg(long, global = true, hide_short_help = true)]
    yes: bool,
}

/// How data is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Everything with nothing else: a built-in token server, two demo clients, and the page
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
    /// Clients: add, list, show, remove
    #[command(subcommand)]
    Client(client::Command),
    /// Secrets of a client: add, list, disable, enable, expire, revoke, identify
    #[command(subcommand)]
    Secret(secret::Command),
    /// Give clients a new secret; the old ones go on working until they are revoked
    Rotate(rotate::Arguments),
    /// The secret that a token server elsewhere knows us by: rotate it there, retire the old one
    #[command(subcommand)]
    Upstream(upstream::Command),
    /// Tokens for the admin API by TCP: add, list, revoke; and a link to log in to the page
    #[command(subcommand)]
    Token(token::Command),
    /// Turn another system's client list into entries for clients.toml
    Import(import::Arguments),
    /// What is in force, and what wants something done
    Status,
    /// Put into force what stands in the list, and tell what came of it
    Reload(reload::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Write the manual pages into a folder
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
    /// The token servers, and what secures the links to them.
    pub remotes: Remotes,
    /// The first list.
    pub loaded: Loaded,
    /// What its connections are secured with.
    pub links: Links,
    /// The time of windows.
    pub clock: Arc<Clock>,
    /// What the operator should know about the settings.
    pub warnings: Vec<Problem>,
    /// Where the settings came from; nothing for the demo, which keeps nothing.
    pub origin: Option<Origin>,
    /// Told where we listen, once we do.
    pub announce: Option<Announce>,
    /// What goes with the instance: the files of the demo.
    pub scratch: Option<Scratch>,
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
    pub proxy: Vec<Listen>,
    /// The telemetry listener.
    pub telemetry: SocketAddr,
    /// A link to the page that works once, where there is a page.
    pub dashboard: Option<String>,
}

/// Runs the command that the arguments name.
pub fn main() -> anyhow::Result<Next> {
    if let Some(refused) = secret_as_argument() {
        return Ok(Next::Exit(refused));
    }
    let Cli { globals, command } = Cli::parse();
    let config = &globals.config;
    let done = match command {
        Command::Demo => return demo::run(),
        Command::Run(arguments) => return run::run(config, &arguments),
        Command::Init(arguments) => init::run(config, &arguments)?,
        Command::Config(command) => config::run(config, &command)?,
        Command::Client(command) => client::run(&globals, command)?,
        Command::Secret(command) => secret::run(&globals, command)?,
        Command::Rotate(arguments) => rotate::run(&globals, &arguments)?,
        Command::Upstream(command) => upstream::run(&globals, &command)?,
        Command::Token(command) => token::run(&globals, command)?,
        Command::Import(arguments) => import::run(&arguments)?,
        Command::Status => status::run(&globals)?,
        Command::Reload(arguments) => reload::run(&globals, &arguments)?,
        Command::Completions(arguments) => completions::run(&arguments)?,
        Command::Man(arguments) => man::run(&arguments)?,
        Command::Version => {
            say(&format!("relatch {}\n", env!("CARGO_PKG_VERSION")))?;
            ExitCode::SUCCESS
        }
    };
    Ok(Next::Exit(done))
}

/// A secret on the command line stands in the shell's history and in everybody's process list: refused before anything
/// could print it once more.
fn secret_as_argument() -> Option<ExitCode> {
    let pasted = |argument: std::ffi::OsString| {
        let mut words = argument.as_encoded_bytes().split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        words.any(|word| mint::is_ours(word) || mint::is_token(word))
    };
    std::env::args_os().skip(1).any(pasted).then(|| {
        talk(
            "error: a secret stands on the command line, where history and process lists keep it\n  \
             Nothing was changed. Give it on stdin (--secret-stdin), and revoke this one if others can read those.\n",
        );
        ExitCode::from(USAGE)
    })
}

/// Why a command ended, and with which exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Failure {
    message: String,
    exit: u8,
}

impl Failure {
    fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), exit }
    }
}

/// Says why a command failed.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    talk(&format!("error: {error:#}\n"));
    ExitCode::from(error.downcast_ref::<Failure>().map_or(FAILED, |failure| failure.exit))
}

/// Data, on stdout. A reader that went away (`| head`) is told to the caller, who mostly has nothing to add.
fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Talk, on stderr.
fn talk(text: &str) {
    draw(&harmless(text));
}

/// What moves the cursor of a terminal on purpose, on stderr.
fn draw(text: &str) {
    let _closed = std::io::stderr().write_all(text.as_bytes());
}

/// Text that holds an id or a name, whose control characters must not reach a terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Asks a person before something large, where one is there to answer.
fn confirm(globals: &Globals, question: &str) -> anyhow::Result<()> {
    if globals.yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    talk(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(FAILED, "not confirmed\n  Nothing was changed.").into()),
    }
}
