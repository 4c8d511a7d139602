//! A document's ```console blocks, typed into one shell: what they say comes out
//! must come out.
//!
//! What differs from run to run is bound the first time it is seen and put into
//! the commands that follow: the ids `sec_...`, and secrets written short as
//! `rls_9sKq...`. Times, months, hashes and the counts of a table are compared as
//! such. `...` in a line stands for anything, on a line of its own for any lines.
//! Addresses of the document are replaced by free ones.

mod line;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use line::{fits, name, plain};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{poll, process};

/// The slowest command waits for a secret to fall silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What whoever reads the keyboard gets: the one secret that the token server knows.
pub(crate) const KEYBOARD: &str = "the-token-servers-own-secret-51c2";

/// `relatch run` stays behind, `--wait` waits for seconds, and what builds or needs all day is left out.
const FUNCTIONS: &str = r#"
relatch() {
  if [ "$1" = run ]; then
    : >run.log
    command relatch run >>run.log 2>&1 </dev/null &
    RUNNING="$RUNNING $!"
    appears ready run.log
    return
  fi
  case " $* " in
    *" --quiet-for "*) command relatch "$@" ;;
    *" --wait "*) command relatch "$@" --quiet-for 2s ;;
    *) command relatch "$@" ;;
  esac
}
appears() {
  for try in $(seq 400); do grep -q "$1" "$2" && return 0; sleep 0.05; done
  cat "$2"; return 1
}
cargo() {
  [ "$*" = "run --release -- demo" ] || return 0
  : >demo.log
  RELATCH__ADMIN__LISTEN="[\"unix:relatch.sock\", \"$ADMIN\"]" command relatch demo >>demo.log 2>/dev/null </dev/null &
  appears 'token login' demo.log && cat demo.log
  kill $!; wait $!
}
make() { :; }
"#;

/// A command and what it should print.
#[derive(Debug)]
struct Step {
    command: String,
    expected: Vec<String>,
}

/// A shell in a folder of its own. Whatever still runs in it is ended when it is dropped.
pub(crate) struct Console {
    shell: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// What stands in the document, and what it is here.
    bound: BTreeMap<String, String>,
    dir: tempfile::TempDir,
}

impl Console {
    /// Opens a shell that finds the binary under test, with the token server at `upstream` (host and port).
    pub(crate) fn open(upstream: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-console-").tempdir().unwrap();
        let bin = dir.path().join(".bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(process::binary(), bin.join("relatch")).unwrap();
        let [proxy, telemetry, admin] = [free_address(), free_address(), free_address()];
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let environment = [
            ("PATH", path.as_str()),
            ("RELATCH__PROXY__LISTEN", &proxy),
            ("RELATCH__TELEMETRY__LISTEN", &telemetry),
            ("ADMIN", &admin),
            ("TERM", "dumb"),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut command = Command::new("bash");
        process::isolate(&mut command, dir.path(), &environment);
        command.args(["--norc", "--noprofile"]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("bash");
        let (mut stdin, stdout) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        writeln!(stdin, "exec 2>&1\n{FUNCTIONS}").unwrap();
        let upstream = upstream.to_owned();
        let document = ["127.0.0.1:8080", "127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9000"];
        let bound = document.into_iter().zip([proxy, telemetry, admin, upstream]);
        let bound = bound.into_iter().map(|(document, here)| (document.to_owned(), here)).collect();
        Self { shell, stdin, lines, bound, dir }
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Types every console block of the document; gives what did not come out as it says.
    pub(crate) fn follow(&mut self, document: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for step in steps(document) {
            let printed = self.typed(&step.command);
            if !self.matches(&step.expected, &printed) {
                let said = |lines: &[String]| lines.iter().map(|line| format!("    {line}\n")).collect::<String>();
                let (expected, printed) = (said(&step.expected), said(&printed));
                faults.push(format!("$ {}\n  should print\n{expected}  and printed\n{printed}", step.command));
            }
        }
        faults
    }

    /// Runs one command; everything it prints. What reads the keyboard gets a secret.
    fn typed(&mut self, command: &str) -> Vec<String> {
        let here = self.bound.iter().fold(command.to_owned(), |text, (document, here)| text.replace(document, here));
        let mark = "-- done --";
        let line = format!("{{ (exit ${{CODE:-0}}); {here}\n}} <<<'{KEYBOARD}'; CODE=$?; printf '\\n%s\\n' '{mark}'");
        writeln!(self.stdin, "{line}").unwrap();
        let mut printed = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line == mark => break,
                Ok(line) => printed.push(line),
                Err(why) => panic!("{command}: {why}: {printed:#?}"),
            }
        }
        // The mark has a line of its own even after output that ends without one.
        if printed.last().is_some_and(String::is_empty) {
            printed.pop();
        }
        printed
    }

    fn matches(&mut self, expected: &[String], printed: &[String]) -> bool {
        match expected.split_first() {
            None => printed.is_empty(),
            Some((line, rest)) if line.trim() == "..." => {
                (0..=printed.len()).any(|skipped| self.matches(rest, &printed[skipped..]))
            }
            Some((line, rest)) => match printed.split_first() {
                Some((first, others)) => self.line_matches(line, first) && self.matches(rest, others),
                None => false,
            },
        }
    }

    /// Compares a line, and binds what it names for the first time.
    fn line_matches(&mut self, expected: &str, printed: &str) -> bool {
        let names = |line: &str| -> Vec<String> {
            line.split(|c: char| c.is_whitespace() || "()`:,@".contains(c)).filter_map(name).collect()
        };
        let (in_document, here) = (names(expected), names(printed));
        if in_document.len() != here.len() {
            return false;
        }
        let mut new = Vec::new();
        for (document, here) in in_document.into_iter().zip(here) {
            match self.bound.get(&document) {
                // Any secret, and nothing that a later line could mean.
                None if document == "rls_..." => {}
                Some(bound) if *bound != here => return false,
                Some(_) => {}
                None => new.push((document, here)),
            }
        }
        let addresses = self.bound.iter().filter(|(document, _)| document.starts_with("127."));
        let printed = addresses.fold(printed.to_owned(), |text, (document, here)| text.replace(here, document));
        let fits = fits(&plain(expected), &plain(&printed));
        if fits {
            self.bound.extend(new);
        }
        fits
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // What this shell started, by the ids that it kept.
        _ = writeln!(self.stdin, "for pid in $RUNNING; do kill $pid; done 2>/dev/null; wait; exit");
        if poll(super::PATIENCE, || self.shell.try_wait().ok().flatten()).is_none() {
            // A command hangs: it goes with everything in this shell's own group.
            _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
            _ = self.shell.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.dir.path().join("run.log")).unwrap_or_default());
        }
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The commands of every console block, in order.
fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut indent = None;
    for line in document.lines() {
        let bare = line.trim_start();
        match indent {
            None if bare == "```console" => indent = Some(line.len() - bare.len()),
            None => {}
            Some(_) if bare == "```" => indent = None,
            Some(indent) => {
                let line = line.get(indent..).unwrap_or_default();
                match (line.strip_prefix("$ "), steps.last_mut()) {
                    (Some(command), _) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
                    (None, Some(step)) => step.expected.push(line.to_owned()),
                    (None, None) => panic!("{line}: of which command?"),
                }
            }
        }
    }
    assert!(!steps.is_empty(), "a document without commands");
    steps
}
