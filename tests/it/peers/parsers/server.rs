//! A server that writes what it reads into a journal (see tests/peers/README.md).

use std::fs::{File, OpenOptions, Permissions};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::super::process::root;
use super::reading::Reading;
use super::walk::Behind;
use crate::support::{PATIENCE, poll};

/// Five interpreters that start at once on two cores.
const STARTING: Duration = Duration::from_secs(60);

/// How one is started, and where it then is. In each text `@PORT@` is its port, `@DIR@` a directory of its own,
/// `@HERE@` the one with its configuration and scripts; in a command, `@PYTHON@` is that of the peers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which {
    pub(super) name: &'static str,
    url: &'static str,
    command: &'static [&'static str],
    /// Filled in and put into the directory.
    config: Option<&'static str>,
}

/// All of them.
pub(super) const SERVERS: [Which; 9] = [
    configured("nginx", "nginx.conf", &["nginx", "-p", "@DIR@", "-e", "@DIR@/nginx.error", "-c", "@DIR@/nginx.conf"]),
    configured("apache", "apache.conf", &["apache2", "-X", "-f", "@DIR@/apache.conf"]),
    configured("haproxy", "haproxy.cfg", &["haproxy", "-db", "-f", "@DIR@/haproxy.cfg"]),
    script("node", &["node", "@HERE@/node.mjs"]),
    script("gunicorn", &["@PYTHON@", "-B", "@HERE@/python_servers.py", "gunicorn"]),
    script("uvicorn", &["@PYTHON@", "-B", "@HERE@/python_servers.py", "uvicorn"]),
    script("hypercorn", &["@PYTHON@", "-B", "@HERE@/python_servers.py", "hypercorn"]),
    script("aiohttp", &["@PYTHON@", "-B", "@HERE@/python_servers.py", "aiohttp"]),
    script("tornado", &["@PYTHON@", "-B", "@HERE@/python_servers.py", "tornado"]),
];

const PLAIN: &str = "http://127.0.0.1:@PORT@";

const fn configured(name: &'static str, config: &'static str, command: &'static [&'static str]) -> Which {
    Which { name, url: PLAIN, command, config: Some(config) }
}

const fn script(name: &'static str, command: &'static [&'static str]) -> Which {
    Which { name, url: PLAIN, command, config: None }
}

/// A running one.
pub(super) struct Server {
    name: &'static str,
    url: String,
    child: Child,
    journal: File,
    /// The end of a line that is not there whole.
    pending: String,
    dir: TempDir,
}

impl Server {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub(super) fn start(which: Which) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        // Apache, started by root, writes as somebody else.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let mut create = OpenOptions::new();
        let journal = create.read(true).append(true).create(true).open(path("journal")).unwrap();
        journal.set_permissions(Permissions::from_mode(0o666)).unwrap();
        let (here, port) = (root().join("tests/peers/servers/parsers"), free_port());
        let fill = |text: &str| fill(text, dir.path(), &here, port);
        if let Some(config) = which.config {
            let text = std::fs::read_to_string(here.join(config)).unwrap();
            std::fs::write(path(config), fill(&text)).unwrap();
        }
        let (program, arguments) = which.command.split_first().unwrap();
        let said = File::create(path("said")).unwrap();
        // Debian keeps servers where only root looks for commands.
        let search = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let spawned = Command::new(fill(program))
            .args(arguments.iter().map(|argument| fill(argument)))
            .env("PATH", search)
            .env("PORT", port.to_string())
            .env("JOURNAL", path("journal"))
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn();
        let child = spawned.unwrap_or_else(|why| panic!("{}: {why}: run tests/peers/install.sh", which.name));
        let (name, url) = (which.name, fill(which.url));
        let mut server = Self { name, url, child, journal, pending: String::new(), dir };
        let listens = poll(STARTING, || {
            let ended = server.child.try_wait().ok().flatten().map(|status| Err(status.to_string()));
            ended.or_else(|| TcpStream::connect(("127.0.0.1", port)).ok().map(|_| Ok(())))
        });
        assert_eq!(listens, Some(Ok(())), "{name} does not listen");
        server
    }
}

impl Behind for Server {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn read(&mut self, extra_headers: &[String]) -> Vec<Reading> {
        let mut fresh = std::mem::take(&mut self.pending);
        self.journal.read_to_string(&mut fresh).unwrap();
        let whole = fresh.rfind('\n').map_or(0, |end| end + 1);
        self.pending = fresh.split_off(whole);
        fresh.lines().map(|line| Reading::told(line, extra_headers)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First by a signal: one of them has a child of its own to end.
        _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if poll(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
            _ = self.child.kill();
            _ = self.child.wait();
        }
        if std::thread::panicking() {
            let said = std::fs::read(self.dir.path().join("said")).unwrap_or_default();
            eprintln!("--- what {} said ---\n{}", self.name, String::from_utf8_lossy(&said));
        }
    }
}

fn fill(text: &str, dir: &Path, here: &Path, port: u16) -> String {
    let python = root().join("target/peers/venv/bin/python");
    let marks = [("@DIR@", dir), ("@HERE@", here), ("@PYTHON@", &python)];
    let text = text.replace("@PORT@", &port.to_string());
    marks.into_iter().fold(text, |text, (mark, path)| text.replace(mark, path.to_str().expect("a plain path")))
}

/// A port for a server that has to be told one: below those that the system gives away by itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 9000).unwrap_or_default();
    let free = |_| {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 9000;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    };
    (0..9000).find_map(free).expect("a free port")
}
