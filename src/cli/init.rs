//! `relatch init`: the two files, ready to run, with every next step written in them.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::setup;
use crate::admin::answer::REFUSED;
use crate::config::problem::ConfigErrors;
use crate::config::settings::Settings;

/// What to write.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the real token endpoint is: scheme, host and port, and its path if that is not /oauth/token
    #[arg(long, value_name = "URL")]
    upstream: String,
}

/// Writes both files, or neither; never over one that is there.
pub fn run(path: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clients = path.with_file_name("clients.toml");
    for file in [path, &clients] {
        if file.symlink_metadata().is_ok() {
            super::talk(&format!(
                "error: {} is there already\n  Nothing was written. Move it away, or give another place with --config.\n",
                file.display()
            ));
            return Ok(ExitCode::from(REFUSED));
        }
    }
    let (url, endpoint) = split(&arguments.upstream);
    let text = settings_text(url, endpoint);
    let (_, problems) = Settings::parse("--upstream", &text, &[], Path::new(""));
    if !problems.errors.is_empty() {
        return Ok(setup::refuse(&ConfigErrors(problems.errors)));
    }
    write(path, &text)?;
    if let Err(error) = write(&clients, CLIENTS) {
        let _so_that_neither_stays = std::fs::remove_file(path);
        return Err(error);
    }
    super::talk(&format!(
        "Wrote {} and {}.\nNext: `relatch client add ID --upstream-secret-file FILE`, `relatch config check`, then `relatch run`.\n",
        path.display(),
        clients.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The server's address, and the path of its token endpoint where one is given.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let (server, endpoint) = url.split_at_checked(path).unwrap_or((url, ""));
    (server, if matches!(endpoint, "" | "/") { "/oauth/token" } else { endpoint })
}

fn settings_text(url: &str, endpoint: &str) -> String {
    let (url, endpoint) = (serde_json::json!(url), serde_json::json!(endpoint));
    format!(
        "# relatch.toml: read at the start. `relatch config check` tells every error at once,\n\
         # `relatch config schema` what else can stand here.\n\n\
         [proxy]\nlisten = \"127.0.0.1:8080\"          # where callers connect\n\n\
         [upstream]\nurl = {url}    # the real token server\n\n\
         [[endpoint]]\npath = {endpoint}\n\n\
         [clients]\npath = \"clients.toml\"             # reloaded while relatch runs\n\n\
         [telemetry]\nlisten = \"127.0.0.1:9464\"          # /metrics /livez /readyz /version\n"
    )
}

const CLIENTS: &str = r#"# clients.toml: who may call, and with which secrets. Every active secret of a client is accepted.
# An edit is in force within a second; a file with an error in it changes nothing, and the log says why.
#
# [[client]]
# id = "billing"
#
# [client.upstream]                     # the one secret that the token server knows for this client;
# secret_file = "billing.secret"        # without this section the caller's own secret is sent on
#
# [[client.secret]]
# id = "sec_2026_11"
# created = "2026-11-21T00:00:00Z"
# secret = "choose-a-long-random-one"   # for a first try; better:
# hash = "$sha256$..."                  # printf %s SECRET | openssl dgst -sha256 -binary | basenc --base64url | tr -d =
"#;

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}; nothing was left behind", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::clients::ClientList;
    use crate::config::tree::{Doc, Language};

    #[test]
    fn an_upstream_may_name_its_token_endpoint() {
        for (url, expected) in [
            ("http://as:9000", ("http://as:9000", "/oauth/token")),
            ("http://as:9000/", ("http://as:9000", "/oauth/token")),
            ("http://as:9000/token", ("http://as:9000", "/token")),
            ("as", ("as", "/oauth/token")),
        ] {
            assert_eq!(split(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_written_can_be_read_and_its_example_too() {
        let (settings, problems) = Settings::parse("f", &settings_text("http://a:1", "/t"), &[], Path::new(""));
        assert!(settings.is_some(), "{problems:?}");
        let example: String = CLIENTS
            .lines()
            .skip(3)
            .map(|l| l.trim_start_matches("# ").trim_start_matches('#'))
            .filter(|l| !l.starts_with("hash"))
            .map(|l| format!("{l}\n"))
            .collect();
        for text in [CLIENTS, &example] {
            let (list, problems) = ClientList::parse(Doc { name: "f", text }, Language::Toml, 0);
            assert!(list.is_some(), "{problems:?}");
        }
    }
}
