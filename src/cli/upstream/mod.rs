//! `relatch upstream ...`: the secret by which a token server elsewhere knows one of our clients, changed there through its
//! provider's management API and kept here, in that order of caution. One file a job: where the secret is kept
//! ([`keep`]), the provider ([`far`]), the token endpoint that proves it ([`check`]), and the two verbs.

mod check;
mod ended;
mod far;
mod keep;
mod retire;
mod rotate;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::called::{Called, OfTenant};
use super::{Failure, Globals, noted, setup};
use crate::admin::answer::{FAILED, NOT_FOUND, USAGE};
use crate::config::values;
use crate::domain::ids::ClientKey;
use crate::domain::mint;
use crate::provider::Provider;

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Get a new secret from the provider, keep it before the old one, and check that it is taken
    ///
    /// The new secret goes to the first of the client's secret files and the old one to the next, the running instance
    /// reloads, and a token is asked for with the new one. Auth0 ends the old secret at once; Okta and Hydra keep it until
    /// it is retired. An interrupted run is finished by the same command.
    Rotate(rotate::Arguments),
    /// Take the old secrets away at the provider, once the new one is taken (Okta, Hydra)
    Retire(Far),
}

/// Where the far end is, and how the new secret is proved there.
#[derive(clap::Args)]
pub(super) struct Far {
    /// The client's id
    client: String,
    #[command(flatten)]
    tenant: OfTenant,
    /// Whose management API it is
    #[arg(long)]
    provider: Name,
    /// Where that API is, such as https://tenant.eu.auth0.com; http only on this machine
    #[arg(long, value_name = "URL")]
    url: String,
    /// The application's id there; default: the client's id at the upstream
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// A file with the token for it: sent as Bearer, or as it stands where it begins with its scheme ("SSWS ...")
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who signs the certificates of --url and --token-url, PEM; default: whom the system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// For how long a busy provider is asked again, and a new secret may need to be taken
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    patience: String,
    /// Where a token is asked for to check the secret; default: the upstream of the configuration
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// The scope to ask for
    #[arg(long)]
    scope: Option<String>,
    /// The audience to ask for
    #[arg(long)]
    audience: Option<String>,
    /// The grant in full, as a form; default: grant_type=client_credentials
    #[arg(long, value_name = "FORM")]
    grant_params: Option<String>,
}

impl Far {
    /// The client as the list has it.
    fn called(&self) -> Called {
        self.tenant.client(&self.client)
    }
}

/// The providers that are known.
#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// Auth0: its old secret ends at once
    Auth0,
    /// Okta: two secrets at the most
    Okta,
    /// Ory Hydra: the latest five old ones go on working
    Hydra,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, command: &Command) -> anyhow::Result<ExitCode> {
    let (settings, ..) = setup::settings(&globals.config, &[]);
    let audit = noted::log(settings.and_then(|settings| settings.log.audit));
    let (what, far, done) = match command {
        Command::Rotate(arguments) => ("upstream.rotate", &arguments.far, rotate::run(globals, arguments)),
        Command::Retire(far) => ("upstream.retire", far, retire::run(globals, far)),
    };
    let is_unknown = |error: &anyhow::Error| error.downcast_ref::<Failure>().is_some_and(|why| why.exit == NOT_FOUND);
    // What stands in the place of an id may be a secret.
    let known = |key: &ClientKey| !done.as_ref().is_err_and(is_unknown) && !mint::may_be_ours(key.id.as_str());
    let client = far.called().key().filter(known);
    noted::note(&audit, what, done, |entry| entry.client = client)
}

impl Far {
    const fn provider(&self) -> Provider {
        match self.provider {
            Name::Auth0 => Provider::Auth0,
            Name::Okta => Provider::Okta,
            Name::Hydra => Provider::Hydra,
        }
    }

    fn patience(&self) -> anyhow::Result<Duration> {
        let text = &self.patience;
        values::duration(text).ok_or_else(|| {
            let why = format!("--patience {text:?}: expected a duration with a unit, such as \"60s\"");
            usage(&why)
        })
    }
}

fn usage(why: &str) -> anyhow::Error {
    Failure::new(USAGE, format!("{why}\n  Nothing was changed.")).into()
}

fn failed(why: &str) -> anyhow::Error {
    Failure::new(FAILED, format!("{why}\n  Nothing was changed.")).into()
}
