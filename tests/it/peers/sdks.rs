//! The SDKs of other providers, as they are published, against the admin API in those providers' shapes: over TLS, where
//! they want no other. Through each, every rule of the rotation is run into, and each effect is seen by asking for tokens
//! before and after.
//!
//! | rule | npm `auth0`, PyPI `auth0-python` | PyPI `okta` | npm `@ory/client` |
//! |---|---|---|---|
//! | the limit | rotate | create | rotate |
//! | in use | rotate where it ends the old one | deactivate | delete rotated |
//! | the last one | delete | deactivate | delete rotated leaves it |
//! | the list is mounted, or not in force | create, update, rotate, delete | create, activate, deactivate, delete | both |
//! | a stale `If-Match` | update, rotate, delete | create, activate, deactivate, delete | both |
//! | asked again | update, rotate | create | both |
//! | lost: the answer, half of its head or body, the end of the request | rotate | create | rotate |

mod auth0;
mod hydra;
mod lossy;
mod okta;

use std::path::Path;

use serde_json::{Value, json};

use super::process::Peer;
use crate::gate::{address, entry};
use crate::support::PATIENCE;
use crate::support::http::{Method, token_post};
use crate::support::mounted::mount;
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::upstream::Upstream;
use lossy::{Loss, Lossy};

/// What the SDKs show. Its name is `ci`.
const TOKEN: &str = "rlt_ci-of-the-test-0123456789";
/// One of `read:clients` alone, named `looker`.
const LOOKER: &str = "rlt_looker-of-the-test-0123456789";

/// `busy` and `calm` have a secret each, `full` has as many as it may; of `spare` any may go, and one is switched off.
const LIST: &str = r#"
[[client]]
id = "busy"
name = "Busy"
[[client.secret]]
id = "busy_1"
hash = "@SHA256(first-s3cr3t-of-busy)@"
created = "2026-01-01T00:00:00Z"
[[client]]
id = "calm"
[[client.secret]]
id = "calm_1"
hash = "@SHA256(first-s3cr3t-of-calm)@"
created = "2026-01-01T00:00:00Z"
[[client]]
id = "full"
[[client.secret]]
id = "full_1"
hash = "@SHA256(first-s3cr3t-of-full)@"
created = "2026-01-01T00:00:00Z"
[[client.secret]]
id = "full_2"
hash = "@SHA256(second-s3cr3t-of-full)@"
created = "2026-02-01T00:00:00Z"
[[client]]
id = "spare"
max_active_secrets = 3
[[client.secret]]
id = "spare_1"
hash = "@SHA256(first-s3cr3t-of-spare)@"
created = "2026-01-01T00:00:00Z"
[[client.secret]]
id = "spare_2"
hash = "@SHA256(second-s3cr3t-of-spare)@"
created = "2026-02-01T00:00:00Z"
[[client.secret]]
id = "spare_3"
status = "disabled"
hash = "@SHA256(third-s3cr3t-of-spare)@"
created = "2026-01-01T00:00:00Z"
"#;

/// Every secret of the list that works, by its client.
const GOOD: [(&str, &str); 6] = [
    ("busy", "first-s3cr3t-of-busy"),
    ("calm", "first-s3cr3t-of-calm"),
    ("full", "first-s3cr3t-of-full"),
    ("full", "second-s3cr3t-of-full"),
    ("spare", "first-s3cr3t-of-spare"),
    ("spare", "second-s3cr3t-of-spare"),
];

/// A running instance with TLS at its admin address, and what an SDK needs to call it.
struct Bench {
    sidecar: Sidecar,
    upstream: Upstream,
    ca: Ca,
    /// With the certificate of the authority, and what an instance of yesterday saw.
    home: tempfile::TempDir,
}

impl Bench {
    /// Starts one whose secrets were all used a day and an hour ago, and not since.
    #[track_caller]
    fn start(describe: impl Fn(Setup) -> Setup) -> Self {
        Self::with(describe, "admin.tls = { cert = \"@DIR@/tls.crt\", key = \"@DIR@/tls.key\" }")
    }

    /// The same in the clear, for a gateway that ends TLS before it.
    #[track_caller]
    fn behind_a_gateway() -> Self {
        Self::with(|setup| setup, "admin.allowed_hosts = [\"localhost\"]")
    }

    #[track_caller]
    fn with(describe: impl Fn(Setup) -> Setup, admin: &str) -> Self {
        let (upstream, ca, home) = (Upstream::start(), Ca::new(), tempfile::tempdir().unwrap());
        std::fs::write(home.path().join("ca.pem"), ca.pem()).unwrap();
        let state = format!("state.path = \"{}\"", home.path().join("relatch.state").display());
        let setup = || {
            let tokens = entry("ci", TOKEN, "[\"admin\"]", "") + &entry("looker", LOOKER, "[\"read:clients\"]", "");
            let canaries = [TOKEN, LOOKER].into_iter().chain(GOOD.map(|(_, secret)| secret));
            let setup = Sidecar::guard().clients_text(LIST).config(&state).file("admin-tokens.toml", &tokens);
            canaries.fold(setup, Setup::canary).upstream(&upstream)
        };
        a_day_ago(setup());
        let pair = ca.issue(&["localhost"]);
        let listen = "admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]";
        let secured = setup().file("tls.crt", &pair.cert).file("tls.key", &pair.key).config(admin).config(listen);
        Self { sidecar: describe(secured).start(), upstream, ca, home }
    }

