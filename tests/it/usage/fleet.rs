//! Last use over instances, from a real Prometheus that scrapes two of them. The question is the library's own: what
//! asks it from outside is told elsewhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use relatch::config::settings::Settings;
use relatch::domain::ids::{ClientId, SecretId};
use relatch::fleet::{FleetUse, Prometheus};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Home, ask, list, told};
use crate::support::poll;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

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
    let prometheus = server.settings();
    let wait = |wanted: &dyn Fn(&Answer) -> bool| {
        let found = poll(SOON, || {
            std::thread::sleep(Duration::from_millis(200));
            Some(known(&prometheus)).filter(wanted)
        });
        found.unwrap_or_else(|| panic!("it stayed at {:?}\n{}", known(&prometheus), server.log()))
    };
    let of = |answer: &Answer, secret: &str| -> Option<FleetUse> {
        answer.as_ref().ok()?.get(&SecretId::parse(secret).unwrap()).cloned()
    };
    let begun = |sidecar: &Sidecar, secret: &str| told(sidecar, secret).1;
    let unused = wait(&|answer| of(answer, "old").is_some());
    assert_eq!(of(&unused, "old").unwrap().last_used, None);

    assert_eq!((ask(&there, OLD), ask(&there, OLD), ask(&here, NEW)), (200, 200, 200));
    let used = wait(&|answer| {
        of(answer, "old").is_some_and(|old| old.uses == 2) && of(answer, "new").is_some_and(|new| new.uses == 1)
    });
    for (secret, user) in [("old", &there), ("new", &here)] {
        let known = of(&used, secret).unwrap();
        assert_eq!(known.last_used.unwrap().seconds(), told(user, secret).0, "{secret}");
        let latest = begun(&here, secret).max(begun(&there, secret));
        assert_eq!(known.tracking_since.seconds(), latest, "{secret}: since when all of them observe it");
    }
    let all = answer(prometheus.clients()).unwrap();
    assert_eq!(all[&ClientId::parse("c1").unwrap()], used.unwrap());

    there.signal(Signal::KILL);
    there.wait_exit(SOON).unwrap();
    let unknown = wait(&Result::is_err).unwrap_err();
    assert!(unknown.contains(&there.telemetry().to_string()) && unknown.contains("cannot be scraped"), "{unknown}");

    drop(server);
    let down = known(&prometheus).unwrap_err();
    assert!(down.contains("cannot be asked"), "{down}");
    here.finish(&upstream);
}

type Answer = Result<HashMap<SecretId, FleetUse>, String>;

fn known(prometheus: &Prometheus) -> Answer {
    answer(prometheus.client(&ClientId::parse("c1").unwrap()))
}

fn answer<T>(question: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(question)
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

    /// As `[fleet]` names it.
    fn settings(&self) -> Prometheus {
        let text = format!(
            "upstream.url = \"http://127.0.0.1:1\"\nclients.path = \"c\"\n[fleet]\ninstances = \"many\"\n\
             prometheus = \"http://{}\"\n",
            self.address
        );
        let (settings, problems) = Settings::parse("relatch.toml", &text, &[], Path::new("/"));
        Prometheus::of(&settings.unwrap_or_else(|| panic!("{problems:?}")).fleet).unwrap()
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
