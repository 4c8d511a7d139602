//! `[admin]`: where commands reach a running instance, and what they must bring.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::proxy::Listen;
use super::tls::ServerTls;
use crate::config::reader::Section;
use crate::config::values;
use crate::domain::host::is_host;
use crate::from_words;

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// The unix socket that commands reach a running instance by, where there is one.
    pub socket: Option<PathBuf>,
    /// Whether the file names it: one that is asked for must work, the default one may fail.
    pub asked_for: bool,
    /// The addresses, where a token is needed.
    pub addresses: Vec<SocketAddr>,
    /// The file of the tokens.
    pub tokens: PathBuf,
    /// The certificate that callers see at the addresses.
    pub tls: Option<ServerTls>,
    /// Hosts that a request may name beside the addresses themselves and this machine; in lower case.
    pub allowed_hosts: Vec<String>,
    /// What a rotation in Auth0's shape does to the secrets before it.
    pub auth0_rotate: Before,
}

/// `[admin] auth0_rotate`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// They go on working until they are revoked.
    Keep,
    /// They end at once, as they do at Auth0, where the rules let them go.
    End,
}
from_words!(Before, "keep or end", {"keep" => Self::Keep, "end" => Self::End});

/// Beside the configuration, where the commands that read the same file find it.
const SOCKET: &str = "relatch.sock";
const TOKENS: &str = "admin-tokens.toml";

impl Admin {
    pub(super) fn read(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let doc = "Where commands reach a running instance: unix:PATH, an address, or both as a list";
        let asked_for = section.has("listen");
        let listen = section.or("listen", doc, vec![Listen::Unix(SOCKET.into())]);
        let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
        for one in listen {
            match one {
                Listen::Tcp(address) => addresses.push(address),
                Listen::Unix(path) => sockets.push(base.join(path)),
            }
        }
        match (&*sockets, &*addresses) {
            ([], []) => section.error("listen", "expected at least one address or unix:PATH"),
            ([_, _, ..], _) => section.error("listen", "names two unix sockets: one is enough for all commands"),
            _ => {}
        }
        if let Some(problem) = sockets.first().and_then(|path| values::too_long_for_a_socket(path)) {
            section.error("listen", problem);
        }
        let tokens =
            section.or("tokens", "The tokens for the addresses: `relatch token add` writes it", TOKENS.to_owned());
        if tokens.is_empty() {
            section.error("tokens", "expected a file's name");
        }
        let tls = ServerTls::read_in(section, base);
        let insecure_doc = "true: no TLS at an address that others reach, because something in front of it has TLS";
        let insecure = section.or("insecure", insecure_doc, false);
        let open = addresses.iter().find(|address| !address.ip().is_loopback());
        if let (Some(open), None, false, false) = (open, &tls, insecure, section.has("tls")) {
            let why = format!(
                "{open} is reached from other machines, and tokens and new secrets would cross the network in the \
                 clear: add [admin.tls] with cert and key, or listen on 127.0.0.1; insecure = true if something in \
                 front of it has TLS"
            );
            section.error("listen", why);
        }
        if tls.is_some() && addresses.is_empty() {
            section.warn("tls", "has no effect: [admin] listen names no address");
        }
        let allowed_doc = "Hosts that a request may name beside the address itself and localhost; others get 421";
        let allowed_hosts: Vec<String> = section.or("allowed_hosts", allowed_doc, Vec::new());
        if let Some(bad) = allowed_hosts.iter().find(|host| !is_host(host.as_bytes())) {
            let why = format!("{bad:?} is no host: expected a name or an address, and perhaps a port, as in a URL");
            section.error("allowed_hosts", why);
        }
        let rotate_doc = "What Auth0's rotate-secret does to the secrets before: keep, until they are revoked, or end";
        let auth0_rotate = section.or("auth0_rotate", rotate_doc, Before::Keep);
        Self {
            socket: sockets.into_iter().next(),
            asked_for,
            addresses,
            tokens: base.join(tokens),
            tls,
            allowed_hosts: allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            auth0_rotate,
        }
    }

