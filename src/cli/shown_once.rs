//! A secret that was made is shown once, by the command that made it: on stdout, or in a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use zeroize::Zeroizing;

use super::called::Called;
use super::{Failure, talk};
use crate::admin::answer::{FAILED, USAGE};
use crate::admin::object::SecretObject;
use crate::admin::wish::SecretWish;
use crate::domain::mint;
use crate::domain::secret::Secret;
use crate::domain::spoken::word;
use crate::domain::strength::weakness;

/// How a file holds a secret.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The secret and a newline
    #[default]
    Plain,
    /// A Kubernetes Secret manifest
    K8sSecret,
    /// CLIENT_ID and CLIENT_SECRET for a shell or a container
    Env,
    /// {"client_id": ..., "client_secret": ...}
    Json,
}

/// Where a secret is written: opened, new and 0600, before anything is changed, so that a secret is not made and lost.
pub(super) struct OutFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl OutFile {
    /// Creates the file; one that is there is not written over.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|error| {
            let path = path.display();
            let why = match error.kind() {
                std::io::ErrorKind::AlreadyExists => "is there already: move it away".to_owned(),
                _ => format!("cannot be written: {error}"),
            };
            Failure::new(FAILED, format!("{path} {why}\n  Nothing was changed."))
        })?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    /// Writes the secret; where that fails it is shown after all, since it is in the list by now.
    pub(super) fn write(mut self, secret: &SecretObject, format: Format) -> anyhow::Result<PathBuf> {
        let text = Zeroizing::new(rendered(secret, format));
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        match written {
            Ok(()) => {
                self.written = true;
                Ok(self.path.clone())
            }
            Err(error) => {
                put(&columns(secret), &[secret])?;
                let path = self.path.display();
                let message =
                    format!("{path} could not be written ({error}): the secret was shown instead, store it now");
                Err(Failure::new(FAILED, message).into())
            }
        }
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if !self.written {
            let _nothing_stays = std::fs::remove_file(&self.path);
        }
    }
}

/// `client<TAB>secret id<TAB>secret`, and a fourth column for the tenant of a client that has one.
pub(super) fn columns(secret: &SecretObject) -> Zeroizing<String> {
    let plain = secret.client_secret.as_deref().unwrap_or_default();
    let tenant = if secret.tenant.is_empty() { String::new() } else { format!("\t{}", secret.tenant) };
    Zeroizing::new(format!("{}\t{}\t{plain}{tenant}\n", secret.client_id, secret.id))
}

/// The file's text.
fn rendered(secret: &SecretObject, format: Format) -> String {
    let (id, plain) = (&secret.client_id, secret.client_secret.as_deref().unwrap_or_default());
    let json = |text: &str| serde_json::Value::from(text).to_string();
    match format {
        Format::Plain => format!("{plain}\n"),
        Format::Json => format!("{{\"client_id\": {}, \"client_secret\": {}}}\n", json(id), json(plain)),
        Format::Env => format!("CLIENT_ID={}\nCLIENT_SECRET={}\n", word(id), word(plain)),
        // A JSON string is a YAML string too.
        Format::K8sSecret => format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\ntype: Opaque\nstringData:\n  client_id: {}\n  \
             client_secret: {}\n",
            resource_name(&secret.tenant, id),
            json(id),
            json(plain)
        ),
    }
}

/// A name as Kubernetes wants it: RFC 1123, up to 253 of `[a-z0-9.-]`.
fn resource_name(tenant: &str, id: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = tenant.chars().chain(['-']).chain(id.chars()).map(letter).take(230).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "oauth-client".to_owned() } else { format!("{name}-oauth-client") }
}

/// Shows the secret on stdout as the command was asked to.
pub(super) fn show(quiet: bool, secret: &SecretObject, tail: &str) -> anyhow::Result<()> {
    let plain = secret.client_secret.as_deref().unwrap_or_default();
    let text = if quiet {
        format!("{plain}\n")
    } else {
        format!("Secret {} ({}): {plain}   This is shown once. {tail}\n", secret.id, super::harmless(&secret.name))
    };
    put(&Zeroizing::new(text), &[secret])
}

/// Writes what holds secrets to stdout. Here a reader that went away is an error too: nobody else will ever have them.
pub(super) fn put(text: &str, secrets: &[&SecretObject]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let error = match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if secrets.iter().any(|secret| secret.client_secret.is_some()) => error,
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => return Ok(()),
    };
    let mut message = format!("the secret could not be shown: {error}\n  It is in the list, and nobody has it:");
    for secret in secrets.iter().filter(|secret| secret.client_secret.is_some()) {
        let (client, id) = (Called::from(*secret).typed(), &secret.id);
        message.push_str(&format!("\n  `relatch secret revoke {client} {id} --force`, then add another."));
    }
    Err(Failure::new(FAILED, message).into())
}

