//! `relatch run`: the sidecar.

use std::path::Path;
use std::sync::Arc;

use super::setup::{self, Ready};
use super::{Launch, Next, Origin};
use crate::config::settings::Settings;
use crate::domain::clock::Clock;

/// Flags, which win over the environment and the file.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where callers connect
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the real token endpoint is
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

/// Loads everything; what is good is served.
pub fn run(path: &Path, arguments: &Arguments) -> anyhow::Result<Next> {
    let flag = |key: &str, value: &Option<String>| value.clone().map(|value| (key.to_owned(), value));
    let flags: Vec<_> =
        [flag("RELATCH__PROXY__LISTEN", &arguments.listen), flag("RELATCH__UPSTREAM__URL", &arguments.upstream)]
            .into_iter()
            .flatten()
            .collect();
    let clock = Arc::new(Clock::start());
    let Ready { settings, remotes, loaded, warnings, text, links } = match setup::ready(path, &flags, &clock) {
        Ok(ready) => ready,
        Err((errors, warnings)) => {
            setup::warn(&warnings);
            return Ok(Next::Exit(setup::refuse(&errors)));
        }
    };
    let origin = Some(Origin { path: path.to_owned(), keys: Settings::keys(&text).unwrap_or_default() });
    Ok(Next::Serve(Box::new(Launch {
        settings,
        remotes,
        loaded,
        links,
        clock,
        warnings,
        origin,
        announce: None,
        scratch: None,
    })))
}