    /// Starts an SDK that trusts the authority.
    #[track_caller]
    fn sdk(&self, script: &str) -> Peer {
        let ca = self.home.path().join("ca.pem");
        let ca = ca.to_str().unwrap();
        Peer::start_with(script, &[("SSL_CERT_FILE", ca), ("NODE_EXTRA_CA_CERTS", ca)])
    }

    /// Host and port, as an SDK is told.
    fn domain(&self) -> String {
        format!("localhost:{}", address(&self.sidecar).port())
    }

    /// The status that a client gets at the proxy.
    #[track_caller]
    fn token(&self, client: &str, secret: &str) -> u16 {
        token_post(self.sidecar.proxy(), Method::Basic, client, secret).status
    }

    /// The statuses of two secrets of a client.
    #[track_caller]
    fn both(&self, client: &str, old: &str, new: &str) -> [u16; 2] {
        [old, new].map(|secret| self.token(client, secret))
    }

    /// Asks for what is refused by a rule, which must be a 400 with these words in it, and must leave the list as it is.
    #[track_caller]
    fn refused(&self, sdk: &mut Peer, ask: &Value, words: &str) {
        let before = std::fs::read(self.list()).unwrap();
        let told = sdk.ask(ask);
        assert_eq!((&told["ok"], &told["status"]), (&json!(false), &json!(400)), "{ask}: {told}");
        assert!(told["body"].to_string().contains(words), "{ask}: no {words:?} in {told}");
        assert!(std::fs::read(self.list()).unwrap() == before, "{ask}");
    }

    /// Asks for what was decided on another state of the client.
    #[track_caller]
    fn stale(&self, sdk: &mut Peer, mut ask: Value) {
        let before = std::fs::read(self.list()).unwrap();
        ask["headers"] = json!({"If-Match": "\"of-another-state\""});
        let told = sdk.ask(&ask);
        assert_eq!((&told["ok"], &told["status"]), (&json!(false), &json!(412)), "{ask}: {told}");
        assert!(told["body"].to_string().contains("it is not as If-Match says"), "{told}");
        assert!(std::fs::read(self.list()).unwrap() == before, "{ask}");
    }

    fn list(&self) -> std::path::PathBuf {
        self.sidecar.dir().join("clients.toml")
    }

    /// Each of these is refused while the list may not be written, and while what stands in it is not in force. Whose secrets
    /// are `good` get tokens all the while.
    #[track_caller]
    fn refused_by_the_state_of_the_list(&self, sdk: &mut Peer, asks: &[Value], good: &[(&str, &str)]) {
        let text = std::fs::read_to_string(self.list()).unwrap();
        std::fs::write(self.list(), format!("{text}\n[[client]]\nid = \"busy\"\n")).unwrap();
        for ask in asks {
            self.refused(sdk, ask, "the list on disk is not in force");
        }
        std::fs::write(self.list(), text).unwrap();
        mount(&self.list());
        for ask in asks {
            self.refused(sdk, ask, "is mounted by Kubernetes: edit the Secret");
        }
        for (client, secret) in good {
            assert_eq!(self.token(client, secret), 200, "{client}");
        }
    }

    #[track_caller]
    fn finish(self) {
        self.sidecar.finish(&self.upstream);
    }
}

/// An instance with a day and an hour on its clock less than there is, which sees every secret used and ends.
#[track_caller]
fn a_day_ago(setup: Setup) {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
        .map(|dir| format!("{dir}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("libfaketime: apt-get install faketime");
    let clock = [("LD_PRELOAD", &*library), ("FAKETIME", "-25h"), ("DONT_FAKE_MONOTONIC", "1")];
    let mut sidecar = clock.into_iter().fold(setup, |setup, (key, value)| setup.env(key, value)).start();
    for (client, secret) in GOOD {
        assert_eq!(token_post(sidecar.proxy(), Method::Basic, client, secret).status, 200);
    }
    sidecar.signal(rustix::process::Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE * 6).is_some(), "it ends when it is told to");
}

/// The secret that an answer made.
#[track_caller]
fn plain(told: &Value) -> String {
    let secret = told["body"]["client_secret"].as_str();
    secret.unwrap_or_else(|| panic!("no client_secret in {told}")).to_owned()
}

/// Asks for what must be done with this status.
#[track_caller]
fn done(sdk: &mut Peer, ask: &Value, status: u16) -> Value {
    let told = sdk.ask(ask);
    assert_eq!((&told["ok"], &told["status"]), (&json!(true), &json!(status)), "{ask}: {told}");
    told
}
