//! `[[hooks]]`: who is told by a web hook, and of what.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;

use crate::config::reader::Section;
use crate::{from_text, from_words};

/// One `[[hooks]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Where it is told.
    pub url: HookUrl,
    /// The keys that sign, one a line.
    pub secret_file: PathBuf,
    /// Of what.
    pub events: Vec<Kind>,
    /// Who signs the receiver's certificate, PEM; default: whom the system trusts.
    pub ca: Option<PathBuf>,
}

/// What a web hook may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new secret is in force.
    SecretAdded,
    /// The end of a secret comes near.
    SecretExpiring,
    /// A secret is refused for good.
    SecretRevoked,
    /// A secret that is not accepted was presented.
    SecretDeadPresented,
    /// The old secret is quiet: the rotation can be finished.
    RotationReady,
}
from_words!(Kind, "secret.added, secret.expiring, secret.revoked, secret.dead_presented or rotation.ready",
    {"secret.added" => Self::SecretAdded, "secret.expiring" => Self::SecretExpiring,
     "secret.revoked" => Self::SecretRevoked, "secret.dead_presented" => Self::SecretDeadPresented,
     "rotation.ready" => Self::RotationReady});

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::SecretAdded, Self::SecretExpiring, Self::SecretRevoked, Self::SecretDeadPresented, Self::RotationReady];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretAdded => "secret.added",
            Self::SecretExpiring => "secret.expiring",
            Self::SecretRevoked => "secret.revoked",
            Self::SecretDeadPresented => "secret.dead_presented",
            Self::RotationReady => "rotation.ready",
        }
    }
}

/// An http or https URL. Its path and query may be what only the receiver should know, so that it is shown without.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl {
    origin: String,
    /// Path and query, as they are sent.
    pub target: String,
    is_closed: bool,
}

impl HookUrl {
    /// `http://` or `https://`, a host, perhaps a port, a path and a query; no user, no fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
        if host.is_empty() || text.contains('#') {
            return None;
        }
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        Some(Self {
            origin: format!("{scheme}://{authority}"),
            // A query may follow the host at once.
            target: format!("{}{target}", if target.starts_with('/') { "" } else { "/" }),
            is_closed: scheme == "https" || is_loopback,
        })
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl std::fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)
    }
}

from_text!(
    HookUrl,
    "a URL such as \"https://hooks.example.com/relatch\"",
    HookUrl::parse,
    shown | url | format!("{url:?}/...")
);

impl Hook {
    /// Reads all of them.
    pub(super) fn read_all(root: &mut Section<'_, '_>, base: &Path) -> Vec<Self> {
        root.sections("hooks", |section| Self::read(section, base)).into_iter().flatten().collect()
    }

    fn read(section: &mut Section<'_, '_>, base: &Path) -> Option<Self> {
        let url: Option<HookUrl> = section.must("url", "Where events are posted: https, or http on this machine");
        let key_doc = "The keys that sign, one a line: whsec_ and base64 of 32 random bytes; read anew each time";
        let secret_file: Option<String> = section.must("secret_file", key_doc);
        let events: Vec<Kind> = section.or("events", "Which events; default: all", Kind::ALL.to_vec());
        let ca: Option<String> = section.take("ca", "Who signs the receiver's certificate; default: the system's");
        let insecure = section.or("insecure", "true: http to another machine", false);
        if events.is_empty() {
            section.error("events", "expected at least one event; leave the key out for all");
        }
        if let Some(url) = url.as_ref().filter(|url| !url.is_closed && !insecure) {
            let why = format!(
                "{} is on another machine, and what is told would cross the network in the clear: use https; insecure = \
                 true if the network is yours",
                url.origin
            );
            section.error("url", why);
        }
        Some(Self { url: url?, secret_file: base.join(secret_file?), events, ca: ca.map(|path| base.join(path)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    const LEAST: &str = "upstream.url = \"http://127.0.0.1:9000\"\nclients.path = \"clients.toml\"\n";

    fn parse(hooks: &str) -> (Vec<Hook>, Vec<String>) {
        let (settings, problems) = Settings::parse("relatch.toml", &format!("{LEAST}{hooks}"), &[], Path::new("/etc"));
        let errors = problems.errors.iter().map(ToString::to_string).collect();
        (settings.map(|settings| settings.hooks).unwrap_or_default(), errors)
    }

    #[test]
    fn a_hook_is_a_url_and_a_key_and_there_may_be_several() {
        assert_eq!(parse(""), (Vec::new(), Vec::new()));
        let (hooks, errors) = parse(
            "[[hooks]]\nurl = \"https://h.test/a/?b=c\"\nsecret_file = \"k\"\n\
             [[hooks]]\nurl = \"http://[::1]:9\"\nsecret_file = \"/k\"\nevents = [\"rotation.ready\"]\nca = \"ca.pem\"\n",
        );
        assert_eq!(errors, Vec::<String>::new());
        let [first, second] = &*hooks else { panic!("{hooks:?}") };
        assert_eq!((first.url.origin(), &*first.url.target), ("https://h.test", "/a/?b=c"));
        assert_eq!((&*first.secret_file, &*first.events), (Path::new("/etc/k"), &Kind::ALL[..]));
        assert_eq!((second.url.origin(), &*second.url.target), ("http://[::1]:9", "/"));
        assert_eq!(
            (second.ca.as_deref(), &*second.events),
            (Some(Path::new("/etc/ca.pem")), &[Kind::RotationReady][..])
        );
        assert!(!format!("{hooks:?}").contains("b=c"), "a path may be a secret");
        assert_eq!(HookUrl::parse("https://h.test?x=1").unwrap().target, "/?x=1");
    }

    #[test]
    fn slips_are_told_at_the_start() {
        let key = "secret_file = \"k\"\n";
        for (hooks, expected) in [
            ("[[hooks]]\n".to_owned(), "hooks[0].url: is missing"),
            ("[[hooks]]\nurl = \"https://h.test\"\n".to_owned(), "hooks[0].secret_file: is missing"),
            (format!("[[hooks]]\n{key}url = \"h.test\"\n"), "hooks[0].url: expected a URL"),
            (format!("[[hooks]]\n{key}url = \"unix:/a\"\n"), "hooks[0].url: expected a URL"),
            (format!("[[hooks]]\n{key}url = \"https://u:p@h.test\"\n"), "hooks[0].url: expected a URL"),
            (format!("[[hooks]]\n{key}url = \"http://10.0.0.1/x\"\n"), "use https; insecure = true"),
            (format!("[[hooks]]\n{key}url = \"https://h\"\nevents = []\n"), "at least one event"),
            (format!("[[hooks]]\n{key}url = \"https://h\"\nevents = [\"secret.gone\"]\n"), "secret.added, secret"),
            (format!("[hooks]\n{key}url = \"https://h\"\n"), "expected a list of tables ([[hooks]])"),
        ] {
            let errors = parse(&hooks).1;
            assert!(errors.iter().any(|error| error.contains(expected)), "{hooks}: {errors:?}");
        }
        let open = format!("[[hooks]]\n{key}url = \"http://10.0.0.1/x\"\ninsecure = true\n");
        assert_eq!(parse(&open).1, Vec::<String>::new());
    }
}
