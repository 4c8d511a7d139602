//! What a sidecar is started with: a fluent description that becomes
//! `relatch.toml`, a client list and a process.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use toml::Table;

use super::sidecar::{Sidecar, Stillborn};
use super::toml_text::{self, quote};
use super::upstream::Upstream;
use super::{PATIENCE, bytes};

/// How the built client list keeps its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// `secret = "..."`, as a first file is written by hand.
    Plain,
    /// `hash = "$sha256$..."`, as the commands write it.
    Hashed,
}

/// One client of the built list.
#[derive(Debug, Clone, Default)]
struct Client {
    id: String,
    secrets: Vec<String>,
    upstream_secrets: Vec<String>,
}

/// A sidecar that has not been started yet.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    config: Table,
    clients: Vec<Client>,
    clients_text: Option<String>,
    storage: Storage,
    files: Vec<(String, String)>,
    canaries: Vec<String>,
    environment: Vec<(String, String)>,
    upstream_url: String,
    wrapper: Vec<String>,
    patience: Duration,
}

impl Setup {
    /// The guard on free ports: endpoint `/token`, JSON log, everything else default.
    pub(crate) fn guard() -> Self {
        let base = r#"
            proxy.listen = "127.0.0.1:0"
            telemetry.listen = "127.0.0.1:0"
            upstream.url = "@UPSTREAM@"
            clients.path = "@DIR@/clients.toml"
            state.path = "@DIR@/relatch.state"
            log.format = "json"
            endpoint = [{ path = "/token" }]
        "#;
        Self {
            config: base.parse().unwrap(),
            clients: Vec::new(),
            clients_text: None,
            storage: Storage::Hashed,
            files: Vec::new(),
            canaries: Vec::new(),
            environment: Vec::new(),
            upstream_url: "http://127.0.0.1:1".to_owned(),
            wrapper: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// Adds a client with these active secrets; their ids are `<client>_1`, `_2`, ...
    pub(crate) fn client(mut self, id: &str, secrets: &[&str]) -> Self {
        let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
        self.canaries.extend(secrets.iter().cloned());
        self.clients.push(Client { id: id.to_owned(), secrets, ..Client::default() });
        self
    }

    /// Gives the client added last a list of upstream secrets, so that its own
    /// are replaced on the way.
    pub(crate) fn replaced_by(mut self, upstream_secrets: &[&str]) -> Self {
        let secrets: Vec<String> = upstream_secrets.iter().map(|&s| s.to_owned()).collect();
        self.canaries.extend(secrets.iter().cloned());
        self.clients.last_mut().expect("a client to replace for").upstream_secrets = secrets;
        self
    }

    /// Keeps plain secrets in the built list, in place of digests.
    pub(crate) fn plain(mut self) -> Self {
        self.storage = Storage::Plain;
        self
    }

    /// The whole client list as text, in place of a built one. See [`expand`].
    pub(crate) fn clients_text(mut self, text: &str) -> Self {
        self.clients_text = Some(text.to_owned());
        self
    }

    /// Lays this TOML over the configuration: tables merge, lists and values replace.
    #[track_caller]
    pub(crate) fn config(mut self, overlay: &str) -> Self {
        let overlay = overlay.parse().unwrap_or_else(|why| panic!("overlay: {why}"));
        toml_text::merge(&mut self.config, overlay);
        self
    }

    /// Puts this upstream behind it.
    pub(crate) fn upstream(self, upstream: &Upstream) -> Self {
        self.upstream_url(&upstream.url())
    }

    /// Puts whatever is at this URL behind it.
    pub(crate) fn upstream_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.upstream_url);
        self
    }

    /// Writes one more file into the directory before the start.
    pub(crate) fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// One more secret that must never show. Those of the client list and of
    /// `secret` files already count.
    pub(crate) fn canary(mut self, secret: &str) -> Self {
        self.canaries.push(secret.to_owned());
        self
    }