    /// The scheme and the address by which commands on this machine reach it over TCP.
    pub fn local(&self) -> Option<(&'static str, SocketAddr)> {
        let mut address = *self.addresses.first()?;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some((if self.tls.is_some() { "https" } else { "http" }, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    const LEAST: &str = "upstream.url = \"http://127.0.0.1:9000\"\nclients.path = \"clients.toml\"\n[admin]\n";
    const TLS: &str = "tls = { cert = \"tls.crt\", key = \"tls.key\" }\n";

    fn parse(admin: &str) -> (Option<Admin>, Vec<String>) {
        let (settings, problems) = Settings::parse("relatch.toml", &format!("{LEAST}{admin}"), &[], Path::new("/etc"));
        let errors: Vec<String> = problems.errors.iter().map(ToString::to_string).collect();
        (settings.filter(|_| errors.is_empty()).map(|settings| settings.admin), errors)
    }

    fn url_of(admin: &Admin) -> Option<String> {
        admin.local().map(|(scheme, address)| format!("{scheme}://{address}"))
    }

    #[test]
    fn a_socket_an_address_or_both_are_listened_on() {
        for (listen, socket, addresses, url) in [
            ("", Some("/etc/relatch.sock"), 0, None),
            ("listen = \"unix:a.sock\"\n", Some("/etc/a.sock"), 0, None),
            ("listen = \"127.0.0.1:9465\"\n", None, 1, Some("http://127.0.0.1:9465")),
            ("listen = [\"unix:/run/a.sock\", \"[::1]:9465\"]\n", Some("/run/a.sock"), 1, Some("http://[::1]:9465")),
        ] {
            let admin = parse(listen).0.unwrap_or_else(|| panic!("{listen}: {:?}", parse(listen).1));
            assert_eq!(admin.socket.as_deref(), socket.map(Path::new), "{listen}");
            assert_eq!((admin.addresses.len(), url_of(&admin)), (addresses, url.map(str::to_owned)), "{listen}");
            assert_eq!(admin.tokens, Path::new("/etc/admin-tokens.toml"));
        }
        let open =
            parse(&format!("listen = \"0.0.0.0:9465\"\nallowed_hosts = [\"Admin.Internal:9465\"]\n{TLS}")).0.unwrap();
        assert_eq!(url_of(&open).as_deref(), Some("https://127.0.0.1:9465"));
        assert_eq!(open.allowed_hosts, ["admin.internal:9465"]);
    }

    #[test]
    fn an_address_that_others_reach_needs_tls_or_a_word_that_it_does_not() {
        for address in ["0.0.0.0:9465", "10.0.0.1:9465", "[::]:9465", "[2001:db8::1]:9465"] {
            let listen = format!("listen = [\"127.0.0.1:9464\", \"{address}\"]\n");
            let errors = parse(&listen).1;
            assert!(
                errors.len() == 1 && errors[0].contains("admin.listen") && errors[0].contains(address),
                "{errors:?}"
            );
            assert!(errors[0].contains("[admin.tls]") && errors[0].contains("insecure = true"), "{errors:?}");
            assert!(parse(&format!("{listen}insecure = true\n")).1.is_empty());
            assert!(parse(&format!("{listen}{TLS}")).1.is_empty());
        }
        for (bad, word) in [
            ("listen = []\n", "at least one address"),
            ("listen = [\"unix:a\", \"unix:b\"]\n", "two unix sockets"),
            ("listen = \"localhost:9465\"\n", "an address and a port"),
            ("tokens = \"\"\n", "a file's name"),
            ("allowed_hosts = [\"http://a\"]\n", "is no host"),
        ] {
            let errors = parse(bad).1;
            assert!(errors.iter().any(|error| error.contains(word)), "{bad}: {errors:?}");
        }
    }
}
