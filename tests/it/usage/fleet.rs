//! Last use over instances, from a real Prometheus that scrapes two of them, as the commands see it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{Home, ask, list, told};
use crate::support::PATIENCE;
use crate::support::http::{Method, Wire, token_request};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{poll, process};

const OLD: &str = "old-s3cr3t-7Hq2";
const NEW: &str = "new-s3cr3t-7Hq2";

/// It looks about itself for five seconds before its first scrape, and then scrapes every second.
const SOON: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs prometheus: make test"]
fn use_on_another_instance_is_seen_and_what_cannot_be_seen_is_unknown() {
    let (homes, upstream) = ([Home::new(), Home::new()], Upstream::start());
    let list = list(&[("old", OLD, ""), ("new", NEW, "")]);
    let [here, mut there] = homes.each_ref().map(|home| home.guard(&list).upstream(&upstream).start());
    let server = Server::start(&[here.telemetry(), there.telemetry()]);
    let config = server.config(&here.dir().join("clients.toml"));
    let wait = |wanted: &dyn Fn(&[Value]) -> bool| {
        let found = poll(SOON, || {
            std::thread::sleep(Duration::from_millis(200));
            Some(secrets(&config)).filter(|secrets| wanted(secrets))
        });
        found.unwrap_or_else(|| panic!("it stayed at {:#?}\n{}", secrets(&config), server.log()))
    };
    let of = |secrets: &[Value], id: &str| secrets.iter().find(|secret| secret["id"] == id).unwrap().clone();
    let unused = wait(&|secrets| of(secrets, "old")["use_unknown"].is_null());
    assert_eq!(of(&unused, "old")["last_used_at"], Value::Null);

    assert_eq!((ask(&there, OLD), ask(&there, OLD), ask(&here, NEW)), (200, 200, 200));
    let used = wait(&|secrets| of(secrets, "old")["use_count"] == 2 && of(secrets, "new")["use_count"] == 1);
    for (secret, user) in [("old", &there), ("new", &here)] {
        let known = of(&used, secret);
        assert_eq!(seconds(&known["last_used_at"]), told(user, secret).0, "{secret}");
        let latest = begun(&here, secret).max(begun(&there, secret));
        assert_eq!(seconds(&known["tracking_since"]), latest, "{secret}: since when all of them observe it");
    }
    // Nobody used it here: the guard knows of the other instance.
    let refused = relatch(&config, &["secret", "revoke", "c1", "old", "--quiet-for", "1h"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), why.contains("old was used")), (Some(3), true), "{why}");

    there.signal(Signal::KILL);
    there.wait_exit(SOON).unwrap();
    let unknown = wait(&|secrets| !of(secrets, "old")["use_unknown"].is_null());
    let why = of(&unknown, "old")["use_unknown"].to_string();
    assert!(why.contains(&there.telemetry().to_string()) && why.contains("cannot be scraped"), "{why}");
    let refused = relatch(&config, &["secret", "revoke", "c1", "old", "--quiet-for", "0s"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(
        (refused.status.code(), why.contains("it is not known whether old is still used")),
        (Some(3), true),
        "{why}"
    );

    server.stop();
    let why = of(&secrets(&config), "old")["use_unknown"].to_string();
    assert!(why.contains("cannot be asked"), "{why}");
    here.finish(&upstream);
}

#[test]
#[ignore = "needs prometheus: make test"]
fn use_in_one_tenant_on_another_instance_is_not_use_in_the_other() {
    let (homes, upstream) = ([Home::new(), Home::new()], Upstream::start());
    let tenant = |name: &str| list(&[("old", OLD, "")]).replacen("id =", &format!("tenant = \"{name}\"\nid ="), 1);
    let list = tenant("shop") + &tenant("bank");
    let guard = |home: &Home| {
        let guard = home.guard(&list).config("endpoint = [{ path = \"/{tenant}/token\" }]");
        guard.upstream(&upstream).start()
    };
    let [here, there] = homes.each_ref().map(guard);
    let server = Server::start(&[here.telemetry(), there.telemetry()]);
    let config = server.config(&here.dir().join("clients.toml"));
    let request = String::from_utf8(token_request(Method::Basic, "c1", OLD, "")).unwrap();
    let mut wire = Wire::connect(there.proxy());
    wire.send(request.replacen("/token", "/shop/token", 1).as_bytes());
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
    let uses = |arguments: &[&str]| {
        let listed = relatch(&config, &[&["secret", "list", "-o", "json"], arguments].concat());
        let secrets: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
        secrets.iter().map(|secret| (secret["tenant"].clone(), secret["use_count"].clone())).collect::<Vec<_>>()
    };
    let known = [("bank".into(), 0.into()), ("shop".into(), 1.into())];
    let seen = poll(SOON, || {
        std::thread::sleep(Duration::from_millis(200));
        (uses(&[]) == known).then_some(())
    });
    assert!(seen.is_some(), "{:?}\n{}", uses(&[]), server.log());
    // Asked about one client alone, too.
    assert_eq!(uses(&["c1", "--tenant", "bank"]), known[..1]);
    assert_eq!(uses(&["c1", "--tenant", "shop"]), known[1..]);
    here.finish(&upstream);
}

fn begun(sidecar: &Sidecar, secret: &str) -> f64 {
    told(sidecar, secret).1
}

/// A time of the answers as the metrics have it.
fn seconds(time: &Value) -> f64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_millisecond() as f64 / 1000.0
}

/// What the commands say of the client's secrets.
fn secrets(config: &Path) -> Vec<Value> {
    let listed = relatch(config, &["secret", "list", "c1", "-o", "json"]);
    serde_json::from_slice(&listed.stdout).unwrap_or_else(|_| panic!("{listed:?}"))
}

fn relatch(config: &Path, arguments: &[&str]) -> Output {
    Command::new(process::binary()).arg("--config").arg(config).args(arguments).output().unwrap()
}

/// A running Prometheus.
struct Server {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Server {
    #[track_caller]
    fn start(targets: &[SocketAddr]) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: relatch\n    \
             static_configs:\n      - targets: [{}]\n",
            targets.join(", ")
        );
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
        let mut running = Self { child, address: ([127, 0, 0, 1], 0).into(), dir };
        let listening = poll(SOON, || {
            let log = running.log();
            let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        running.address = listening.unwrap_or_else(|| panic!("it does not listen:\n{}", running.log()));
        running
    }

    /// The files of somebody who runs commands: a copy of the list, and this Prometheus as the one that knows all instances.
    fn config(&self, list: &Path) -> PathBuf {
        let path = self.dir.path().join("relatch.toml");
        let text = format!(
            "upstream.url = \"http://127.0.0.1:1\"\nclients.path = \"clients.toml\"\n[fleet]\ninstances = \"many\"\n\
             prometheus = \"http://{}\"\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        std::fs::copy(list, self.dir.path().join("clients.toml")).unwrap();
        path
    }

    /// Ends it and leaves its folder.
    fn stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        let gone = || std::net::TcpStream::connect(self.address).is_err().then_some(());
        poll(SOON, gone).expect("it stays");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // This one child, by its own handle.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
