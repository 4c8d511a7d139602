//! `relatch demo`: everything with nothing else. A token server of our own that knows one secret a client, and in front
//! of it the proxy with two demo clients, and the page to rotate them by.

pub mod server;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::config::problem::ConfigErrors;
use crate::config::settings::Settings;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::ClientId;
use crate::domain::mint;
use crate::domain::secret::Secret;
use crate::hash;

/// A demo client: its secrets as callers use them, and the one that the token server knows.
pub struct DemoClient {
    /// Its id.
    pub id: ClientId,
    /// The secrets that callers may use, with the names of their records; the newest last.
    pub secrets: Vec<(&'static str, Secret)>,
    /// The one at the token server.
    pub upstream: Secret,
}

fn fill(out: &mut [u8]) {
    // Without the system's random source there is nothing safe to show.
    getrandom::fill(out).unwrap_or_else(|error| unreachable!("no random source: {error}"));
}

/// Two clients: one in the middle of a rotation, one with a single secret.
pub fn clients() -> anyhow::Result<Vec<DemoClient>> {
    let client = |id: &str, names: &[&'static str]| {
        Ok::<_, anyhow::Error>(DemoClient {
            id: ClientId::parse(id).ok_or_else(|| anyhow!("{id} is no client id"))?,
            secrets: names.iter().map(|name| (*name, mint::secret(fill))).collect(),
            upstream: mint::secret(fill),
        })
    };
    Ok(vec![client("demo", &["old", "new"])?, client("demo-batch", &["only"])?])
}

/// The settings of the demo: the defaults, with the built-in server as the upstream, and the page.
pub fn settings(
    server: SocketAddr,
    scratch: &Scratch,
    environment: &[(String, String)],
) -> Result<Settings, ConfigErrors> {
    let text = format!(
        "[upstream]\nurl = \"http://{server}\"\n[clients]\npath = \"clients.toml\"\n[log]\naccess = true\n\
         [proxy]\nworkers = 1\n[admin]\nlisten = [\"unix:relatch.sock\", \"127.0.0.1:9465\"]\n"
    );
    let (settings, problems) = Settings::parse("demo", &text, environment, &scratch.folder);
    settings.filter(|_| problems.errors.is_empty()).ok_or(ConfigErrors(problems.errors))
}

/// A folder of this run alone, so that the page can change the list as it does any: gone with the demo.
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// With the list of the demo, and the secrets that the token server knows.
    pub fn with(clients: &[DemoClient], clock: &Clock) -> anyhow::Result<Self> {
        let name = mint::secret_id(fill).replace("sec_", "relatch-demo-");
        let scratch = Self { folder: std::env::temp_dir().join(name) };
        let failed = || format!("cannot make {} for the demo's list", scratch.folder.display());
        std::fs::DirBuilder::new().mode(0o700).create(&scratch.folder).with_context(failed)?;
        for client in clients {
            scratch.write(&format!("{}.secret", client.id), client.upstream.expose())?;
        }
        let list: anyhow::Result<Vec<String>> = clients.iter().map(|client| entry(client, clock.now())).collect();
        scratch.write("clients.toml", list?.concat().as_bytes())?;
        Ok(scratch)
    }

    fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content)).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.folder);
    }
}

/// A client as the list names it.
fn entry(client: &DemoClient, now: Timestamp) -> anyhow::Result<String> {
    let mut text = format!("[[client]]\nid = \"{0}\"\n[client.upstream]\nsecret_files = [\"{0}.secret\"]\n", client.id);
    for ((name, secret), age) in client.secrets.iter().zip(0u32..) {
        let made = Timestamp::from_millis(now.millis() - 86_400_000).plus(Duration::from_secs(3600) * age);
        let hint = secret.hint().unwrap_or_default();
        let (id, hash, created) = (mint::secret_id(fill), hash::write(&hash::of(secret)), made.rfc3339());
        write!(
            text,
            "[[client.secret]]\nid = \"{id}\"\nname = \"{name}\"\nhash = \"{hash}\"\nhint = \"{hint}\"\n\
             created = \"{created}\"\n"
        )?;
    }
    Ok(text)
}
