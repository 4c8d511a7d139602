//! `relatch.toml` as the program wants it: one struct a section, every default a named constant with its reason.

pub mod address;
pub mod admin;
pub mod endpoint;
pub mod hooks;
pub mod kinds;
mod later;
pub mod metadata;
pub mod operation;
pub mod path;
pub mod proxy;
pub mod tls;
pub mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::admin::Admin;
pub use self::endpoint::Endpoint;
use self::hooks::Hook;
use self::kinds::{BasicDecoding, LogFormat, LogLevel, UnknownClients};
use self::metadata::Metadata;
use self::operation::{Fleet, State};
use self::path::PathTemplate;
use self::proxy::Proxy;
use self::tls::ServerTls;
use self::upstream::Upstream;
use super::problem::{Place, Problems};
use super::reader::{Reading, Section, Size};
use super::tree::{Doc, Language, Node, Value};

/// Everything that is fixed while relatch runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[proxy]`: where callers connect.
    pub proxy: Proxy,
    /// `[upstream]`: the real token endpoint.
    pub upstream: Upstream,
    /// `[upstreams.NAME]`: others, for the endpoints that name one.
    pub upstreams: Vec<Upstream>,
    /// `[[endpoint]]`: what is served; at least one.
    pub endpoints: Vec<Endpoint>,
    /// `[metadata]`: what the authorization server says of itself.
    pub metadata: Metadata,
    /// `[clients]`: the list, and what to do with who is not on it.
    pub clients: Clients,
    /// `[credentials] basic_decoding`
    pub basic_decoding: BasicDecoding,
    /// `[limits]`: what a stranger may take.
    pub limits: Limits,
    /// `[throttle]`: how many failures are answered plainly.
    pub throttle: Throttle,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[telemetry]`: where Prometheus scrapes.
    pub telemetry: Telemetry,
    /// `[log]`
    pub log: Log,
    /// `[admin]`: where commands reach us.
    pub admin: Admin,
    /// `[state]`: where last use is kept.
    pub state: State,
    /// `[fleet]`: whether we are alone.
    pub fleet: Fleet,
    /// `[[hooks]]`: who is told by a web hook.
    pub hooks: Vec<Hook>,
    /// All of them as the file would say them, defaults included.
    pub shown: serde_json::Value,
}

/// `[clients]`
#[derive(Clone, Debug)]
pub struct Clients {
    /// A file or a directory of files.
    pub path: PathBuf,
    /// What becomes of clients that are not listed.
    pub unknown: UnknownClients,
    /// How often the content is compared, beside events and signals.
    pub poll_interval: Duration,
    /// The largest share of clients or secrets that one reload may drop.
    pub max_shrink: f64,
    /// How long a revoked secret is remembered.
    pub keep_revoked: Duration,
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's head.
    pub max_header: usize,
    /// Open connections over all listeners.
    pub max_connections: usize,
    /// From the start of a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// How long a connection may lie idle between requests.
    pub keep_alive: Duration,
}

/// `[throttle]`
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// Failures of one id from one source that are answered plainly.
    pub failures: u32,
    /// ... within this time.
    pub per: Duration,
    /// How many (id, source) pairs are tracked.
    pub table_size: usize,
}

/// `[shutdown]`
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// How long to stay open, unready, before closing the listeners.
    pub drain_delay: Duration,
    /// How long requests in flight may take.
    pub drain_timeout: Duration,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// JSON or text.
    pub format: LogFormat,
    /// The least level that is written.
    pub level: LogLevel,
    /// One line a request.
    pub access: bool,
    /// The file of who changed what; nothing where none is kept.
    pub audit: Option<PathBuf>,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Where it listens.
    pub listen: SocketAddr,
    /// With this certificate.
    pub tls: Option<ServerTls>,
}

/// Registered for Prometheus exporters nearby; loopback until a manifest opens it.
const TELEMETRY_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
/// Beside file events, which can be lost (overflow, network file systems).
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// More than half of a list gone in one edit is rather an accident.
const MAX_SHRINK: f64 = 0.5;
/// A monthly batch job that missed a rotation is still told apart from a guess.
const KEEP_REVOKED: Duration = Duration::from_secs(30 * 86400);
/// Cookies of a browser can be 8 KiB; a token request has no use for more than twice that.
const MAX_HEADER: usize = 16 << 10;
/// A proof (RFC 9449) and a signed token in one head need some; there is no reason for less.
const LEAST_HEADER: usize = 8 << 10;
/// One file descriptor each, twice that with the upstream's.
const MAX_CONNECTIONS: usize = 10_000;
/// A head or a body of this size arrives in well under a second on any link that can serve users.
const ARRIVAL: Duration = Duration::from_secs(10);
/// nginx's default, which connection pools of callers expect.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A person mistypes fewer times; a guesser gets 10 a minute.
const FAILURES: usize = 10;
const FAILURES_PER: Duration = Duration::from_secs(60);
/// Half a MiB, and more pairs than a minute of honest mistakes has.
const TABLE_SIZE: usize = 65_536;
/// Kubernetes kills after 30 s by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

impl Settings {
    /// Reads a configuration file's text. `environment` holds the `RELATCH__SECTION__KEY` variables, which win over the
    /// file; `base` is the folder that relative paths start from. Settings are given as far as they can be read, so that
    /// the list they name can be gone over too; they may be used only where there are no errors.
    pub fn parse(name: &str, text: &str, environment: &[(String, String)], base: &Path) -> (Option<Self>, Problems) {
        let mut reading = Reading::of(Doc { name, text });
        reading.shows = true;
        reading.overridden = environment
            .iter()
            .filter_map(|(variable, _)| Some((keys_of(variable)?.join("."), variable.clone())))
            .collect();
        let node = reading.doc.parse(Language::Toml, &mut reading.problems.borrow_mut());
        let settings = node.map(|mut node| {
            apply_environment(&mut node, environment, &mut reading.problems.borrow_mut());
            let mut root = Section::root(&reading, &node);
            let settings = Self::read(&mut root, base);
            root.finish();
            settings
        });
        let mut problems = reading.problems.into_inner();
        problems.sort();
        (settings.flatten(), problems)
    }

    /// Every upstream; an endpoint's number counts here.
    pub fn all_upstreams(&self) -> impl Iterator<Item = &Upstream> {
        std::iter::once(&self.upstream).chain(&self.upstreams)
    }

    /// The private keys that any link of ours is secured with.
    pub fn private_keys(&self) -> impl Iterator<Item = &Path> {
        let ours = [&self.proxy.tls, &self.telemetry.tls, &self.admin.tls].into_iter().flatten().map(|tls| &tls.key);
        let theirs = self.all_upstreams().filter_map(|upstream| upstream.tls.as_ref()?.identity.as_ref());
        ours.chain(theirs.map(|(_, key)| key)).map(PathBuf::as_path)
    }

    /// Every path that is served, as labels have it: those of the endpoints, then those of the metadata.
    pub fn labels(&self) -> impl Iterator<Item = &PathTemplate> {
        self.endpoints.iter().map(|endpoint| &endpoint.path).chain(&self.metadata.paths)
    }

    /// Every key of a configuration text with its value, to tell what an edit changed; nothing where it does not parse.
    pub fn keys(text: &str) -> Option<Vec<(String, String)>> {
        let node = Doc { name: "", text }.parse(Language::Toml, &mut Problems::default())?;
        let mut keys = Vec::new();
        flatten(&node, "", &mut keys);
        Some(keys)
    }

    /// Reads every section; what is missing or wrong is reported to the section and reads as its default.
    pub(super) fn read(root: &mut Section<'_, '_>, base: &Path) -> Option<Self> {
        let proxy = root.section("proxy", |section| Proxy::read(section, base));
        let upstream = root.section("upstream", |section| Upstream::read(section, "", base));
        let upstreams = root.named("upstreams", |section, name| Upstream::read(section, name, base));
        let endpoints = Endpoint::read_all(root, &proxy, &upstream, &upstreams);
        let metadata = root.section("metadata", |section| Metadata::read(section, &endpoints, &upstream, &upstreams));
        for (at, one) in upstreams.iter().enumerate() {
            let used = endpoints.iter().any(|endpoint| endpoint.upstream == at + 1) || metadata.upstream == at + 1;
            if let (false, Some(Upstream { name, .. })) = (used, one) {
                let why = format!("[upstreams.{name}] is used by no [[endpoint]]: write upstream = \"{name}\" there");
                root.warn("upstreams", why);
            }
        }
        let clients = root.section("clients", |section| Clients::read(section, base));
        let basic_decoding = root.section("credentials", |section| {
            section.or("basic_decoding", "How HTTP Basic is read: rfc6749, raw or both", BasicDecoding::Both)
        });
        let limits = root.section("limits", Limits::read);
        let throttle = root.section("throttle", Throttle::read);
        let shutdown = root.section("shutdown", |section| Shutdown {
            drain_delay: section.or("drain_delay", "Stay open, unready, this long", Duration::ZERO),
            drain_timeout: section.or("drain_timeout", "Finish what is in flight within", DRAIN_TIMEOUT),
        });
        let telemetry = root.section("telemetry", |section| Telemetry {
            listen: section.or("listen", "Where /metrics, /livez, /readyz and /version are", TELEMETRY_LISTEN),
            tls: ServerTls::read_in(section, base),
        });
        let log = root.section("log", |section| Log::read(section, base));
        let admin = root.section("admin", |section| Admin::read(section, base));
        let state = root.section("state", |section| State::read(section, base));
        let fleet = root.section("fleet", Fleet::read);
        let hooks = Hook::read_all(root, base);
        let upstreams = upstreams.into_iter().collect::<Option<_>>();
        let (upstream, upstreams, clients) = (upstream?, upstreams?, clients?);
        Some(Self {
            proxy,
            upstream,
            upstreams,
            endpoints,
            metadata,
            clients,
            basic_decoding,
            limits,
            throttle,
            shutdown,
            telemetry,
            log,
            admin,
            state,
            fleet,
            hooks,
            shown: root.shown(),
        })
    }
}

impl Clients {
    fn read(section: &mut Section<'_, '_>, base: &Path) -> Option<Self> {
        let path: Option<String> = section.must("path", "The client list: a file (.toml, .json) or a directory");
        let read = Self {
            path: base.join(path.as_deref().unwrap_or_default()),
            unknown: section.or("unknown", "refuse, or pass them on as they are", UnknownClients::Refuse),
            poll_interval: section.or("poll_interval", "How often the content is compared", POLL_INTERVAL),
            max_shrink: section.or("max_shrink", "The largest share one reload may drop", MAX_SHRINK),
            keep_revoked: section.or("keep_revoked", "How long revoked secrets are remembered", KEEP_REVOKED),
        };
        if read.poll_interval < Duration::from_millis(100) {
            section.error("poll_interval", "expected 100ms or more");
        }
        path.map(|_| read)
    }
}

impl Limits {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let limits = Self {
            max_header: section.or("max_header", "Bytes of a request's head", Size(MAX_HEADER)).0,
            max_connections: section.or("max_connections", "Open connections", MAX_CONNECTIONS),
            handshake_timeout: section.or("tls_handshake_timeout", "For a TLS handshake", ARRIVAL),
            header_timeout: section.or("header_timeout", "For a request's head to arrive", ARRIVAL),
            body_timeout: section.or("body_timeout", "For a request's body to arrive", ARRIVAL),
            keep_alive: section.or("keep_alive", "For an idle connection", KEEP_ALIVE),
        };
        if limits.max_header < LEAST_HEADER {
            section.error("max_header", "expected 8KiB or more");
        }
        if limits.max_connections == 0 {
            section.error("max_connections", "expected 1 or more");
        }
        limits
    }
}

impl Log {
    fn read(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let audit: Option<String> = section.take("audit", "The file of who changed what, a JSON object a line");
        if audit.as_ref().is_some_and(String::is_empty) {
            section.error("audit", "expected a file's name");
        }
        Self {
            audit: audit.map(|path| base.join(path)),
            format: section.or("format", "auto, json or text", LogFormat::Auto),
            level: section.or("level", "debug, info, warn or error", LogLevel::Info),
            access: section.or("access", "One line a request", true),
        }
    }
}

impl Throttle {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let failures = section.or("failures", "Failures answered with 401 before 429", FAILURES);
        let read = Self {
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
            per: section.or("per", "... within this time", FAILURES_PER),
            table_size: section.or("table_size", "How many (id, source) pairs are tracked", TABLE_SIZE),
        };
        if read.failures == 0 || read.per < Duration::from_secs(1) || read.table_size == 0 {
            section.error("", "expected failures and table_size of 1 or more, and per of 1s or more");
        }
        read
    }
}

/// The keys that a variable names.
fn keys_of(variable: &str) -> Option<Vec<String>> {
    Some(variable.strip_prefix("RELATCH__")?.split("__").map(str::to_ascii_lowercase).collect())
}

/// Puts `RELATCH__UPSTREAM__URL=...` and the like over the file. Values are TOML where they parse as such (`4`, `true`,
/// `["a"]`) and strings otherwise.
fn apply_environment(root: &mut Node, environment: &[(String, String)], problems: &mut Problems) {
    for (variable, text) in environment {
        let Some(keys) = keys_of(variable) else { continue };
        let parsed = Doc { name: "", text: &format!("v = {text}") }.parse(Language::Toml, &mut Problems::default());
        let value = match parsed.map(|node| node.value) {
            Some(Value::Table(mut entries)) if entries.len() == 1 => entries.pop().map(|(.., node)| node.value),
            _ => None,
        };
        if put(root, &keys, value.unwrap_or_else(|| Value::String(text.clone()))).is_none() {
            let message = "names no setting: expected RELATCH__SECTION__KEY, such as RELATCH__UPSTREAM__URL";
            problems.error(Place::whole(format!("environment variable {variable}")), "", message);
        }
    }
}

fn flatten(node: &Node, path: &str, out: &mut Vec<(String, String)>) {
    match &node.value {
        Value::Table(entries) => {
            for (key, _, child) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(child, &path, out);
            }
        }
        Value::Array(items) if items.iter().any(|item| matches!(item.value, Value::Table(_))) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, &format!("{path}[{index}]"), out);
            }
        }
        Value::Array(items) => {
            let values: Vec<_> = items.iter().map(|item| format!("{:?}", item.value)).collect();
            out.push((path.to_owned(), values.join(",")));
        }
        other => out.push((path.to_owned(), format!("{other:?}"))),
    }
}

fn put(node: &mut Node, keys: &[String], value: Value) -> Option<()> {
    let (key, rest) = keys.split_first().filter(|(key, _)| !key.is_empty())?;
    let Value::Table(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|(name, ..)| name == key).unwrap_or_else(|| {
        entries.push((key.clone(), 0..0, Node { value: Value::Table(Vec::new()), span: 0..0 }));
        entries.len() - 1
    });
    let (.., child) = entries.get_mut(at)?;
    if rest.is_empty() {
        *child = Node { value, span: 0..0 };
        return Some(());
    }
    put(child, rest, value)
}

#[cfg(test)]
mod tests {
    use super::proxy::Listen;
    use super::*;

    const LEAST: &str = "[upstream]\nurl = \"http://127.0.0.1:9000\"\n[clients]\npath = \"clients.toml\"\n";

    fn parse(text: &str, environment: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (settings, problems) = Settings::parse("relatch.toml", text, &environment, Path::new("/etc/relatch"));
        (settings, problems.errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn two_keys_are_a_complete_set_up() {
        let settings = parse(LEAST, &[]).0.unwrap();
        assert_eq!(settings.endpoints, [Endpoint::at(PathTemplate::parse("/oauth/token").unwrap())]);
        assert_eq!(settings.clients.path, Path::new("/etc/relatch/clients.toml"));
        assert_eq!(settings.proxy.listen, [proxy::LISTEN]);
    }

    #[test]
    fn every_error_is_told_at_once() {
        let text = "[proxy]\nlisten = \"localhost:80\"\n[clients]\npoll_interval = \"1ms\"\n[limits]\nmax_header = \"1KiB\"\n[[endpoint]]\npath = \"token\"\n";
        let errors = parse(text, &[]).1;
        for key in [
            "proxy.listen",
            "clients.path",
            "clients.poll_interval",
            "limits.max_header",
            "endpoint[0].path",
            "upstream.url",
        ] {
            assert!(errors.iter().any(|e| e.contains(key)), "{key} in {errors:#?}");
        }
        assert_eq!(errors.len(), 6, "{errors:#?}");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_other_variables_are_left_alone() {
        let environment = [
            ("RELATCH__PROXY__LISTEN", "127.0.0.1:1"),
            ("RELATCH__PROXY__WORKERS", "3"),
            ("RELATCH__LOG__ACCESS", "false"),
            ("RELATCH_PORT", "tcp://10.0.0.1:80"),
        ];
        let settings = parse(&format!("{LEAST}[proxy]\nlisten = \"127.0.0.1:2\"\n"), &environment).0.unwrap();
        assert_eq!(settings.proxy.listen, [Listen::Tcp("127.0.0.1:1".parse().unwrap())]);
        assert_eq!((settings.proxy.workers, settings.log.access), (3, false));
        assert!(parse(LEAST, &[("RELATCH__PROXY__LITSEN", "x")]).1[0].contains("did you mean listen"));
        assert!(parse(LEAST, &[("RELATCH____", "x")]).1[0].contains("names no setting"));
    }

    #[test]
    fn unix_sockets_stand_beside_the_configuration_and_their_names_are_short() {
        let text = format!("{LEAST}[proxy]\nlisten = [\"unix:a.sock\", \"[::1]:1\", \"unix:/run/b.sock\"]\n");
        let settings = parse(&text.replace("http://127.0.0.1:9000", "unix:as.sock"), &[]).0.unwrap();
        let listen: Vec<_> = settings.proxy.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["unix:/etc/relatch/a.sock", "[::1]:1", "unix:/run/b.sock"]);
        assert_eq!(settings.upstream.target.to_string(), "unix:/etc/relatch/as.sock");
        let long = format!("unix:/{}", "x".repeat(107));
        let text = format!("{LEAST}[proxy]\nlisten = \"{long}\"\n").replace("http://127.0.0.1:9000", &long);
        let errors = parse(&text, &[]).1;
        assert_eq!(errors.iter().filter(|error| error.contains("choose a shorter one")).count(), 2, "{errors:?}");
    }

    #[test]
    fn the_proxy_protocol_needs_somebody_whose_word_is_taken() {
        let errors = parse(&format!("{LEAST}[proxy]\nproxy_protocol = true\n"), &[]).1;
        assert!(errors.iter().any(|e| e.contains("proxy.proxy_protocol: goes with trusted_proxies")), "{errors:?}");
        let text = format!("{LEAST}[proxy]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\", \"unix\"]\n");
        assert!(parse(&text, &[]).0.unwrap().proxy.proxy_protocol);
    }

    #[test]
    fn a_path_of_tenants_is_read_and_its_slips_are_told_where_they_stand() {
        let realms = "path = \"/realms/{tenant}/token\"\n";
        let settings = parse(&format!("{LEAST}[[endpoint]]\n{realms}"), &[]).0.unwrap();
        assert_eq!(settings.endpoints[0].upstream_path.as_str(), "/realms/{tenant}/token");
        let fixed = "path = \"/realms/master/token\"\n";
        assert!(parse(&format!("{LEAST}[[endpoint]]\n{fixed}[[endpoint]]\n{realms}"), &[]).1.is_empty());
        for (endpoints, expected) in [
            ("[[endpoint]]\npath = \"/a{tenant}\"\n", "relatch.toml:6:1: endpoint[0].path: has {tenant} beside"),
            ("[[endpoint]]\npath = \"/{realm}\"\n", "relatch.toml:6:1: endpoint[0].path: has a brace"),
            (
                "[[endpoint]]\npath = \"/t\"\nupstream_path = \"/{tenant}\"\n",
                "relatch.toml:7:1: endpoint[0].upstream_path: has {tenant}, and path does not",
            ),
            (
                "[[endpoint]]\npath = \"/{tenant}/t\"\n[[endpoint]]\npath = \"/{tenant}/t\"\n",
                "endpoint: two endpoints have the path /{tenant}/t",
            ),
            (
                "[[endpoint]]\npath = \"/{tenant}/t\"\n[[endpoint]]\npath = \"/a/{tenant}\"\n",
                "endpoint: one request could be for /{tenant}/t and for /a/{tenant}",
            ),
        ] {
            let errors = parse(&format!("{LEAST}{endpoints}"), &[]).1;
            assert!(errors.len() == 1 && errors[0].contains(expected), "{endpoints}: {errors:?}");
        }
        let assert = LEAST.replace("[clients]", "credential = \"assert\"\n[clients]");
        let flat = format!("{assert}[[endpoint]]\n{realms}upstream_path = \"/token\"\n");
        assert!(parse(&flat, &[]).1.iter().any(|e| e.contains("could not tell two tenants' clients apart")));
        assert!(parse(&flat.replace("assert", "forward"), &[]).1.is_empty());
    }

    #[test]
    fn an_upstream_that_is_told_ids_alone_has_no_path_for_a_tenant_and_for_none() {
        let assert = LEAST.replace("[clients]", "credential = \"assert\"\n[clients]");
        let realms = "[[endpoint]]\npath = \"/realms/{tenant}/token\"\n";
        let fixed =
            |path: &str, upstream: &str| format!("[[endpoint]]\npath = \"{path}\"\nupstream_path = \"{upstream}\"\n");
        let b = "[upstreams.b]\nurl = \"http://127.0.0.1:9\"\ncredential = \"assert\"\n";
        for (endpoints, refused) in [
            (fixed("/m", "/realms/master/token") + realms, true),
            (realms.to_owned() + &fixed("/m", "/realms/master/token"), true),
            (realms.to_owned() + &fixed("/m", "/realms/a/b/token"), false),
            (realms.to_owned() + &fixed("/m", "/realms/%6d/token"), false),
            // The exact path wins: no client of that tenant comes there.
            (realms.to_owned() + &fixed("/realms/master/token", "/realms/master/token"), false),
            (fixed("/{tenant}/t", "/realms/{tenant}/token") + &fixed("/realms/a/token", "/realms/a/token"), true),
            (format!("{b}{realms}{}upstream = \"b\"\n", fixed("/m", "/realms/master/token")), false),
        ] {
            let errors = parse(&format!("{assert}{endpoints}"), &[]).1;
            let told = errors.iter().filter(|error| error.contains("from those of none")).count();
            assert_eq!((errors.len(), told), (usize::from(refused), usize::from(refused)), "{endpoints}: {errors:?}");
            let forward = format!("{assert}{endpoints}").replace("assert", "forward");
            assert!(parse(&forward, &[]).1.is_empty(), "{endpoints}");
        }
    }

    #[test]
    fn metadata_names_an_address_that_no_caller_can_forge() {
        let paths = "[metadata]\npaths = [\"/.well-known/openid-configuration\", \"/realms/{tenant}/m\"]\n";
        let with = |least: &str, more: &str| parse(&format!("{least}{paths}{more}"), &[]);
        let listed = LEAST.replace("[clients]", "allowed_hosts = [\"as.test\"]\n[clients]");
        assert!(with(&listed, "").0.unwrap().metadata.base.is_none());
        assert_eq!(with(LEAST, "base = \"https://a.test/\"\n").0.unwrap().labels().count(), 3);
        assert!(parse(&format!("{LEAST}[metadata]\n"), &[]).1.is_empty());
        let fixed = LEAST.replace("[clients]", "host = \"as.test\"\n[clients]");
        let (preserve, fixed) = (with(LEAST, "").1, with(&fixed, "").1);
        assert!(preserve.len() == 1 && preserve[0].contains("metadata.base: is missing"), "{preserve:?}");
        assert!(preserve[0].ends_with("or list our names in [upstream] allowed_hosts"), "{preserve:?}");
        assert!(fixed.len() == 1 && fixed[0].ends_with("write base = \"https://...\""), "{fixed:?}");
        let base = "base = \"https://a.test\"\n";
        for (more, expected) in [
            ("upstream = \"other\"\n", "metadata.upstream: there is no [upstreams.other]"),
            ("[[endpoint]]\npath = \"/realms/{tenant}/m\"\n", "metadata.paths: one request could be for"),
        ] {
            let errors = with(LEAST, &format!("{base}{more}")).1;
            assert!(errors.len() == 1 && errors[0].contains(expected), "{errors:?}");
        }
    }

    #[test]
    fn tls_stands_beside_an_https_url_and_needs_none_there() {
        let https = LEAST.replace("http:", "https:");
        assert_eq!(parse(&https, &[]).0.unwrap().upstream.tls, Some(tls::ClientTls::default()));
        assert_eq!(parse(LEAST, &[]).0.unwrap().upstream.tls, None);
        let with = |least: &str, table: &str| parse(&format!("{least}[upstream.tls]\n{table}"), &[]);
        let settings = with(&https, "cert = \"c.pem\"\nkey = \"k.pem\"\nserver_name = \"as.internal\"\n").0.unwrap();
        let tls = settings.upstream.tls.unwrap();
        assert_eq!(tls.identity, Some(("/etc/relatch/c.pem".into(), "/etc/relatch/k.pem".into())));
        assert!(with(LEAST, "ca = \"a\"\n").1[0].contains("upstream.tls: goes with an https url"));
        assert!(with(&https, "cert = \"a\"\n").1[0].contains("cert and key go together"));
    }

    #[test]
    fn assert_goes_over_a_link_on_which_we_are_known() {
        let open = LEAST
            .replace("http://127.0.0.1", "https://10.0.0.1")
            .replace("[clients]", "credential = \"assert\"\n[clients]");
        assert!(parse(&open, &[]).1[0].contains("assert is refused on an open link"));
        assert!(parse(&format!("{open}[upstream.tls]\ncert = \"c\"\nkey = \"k\"\n"), &[]).0.is_some());
    }
}
