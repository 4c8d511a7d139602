//! The commands that look at a list and change it, as the real binary: with a running instance, without one, and on a
//! list that may not be written. What they say where, how they end, what becomes of the list, and what the proxy
//! accepts next.

mod ending;
mod guard;
mod making;
mod mounted;
mod odd;
mod together;
mod waiting;

use std::cell::RefCell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::http::{self, Method, Wire, token_post, token_request};
use crate::support::process::{Process, Ran, binary, isolate};
use crate::support::setup::Expansion;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, metrics, poll};

const OLD: &str = "old-s3cr3t-7Hq2-abcdefghijklmnop";
const SPARE: &str = "spare-s3cr3t-7Hq2-abcdefghijklmno";
const LIST: &str = r#"# the list   (kept)
[[client]]
id = "billing"   # who bills
name = "Billing worker"

# the one that everybody has
[[client.secret]]
id = "old"
hash = "@SHA256(old-s3cr3t-7Hq2-abcdefghijklmnop)@"

[[client]]
id = "other"
[[client.secret]]
id = "spare"
hash = "@SHA256(spare-s3cr3t-7Hq2-abcdefghijklmno)@"

[end]
clients = 2
secrets = 2
"#;

/// A folder with settings and a list, an upstream behind it, and perhaps an instance on it.
struct Place {
    dir: TempDir,
    _upstream: Upstream,
    running: RefCell<Option<Running>>,
    made: RefCell<Vec<String>>,
}

struct Running {
    process: Process,
    proxy: SocketAddr,
    telemetry: SocketAddr,
}

impl Place {
    fn new(list: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let upstream = Upstream::start();
        let settings = format!(
            "[proxy]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurl = \
             \"{}\"\n[clients]\npath = \"clients.toml\"\n[log]\nformat = \"json\"\n[[endpoint]]\npath = \"/token\"\n",
            upstream.url()
        );
        std::fs::write(dir.path().join("relatch.toml"), settings).unwrap();
        let made = RefCell::new([OLD, SPARE].map(str::to_owned).to_vec());
        let place = Self { dir, _upstream: upstream, running: RefCell::default(), made };
        place.write(list);
        place
    }

    /// With an instance, or without.
    fn with(list: &str, instance: bool) -> Self {
        let place = Self::new(list);
        if instance {
            place.start();
        }
        place
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("clients.toml")
    }

    fn write(&self, list: &str) {
        let text = Expansion::of(self.dir.path(), "").apply(list);
        std::fs::write(self.path(), text).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[track_caller]
    fn list(&self) -> String {
        let mode = self.path().metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o600, "the list is for us alone");
        std::fs::read_to_string(self.path()).unwrap()
    }