    /// An environment variable of the process.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Starts it under another command, which must become it by `exec`.
    pub(crate) fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&part| part.to_owned()).collect();
        self
    }

    /// Starts it and waits until it is ready; stops the test if it does not get there.
    #[track_caller]
    pub(crate) fn start(self) -> Sidecar {
        self.try_start()
            .unwrap_or_else(|stillborn| panic!("relatch did not get ready: {:?}\n{}", stillborn.status, stillborn.log))
    }

    /// Starts it; `Err` if it ended, or was not ready in time.
    pub(crate) fn try_start(self) -> Result<Sidecar, Stillborn> {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let given = self.write_into(&dir);
        let mut canaries = self.canaries;
        canaries.extend(plain_secrets(&given));
        canaries.sort();
        canaries.dedup();
        let extra_headers = extra_headers(&self.config);
        let expansion = Expansion { dir: dir.path().into(), upstream: self.upstream_url };
        let wrapper = self.wrapper;
        let parts = super::sidecar::Parts { dir, given, canaries, extra_headers, expansion, wrapper };
        Sidecar::spawn(parts, &self.environment, self.patience)
    }

    /// Writes every file; returns their paths.
    fn write_into(&self, dir: &TempDir) -> Vec<PathBuf> {
        let expansion = Expansion { dir: dir.path().into(), upstream: self.upstream_url.clone() };
        let clients = self.clients_text.clone().unwrap_or_else(|| self.built_list());
        let mut files = self.files.clone();
        for client in &self.clients {
            for (number, secret) in client.upstream_secrets.iter().enumerate() {
                files.push((upstream_file(&client.id, number), format!("{secret}\n")));
            }
        }
        files.push(("relatch.toml".to_owned(), toml_text::write(&self.config)));
        files.push(("clients.toml".to_owned(), clients));
        let write = |(name, content): (String, String)| {
            let path = dir.path().join(name);
            std::fs::write(&path, expansion.apply(&content)).unwrap();
            path
        };
        files.into_iter().map(write).collect()
    }

    fn built_list(&self) -> String {
        let mut out = String::new();
        for client in &self.clients {
            let most = client.secrets.len().max(2);
            let id = quote(&client.id);
            _ = write!(out, "[[client]]\nid = {id}\nmax_active_secrets = {most}\n");
            if !client.upstream_secrets.is_empty() {
                let name = |number| quote(&format!("@DIR@/{}", upstream_file(&client.id, number)));
                let names: Vec<_> = (0..client.upstream_secrets.len()).map(name).collect();
                _ = write!(out, "[client.upstream]\nsecret_files = [{}]\n", names.join(", "));
            }
            for (number, secret) in client.secrets.iter().enumerate() {
                let record_id = format!("{}_{}", slug(&client.id), number + 1);
                let value = match self.storage {
                    Storage::Plain => format!("secret = {}", quote(secret)),
                    Storage::Hashed => {
                        format!("hash = \"{}\"", bytes::sha256_record(secret.as_bytes()))
                    }
                };
                _ = write!(out, "[[client.secret]]\nid = \"{record_id}\"\n{value}\n");
            }
        }
        out
    }
}

/// What stands for itself in a test's texts: `@DIR@`, `@UPSTREAM@`, and
/// `@SHA256(secret)@` for the digest that a record keeps.
#[derive(Debug, Clone)]
pub(crate) struct Expansion {
    dir: PathBuf,
    upstream: String,
}

impl Expansion {
    /// For texts about files in `dir`.
    pub(crate) fn of(dir: &Path, upstream: &str) -> Self {
        Self { dir: dir.into(), upstream: upstream.to_owned() }
    }

    /// The text with every placeholder filled in.
    pub(crate) fn apply(&self, text: &str) -> String {
        let dir = self.dir.to_str().expect("a temporary directory with a plain name");
        let mut text = text.replace("@DIR@", dir).replace("@UPSTREAM@", &self.upstream);
        while let Some((before, rest)) = text.split_once("@SHA256(") {
            let (secret, after) = rest.split_once(")@").expect("@SHA256(..)@ without its end");
            text = format!("{before}{}{after}", bytes::sha256_record(secret.as_bytes()));
        }
        text
    }
}

/// Every `secret = "..."` in the files that were written, and the content of
/// every file that is named like a secret.
fn plain_secrets(files: &[PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files {
        let content = std::fs::read_to_string(path).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "secret") {
            found.push(content.trim_end_matches('\n').to_owned());
        }
        let Ok(table) = content.parse::<Table>() else { continue };
        let clients = table.get("client").and_then(toml::Value::as_array);
        for client in clients.into_iter().flatten() {
            let records = client.get("secret").and_then(toml::Value::as_array);
            for record in records.into_iter().flatten() {
                let secret = record.get("secret").and_then(toml::Value::as_str);
                found.extend(secret.map(str::to_owned));
            }
        }
    }
    found
}

/// Header names that this configuration lets through or makes beyond the fixed list.
fn extra_headers(config: &Table) -> Vec<String> {
    let upstream = config.get("upstream").and_then(toml::Value::as_table);
    let passed = upstream.and_then(|u| u.get("pass_headers")).and_then(toml::Value::as_array);
    let made = upstream.and_then(|u| u.get("assert_header"));
    let names = passed.into_iter().flatten().chain(made).filter_map(toml::Value::as_str);
    names.map(str::to_ascii_lowercase).collect()
}

fn upstream_file(client: &str, number: usize) -> String {
    format!("{}-{}.secret", slug(client), number + 1)
}

/// The client id as part of a file name or a record id.
fn slug(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    id.chars().map(plain).collect()
}
