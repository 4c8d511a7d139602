//! Prometheus on both ends: it scrapes relatch, and fetches the tokens of another scrape through it, with a secret that is
//! rotated while it runs.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::caller::{self, Credentials, METHODS, Wish};
use super::identity::Identity;
use super::line::{Line, PATHS};
use super::process::{Peer, root};
use super::secrets::{Phase, Rotating};
use super::server::Kind;
use crate::support::{form, http, poll};

/// It looks about itself for five seconds before its first scrape, and then scrapes every second.
const SOON: Duration = Duration::from_secs(30);

const LAST_USED: &str = "relatch_client_secret_last_used_timestamp_seconds";

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_running_prometheus_is_rotated_in_front_of_oidc_provider_and_no_scrape_fails() {
    rotate(Kind::OidcProvider);
}

/// Directly this server understands Prometheus in the body alone, after a first refusal.
#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_running_prometheus_is_rotated_in_front_of_the_authlib_server_and_no_scrape_fails() {
    rotate(Kind::Authlib);
}

#[track_caller]
fn rotate(kind: Kind) {
    let client = Rotating { id: "prometheus", ..Rotating::hard() };
    let identity = Identity::same(kind, "upstream-1");
    let list = |phase| client.entry(phase, &identity.section());
    let line = Line::start(kind, |setup| {
        let setup = setup.canary(&client.old).canary(&client.new);
        identity.given_to(setup).clients_text(&list(Phase::Before))
    });
    // So short-lived that it fetches one for every scrape.
    line.server.client_with_ttl(&identity.id, &identity.secret, 5);
    let prometheus = Prometheus::start(&line, &client.old);
    prometheus.wait("up{job=\"relatch\"}", |up| up == 1.0);
    prometheus.wait("up{job=\"protected\"}", |up| up == 1.0);
    let last_used = |secret: &str| format!("{LAST_USED}{{client_id=\"prometheus\",secret_id=\"{secret}\"}}");
    let moves_on = |secret: &str| {
        let mark = prometheus.wait(&last_used(secret), |at| at > 0.0);
        prometheus.wait(&last_used(secret), |at| at > mark)
    };
    moves_on("old");

    line.rewrite(&list(Phase::During));
    prometheus.wait(&last_used("new"), |at| at == 0.0);
    prometheus.give(&client.new);
    prometheus.wait(&last_used("new"), |at| at > 0.0);
    let stands = prometheus.wait(&last_used("old"), |at| at > 0.0);
    let new = moves_on("new");
    assert!(stands < new, "the old secret was used last at {stands}, the new one at {new}");
    assert_eq!(prometheus.query(&last_used("old")), Some(stands), "the old one is quiet: it may go");

    line.rewrite(&list(Phase::After));
    let revoked = "relatch_client_secret_info{secret_id=\"old\",status=\"revoked\"}";
    prometheus.wait(revoked, |info| info == 1.0);
    moves_on("new");
    moves_on("new");

    for job in ["relatch", "protected"] {
        let ever_down = format!("min_over_time(up{{job=\"{job}\"}}[10m])");
        assert_eq!(prometheus.query(&ever_down), Some(1.0), "{job}: every scrape since the start");
    }
    let hits = prometheus.target.unread();
    assert!(hits.len() > 5 && hits.iter().all(|hit| hit["authorized"] == true), "{hits:?}");
    let refused = "sum(relatch_client_authentications_total{result!=\"success\"})";
    assert_eq!(prometheus.query(refused), Some(0.0), "it was never refused");
    assert!(line.server.token_answers().keys().eq(["200"]), "{:?}", line.server.token_answers());
    drop(prometheus);
    line.finish(&[client.old, client.new]);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn promtool_has_nothing_to_say_about_our_metrics() {
    let clients = Rotating::all();
    let identity = Identity::same(Kind::OidcProvider, "upstream-1");
    let silent = "[[client]]\nid = 'quo\"te back\\slash {brace} é'\n";
    let entries = |phase| clients.iter().map(|client| client.entry(phase, &identity.section())).collect::<String>();
    let list = |phase| entries(phase) + silent;
    let line = Line::start(Kind::OidcProvider, |setup| identity.given_to(setup).clients_text(&list(Phase::During)));
    promtool(&line.relatch.metrics());

    // Everything that can be counted, counted at least once.
    line.server.client(&identity.id, &identity.secret);
    line.rewrite(&list(Phase::After));
    for (client, method) in clients.iter().flat_map(|client| METHODS.map(|method| (client, method))) {
        for secret in [&*client.old, &client.new, "wr0ng-s3cr3t"] {
            let with = Credentials { id: client.id, secret, method };
            caller::Caller::CrateOauth2.ask(&line.endpoints(), with, Wish::Token);
        }
    }
    line.server.client(&identity.id, "another");
    let with = Credentials { id: clients[0].id, secret: &clients[0].new, method: METHODS[0] };
    let told = caller::Caller::Curl.ask(&line.endpoints(), with, Wish::Token);
    assert_eq!(told.status, Some(502), "{told:?}");
    line.relatch.write_clients("[[client]]\nid = ");
    line.relatch.wait_metric("relatch_config_last_reload_successful", &[], |value| value == 0.0);
    for path in ["/", "/nowhere"] {
        assert_eq!(http::get(line.relatch.proxy(), path).status, 404);
    }
    promtool(&line.relatch.metrics());
    line.finish(&clients.map(|client| client.old));
}

/// Holds a scrape against the linter of Prometheus.
#[track_caller]
fn promtool(metrics: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is missing: run tests/peers/install.sh");
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// A running Prometheus and the target that wants its token.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    target: Peer,
    dir: TempDir,
}

impl Prometheus {
    /// Starts it with this secret in the file, on the configuration of tests/peers.
    #[track_caller]
    fn start(line: &Line, secret: &str) -> Self {
        let target = Peer::start("prometheus/target.py");
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let path = |name: &str| -> PathBuf { dir.path().join(name) };
        std::fs::write(path("secret"), secret).unwrap();
        let config = std::fs::read_to_string(root().join("tests/peers/prometheus/prometheus.yml")).unwrap();
        let config = config
            .replace("@TELEMETRY@", &line.relatch.telemetry().to_string())
            .replace("@TARGET@", target.ready("url").strip_prefix("http://").unwrap())
            .replace("@TOKEN_URL@", &format!("http://{}{}", line.relatch.proxy(), PATHS[0]))
            .replace("@SECRET_FILE@", path("secret").to_str().unwrap());
        std::fs::write(path("prometheus.yml"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().expect("prometheus is missing: run tests/peers/install.sh");
        let mut running = Self { child, address: ([127, 0, 0, 1], 0).into(), target, dir };
        let listening = poll(SOON, || {
            let log = running.log();
            let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        running.address = listening.unwrap_or_else(|| panic!("it does not listen:\n{}", running.log()));
        running
    }

    /// Puts another secret into the file, as a mounted secret changes.
    fn give(&self, secret: &str) {
        let fresh = self.dir.path().join("secret.new");
        std::fs::write(&fresh, secret).unwrap();
        std::fs::rename(&fresh, self.dir.path().join("secret")).unwrap();
    }

    /// The first value of an expression now.
    #[track_caller]
    fn query(&self, expression: &str) -> Option<f64> {
        let reply = http::get(self.address, &format!("/api/v1/query?query={}", form::encode(expression)));
        assert_eq!(reply.status, 200, "{expression}: {reply:?}");
        reply.json()["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Waits until an expression has a value that is wanted.
    #[track_caller]
    fn wait(&self, expression: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let probe = || {
            // Nothing changes more often than once a second.
            std::thread::sleep(Duration::from_millis(100));
            self.query(expression).filter(|value| wanted(*value))
        };
        let found = poll(SOON, probe);
        found.unwrap_or_else(|| panic!("{expression} stayed at {:?}\n{}", self.query(expression), self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // This one child, by its own handle.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