    #[track_caller]
    fn start(&self) {
        let process = Process::start(self.dir.path(), &["run"], &[]);
        let line = |wanted: &dyn Fn(&Value) -> bool| {
            process.err().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| wanted(line))
        };
        let ready = poll(PATIENCE, || line(&|line| line["msg"] == "ready"));
        assert!(ready.is_some(), "{}", process.err());
        let of = |name: &str| {
            line(&|line| line["listener"] == name).unwrap()["address"].as_str().unwrap().parse::<SocketAddr>().unwrap()
        };
        let (proxy, telemetry) = (of("proxy"), of("telemetry"));
        *self.running.borrow_mut() = Some(Running { process, proxy, telemetry });
    }

    /// Ends the instance; what it said.
    #[track_caller]
    fn stop(&self, signal: Signal) -> String {
        let mut running = self.running.borrow_mut().take().expect("an instance");
        running.process.signal(signal);
        assert!(running.process.wait_exit(PATIENCE).is_some(), "{}", running.process.err());
        running.process.err()
    }

    /// The status of a token request with this secret; starts an instance where none runs, which is what comes next.
    #[track_caller]
    fn ask(&self, client: &str, secret: &str) -> u16 {
        if self.running.borrow().is_none() {
            self.start();
        }
        let proxy = self.running.borrow().as_ref().unwrap().proxy;
        token_post(proxy, Method::Basic, client, secret).status
    }

    /// ... from another address, with a User-Agent.
    #[track_caller]
    fn ask_as(&self, client: &str, secret: &str, agent: &str) -> u16 {
        let proxy = self.running.borrow().as_ref().unwrap().proxy;
        let request = String::from_utf8(token_request(Method::Basic, client, secret, "")).unwrap();
        let mut wire = Wire::connect_from(7, proxy);
        wire.send(request.replacen("\r\n", &format!("\r\nUser-Agent: {agent}\r\n"), 1).as_bytes());
        wire.read_reply(false, PATIENCE).reply().status
    }

    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let telemetry = self.running.borrow().as_ref().unwrap().telemetry;
        let text = String::from_utf8(http::get(telemetry, "/metrics").body).unwrap();
        metrics::value(&text, name, labels)
    }

    /// Runs a command that shows no secret.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        self.feed(arguments, "")
    }

    /// ... with this on its stdin.
    #[track_caller]
    fn feed(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new(binary());
        command.args(arguments);
        self.checked(command, input, false)
    }

    /// Runs a line of a shell, `$R` being relatch.
    #[track_caller]
    fn shell(&self, script: &str, shows: bool) -> Ran {
        let mut command = Command::new("bash");
        command.args(["-c", script]).env("R", binary());
        self.checked(command, "", shows)
    }

    #[track_caller]
    fn checked(&self, mut command: Command, input: &str, shows: bool) -> Ran {
        isolate(&mut command, self.dir.path(), &[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        for secret in self.made.borrow().iter() {
            assert!(!ran.err.contains(secret) && !ran.out.contains(secret), "a secret shows: {ran:?}");
        }
        assert!(!ran.err.contains("rls_"), "a secret in the talk: {ran:?}");
        assert!(shows || !ran.out.contains("rls_"), "a secret is shown: {ran:?}");
        assert!(self.leftovers().is_empty(), "{:?}", self.leftovers());
        ran
    }

    fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".relatch-")).collect()
    }

    /// Runs a command that shows the one secret it makes.
    #[track_caller]
    fn make(&self, arguments: &[&str]) -> (Ran, String) {
        let mut command = Command::new(binary());
        command.args(arguments);
        let ran = self.checked(command, "", true);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let found = secrets(&ran.out);
        assert_eq!(found.len(), 1, "{ran:?}");
        self.made.borrow_mut().extend(found.clone());
        (ran, found[0].clone())
    }

    /// Runs a command that must end with this code, say these words and change nothing.
    #[track_caller]
    fn refused(&self, code: i32, arguments: &[&str], words: &[&str]) -> Ran {
        self.refused_with(code, arguments, "", words)
    }

    #[track_caller]
    fn refused_with(&self, code: i32, arguments: &[&str], input: &str, words: &[&str]) -> Ran {
        let before = self.list();
        let ran = self.feed(arguments, input);
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{arguments:?}: {ran:?}");
        assert_eq!(self.list(), before, "{arguments:?} changed the list: {ran:?}");
        for word in words {
            assert!(ran.err.contains(word), "{arguments:?}: no {word:?} in {}", ran.err);
        }
        ran
    }

    /// Runs a command that does what it should, silently on stdout.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran
    }

    /// What a command says as JSON.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|why| panic!("{why}: {ran:?}"))
    }

    /// The ids of a client's secrets, the newest first.
    #[track_caller]
    fn ids(&self, client: &str) -> Vec<String> {
        let all = self.json(&["secret", "list", client]);
        all.as_array().unwrap().iter().map(|secret| secret["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Starts a command that goes on for a while.
    fn begin(&self, arguments: &[&str]) -> Process {
        Process::start(self.dir.path(), arguments, &[])
    }
}

/// The generated secrets in a text.
fn secrets(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("rls_") && word.len() == 53).map(str::to_owned).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}
