//! A peer as a process: JSON lines both ways, gone with its stdin (see tests/peers/README.md).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::{PATIENCE, poll};

/// The slowest of them takes seconds to start on a busy machine, and then answers in milliseconds.
const SLOWEST: Duration = Duration::from_secs(60);

/// A running peer.
pub(super) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    said: Arc<Mutex<Vec<u8>>>,
    ready: Value,
}

impl Peer {
    /// Starts a script of tests/peers and waits until it is ready.
    #[track_caller]
    pub(super) fn start(script: &str) -> Self {
        Self::start_with(script, &[])
    }

    /// The same, with these variables of its own.
    #[track_caller]
    pub(super) fn start_with(script: &str, environment: &[(&str, &str)]) -> Self {
        let node = Path::new(script).extension().is_some_and(|kind| kind == "mjs");
        let runner = if node { "node".into() } else { root().join("target/peers/venv/bin/python") };
        let spawned = Command::new(&runner)
            .arg(root().join("tests/peers").join(script))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|why| panic!("{}: {why}: run tests/peers/install.sh", runner.display()));
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut chunk) {
                kept.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        let stdin = child.stdin.take();
        let mut peer = Self { child, stdin, lines, said, ready: Value::Null };
        peer.ready = peer.next();
        assert_eq!(peer.ready["ready"], true, "{script}: {}", peer.ready);
        peer
    }

    /// What it said when it was ready: its URL and paths.
    pub(super) fn ready(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.ready))
    }

    /// One line there, one line back.
    #[track_caller]
    pub(super) fn ask(&mut self, line: &Value) -> Value {
        let sent = writeln!(self.stdin.as_mut().unwrap(), "{line}");
        sent.unwrap_or_else(|why| panic!("{}: {why}\n{}", self.ready, self.said()));
        let answer = self.next();
        assert_ne!(answer["error"], "peer_bug", "{answer}");
        answer
    }

    /// The next line that it says of itself.
    #[track_caller]
    pub(super) fn next(&self) -> Value {
        let line = self.lines.recv_timeout(SLOWEST);
        line.unwrap_or_else(|why| panic!("a peer is silent ({why}): {}\n{}", self.ready, self.said()))
    }

    /// Every line that it has said by now and nobody has read.
    pub(super) fn unread(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stdin = None;
        if poll(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
            // This one child, by its own handle.
            _ = self.child.kill();
            _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- what {} said ---\n{}", self.ready["peer"], self.said());
        }
    }
}

/// The checkout.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
