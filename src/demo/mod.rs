//! `relatch demo`: everything with nothing else. A token server of our own that knows one secret a client, and in front
//! of it the proxy with two demo clients, all in memory.

pub mod server;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::config::clients::{ClientEntry, Material, SecretEntry, SecretStatus, Spot, UpstreamEntry, UpstreamMethod};
use crate::config::problem::ConfigErrors;
use crate::config::settings::Settings;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::{ClientId, SecretId};
use crate::domain::mint;
use crate::domain::oauth::BasicEncoding;
use crate::domain::secret::Secret;
use crate::hash;
use crate::registry::Snapshot;
use crate::registry::build::{Ground, SecretFiles, build};

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

/// The settings of the demo: the defaults, with the built-in server as the upstream.
pub fn settings(server: SocketAddr, environment: &[(String, String)]) -> Result<Settings, ConfigErrors> {
    let text = format!(
        "[upstream]\nurl = \"http://{server}\"\n[clients]\npath = \"in memory\"\n[log]\naccess = true\n[proxy]\nworkers = 1\n"
    );
    let (settings, problems) = Settings::parse("demo", &text, environment, Path::new(""));
    settings.filter(|_| problems.errors.is_empty()).ok_or(ConfigErrors(problems.errors))
}

/// The list of the demo.
pub fn snapshot(clients: &[DemoClient], clock: &Clock) -> anyhow::Result<Snapshot> {
    let mut files = SecretFiles::new();
    let mut entries = Vec::new();
    for client in clients {
        let key = (0, client.id.as_str().into());
        files.insert(key, Secret::new(client.upstream.expose().to_vec()));
        entries.push(entry(client, clock.now())?);
    }
    let ground = Ground {
        files: &files,
        previous: None,
        forwards: false,
        endpoints: &[],
        keep_revoked: std::time::Duration::ZERO,
        now: clock.now(),
    };
    let (snapshot, findings) = build(entries, &ground, 0, Vec::new());
    snapshot.with_context(|| format!("the demo's own list is refused: {:?}", findings.errors))
}

fn entry(client: &DemoClient, now: Timestamp) -> anyhow::Result<ClientEntry> {
    let age = |index: usize| std::time::Duration::from_secs(3600 * index as u64);
    let secret = |(index, (name, secret)): (usize, &(&'static str, Secret))| {
        Ok(SecretEntry {
            id: SecretId::parse(&mint::secret_id(fill)).context("a made secret id is none")?,
            name: (*name).to_owned(),
            status: SecretStatus::Active,
            material: Material::Digest(hash::of(secret)),
            hint: secret.hint(),
            created: Some(Timestamp::from_millis(now.millis() - 86_400_000).plus(age(index))),
            not_before: None,
            expires: None,
            refused_until: None,
            revoked_at: None,
            revoked_reason: None,
            spot: Spot::default(),
        })
    };
    Ok(ClientEntry {
        key: client.id.clone().into(),
        name: String::new(),
        enabled: true,
        max_active: 2,
        upstream: Some(UpstreamEntry {
            id: None,
            secret_files: vec![client.id.as_str().into()],
            method: UpstreamMethod::Same,
            basic_encoding: BasicEncoding::Rfc6749,
        }),
        secrets: client.secrets.iter().enumerate().map(secret).collect::<anyhow::Result<_>>()?,
        spot: Spot::default(),
    })
}
