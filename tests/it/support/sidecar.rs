//! The running sidecar: its process, its two addresses, everything it said.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::setup::{Expansion, Setup};
use super::upstream::Upstream;
use super::{PATIENCE, http, leak, metrics, poll, process};

/// A `relatch run` that is ready. Killed when dropped; its stderr is printed if
/// the test is failing.
pub(crate) struct Sidecar {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    proxy: SocketAddr,
    telemetry: SocketAddr,
    parts: Parts,
}

/// What the set-up hands over.
pub(crate) struct Parts {
    pub(super) dir: TempDir,
    pub(super) given: Vec<PathBuf>,
    pub(super) canaries: Vec<String>,
    pub(super) extra_headers: Vec<String>,
    pub(super) expansion: Expansion,
    /// A command that the sidecar is started under, with its arguments; often none.
    pub(super) wrapper: Vec<String>,
}

/// A process that did not get ready: how it ended, if it did, and what it said.
#[derive(Debug)]
pub(crate) struct Stillborn {
    /// `None` if it was still running at the deadline, and was killed.
    pub(crate) status: Option<ExitStatus>,
    /// Its stderr.
    pub(crate) log: String,
}

impl Sidecar {
    /// Describes a guard; see [`Setup`] for what can be said about it.
    pub(crate) fn guard() -> Setup {
        Setup::guard()
    }

    pub(super) fn spawn(parts: Parts, environment: &[(String, String)], patience: Duration) -> Result<Self, Stillborn> {
        let mut command = match parts.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(process::binary());
                command
            }
            None => Command::new(process::binary()),
        };
        command.arg("run").arg("--config").arg(parts.dir.path().join("relatch.toml"));
        // Relative defaults (state, audit, admin socket) land beside the configuration.
        process::isolate(&mut command, parts.dir.path(), environment);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start relatch");
        let said = listen(&mut child);
        let addresses = poll(patience, || {
            let ended = child.try_wait().ok().flatten().is_some();
            match addresses(&text(&said)) {
                None if ended => Some(None),
                found => found.map(Some),
            }
        });
        let Some((proxy, telemetry)) = addresses.flatten() else {
            let status = child.try_wait().ok().flatten();
            _ = child.kill();
            _ = child.wait();
            // Its last words may still be in the pipe.
            poll(Duration::from_secs(2), || (Arc::strong_count(&said) == 1).then_some(()));
            return Err(Stillborn { status, log: text(&said) });
        };
        Ok(Self { child, said, proxy, telemetry, parts })
    }

    /// Where clients connect.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Where `/metrics` and the probes are.
    pub(crate) fn telemetry(&self) -> SocketAddr {
        self.telemetry
    }

    /// Its directory: configuration, client list, state.
    pub(crate) fn dir(&self) -> &Path {
        self.parts.dir.path()
    }

    /// Files in the directory that the harness wrote.
    pub(crate) fn given_files(&self) -> &[PathBuf] {
        &self.parts.given
    }

    /// The secrets that must never show.
    pub(crate) fn canaries(&self) -> &[String] {
        &self.parts.canaries
    }

    /// Headers that its configuration lets through beyond the fixed list.
    pub(crate) fn extra_headers(&self) -> &[String] {
        &self.parts.extra_headers
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The scrape, as text.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        let reply = http::get(self.telemetry, "/metrics");
        assert_eq!(reply.status, 200, "the scrape");
        String::from_utf8(reply.body).expect("a scrape in UTF-8")
    }

    /// One value of the scrape: the first sample with these labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        metrics::value(&self.metrics(), name, labels)
    }

    /// Scrapes until the value is there and as wanted; stops the test at the deadline.
    #[track_caller]
    pub(crate) fn wait_metric(&self, name: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) -> f64 {
        let probe = || self.metric(name, labels).filter(|value| wanted(*value));
        poll(PATIENCE, probe).unwrap_or_else(|| panic!("{name}{labels:?} stayed at {:?}", self.metric(name, labels)))
    }

    /// Everything it said on stderr so far.
    pub(crate) fn log(&self) -> String {
        text(&self.said)
    }

    /// The complete log lines, parsed; a line that is no JSON becomes a string.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        lines(&self.log())
    }

    /// Waits for a log line; stops the test if none comes in time.
    #[track_caller]
    pub(crate) fn wait_log(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        poll(PATIENCE, || self.log_lines().into_iter().find(|line| wanted(line)))
            .unwrap_or_else(|| panic!("no such log line in\n{}", self.log()))
    }

    /// The access line of the request with this `X-Request-Id`.
    #[track_caller]
    pub(crate) fn access_line(&self, request_id: &str) -> Value {
        self.wait_log(|line| line["msg"] == "request" && line["request_id"] == request_id)
    }

    /// Replaces the client list as an operator should: a new file, renamed over the old.
    pub(crate) fn write_clients(&self, list: &str) {
        let fresh = self.dir().join("clients.toml.new");
        std::fs::write(&fresh, self.parts.expansion.apply(list)).unwrap();
        std::fs::rename(&fresh, self.dir().join("clients.toml")).unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal relatch");
    }

    /// Its exit status, if it ends in time.
    pub(crate) fn wait_exit(&mut self, within: Duration) -> Option<ExitStatus> {
        process::ended(&mut self.child, within)
    }

    /// True while the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in KiB, as the kernel counts it.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap()
    }

    /// Ends the test: holds everything that happened to the standing promises.
    #[track_caller]
    pub(crate) fn finish(self, upstream: &Upstream) {
        leak::promises(&self, upstream);
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // This one child, by its own handle.
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what relatch said ---\n{}", self.log());
        }
    }
}

/// Keeps everything the child says, without ever blocking it.
fn listen(child: &mut Child) -> Arc<Mutex<Vec<u8>>> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let mut stderr = child.stderr.take().expect("stderr was piped");
    let kept = Arc::clone(&said);
    std::thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            kept.lock().unwrap().extend_from_slice(&chunk[..count]);
        }
    });
    said
}

fn text(said: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&said.lock().unwrap()).into_owned()
}

fn lines(log: &str) -> Vec<Value> {
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into())).collect()
}

/// The proxy's and the telemetry's address, once the log says that it is ready.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let lines = lines(log);
    lines.iter().find(|line| line["msg"] == "ready")?;
    let of = |listener: &str| {
        let line = lines.iter().find(|l| l["msg"] == "listening" && l["listener"] == listener)?;
        line["address"].as_str()?.parse().ok()
    };
    Some((of("proxy")?, of("telemetry")?))
}