/// Told before a secret is made: whether there is a stdout at all. A program that starts without one gets /dev/null in
/// its place, open both ways, and would show the secret to nobody.
pub(super) fn stdout_is_there() -> anyhow::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fstat, major, minor};
    let stdout = std::io::stdout();
    let null = fstat(&stdout).is_ok_and(|stat| (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3));
    if null && fcntl_getfl(&stdout).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR) {
        let message = "stdout is closed, and the secret would be lost\n  Nothing was changed. Open it, or use --out.";
        return Err(Failure::new(FAILED, message).into());
    }
    Ok(())
}

/// Where a secret comes from when it is not made here.
#[derive(clap::Args)]
pub(super) struct Given {
    /// Take a secret that was made elsewhere, on stdin
    #[arg(long, conflicts_with = "hash_stdin")]
    secret_stdin: bool,
    /// Take the hash of a secret that was made elsewhere, on stdin
    #[arg(long)]
    hash_stdin: bool,
}

/// Longer than any secret or hash.
const MOST: u64 = 64 << 10;

impl Given {
    /// Puts what stands on stdin into the wish.
    pub(super) fn fill(&self, wish: &mut SecretWish) -> anyhow::Result<()> {
        if !self.secret_stdin && !self.hash_stdin {
            return Ok(());
        }
        if std::io::stdin().is_terminal() {
            talk("Type or paste it, then press Ctrl-D:\n");
        }
        let mut bytes = Zeroizing::new(Vec::new());
        std::io::stdin().take(MOST).read_to_end(&mut bytes)?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.is_empty() {
            return Err(Failure::new(USAGE, "nothing stands on stdin\n  Nothing was changed.").into());
        }
        if self.hash_stdin {
            let hash = std::str::from_utf8(&bytes).ok().map(str::to_owned);
            let not_text = || Failure::new(USAGE, "the hash on stdin is not text\n  Nothing was changed.");
            wish.hash = Some(hash.ok_or_else(not_text)?);
            return Ok(());
        }
        let secret = Secret::new(std::mem::take(&mut *bytes));
        if let Some(weakness) = weakness(&secret) {
            talk(&format!("warning: this secret is weak: {weakness}. A generated one has 256 bits.\n"));
        }
        // To the files, or to an instance by a socket that only its user can open, by loopback, or through TLS: it tells
        // the same secret given twice, which two salted hashes do not.
        let text = std::str::from_utf8(secret.expose()).map(str::to_owned);
        let not_text = |_| Failure::new(USAGE, "the secret on stdin is not text\n  Nothing was changed.");
        wish.client_secret = Some(Zeroizing::new(text.map_err(not_text)?));
        if mint::is_ours(secret.expose()) {
            talk("note: this is a secret that relatch made; make sure that it is not in use elsewhere\n");
        }
        Ok(())
    }

    /// Whether the secret is one that the caller has already.
    pub(super) const fn is_given(&self) -> bool {
        self.secret_stdin || self.hash_stdin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_can_be_read_back() {
        let secret = SecretObject {
            client_id: "a b'c".to_owned(),
            client_secret: Some("rls_x".to_owned()),
            ..SecretObject::default()
        };
        assert_eq!(rendered(&secret, Format::Plain), "rls_x\n");
        assert_eq!(rendered(&secret, Format::Env), "CLIENT_ID='a b'\\''c'\nCLIENT_SECRET=rls_x\n");
        let json: serde_json::Value = serde_json::from_str(&rendered(&secret, Format::Json)).unwrap();
        assert_eq!(json["client_id"], "a b'c");
        let manifest: serde_json::Value = serde_saphyr::from_str(&rendered(&secret, Format::K8sSecret)).unwrap();
        assert_eq!(manifest["stringData"]["client_secret"], "rls_x");
        assert_eq!(manifest["metadata"]["name"], "a-b-c-oauth-client");
        assert_eq!(columns(&secret).as_str(), "a b'c\t\trls_x\n");
        let secret = SecretObject { tenant: "Shop".to_owned(), ..secret };
        let manifest: serde_json::Value = serde_saphyr::from_str(&rendered(&secret, Format::K8sSecret)).unwrap();
        assert_eq!(manifest["metadata"]["name"], "shop-a-b-c-oauth-client");
        assert_eq!(columns(&secret).as_str(), "a b'c\t\trls_x\tShop\n");
    }
}
