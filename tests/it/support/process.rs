//! Any command of relatch as a process: what it said on either side, how it ended.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, poll};

/// The binary under test. Another build of it can be put to the test: a release, a package.
pub(crate) fn binary() -> OsString {
    std::env::var_os("RELATCH_BIN").unwrap_or(env!("CARGO_BIN_EXE_relatch").into())
}

/// Runs it in `dir`, with these variables of its own and none of ours.
pub(crate) fn isolate(command: &mut Command, dir: &Path, environment: &[(String, String)]) {
    command.current_dir(dir);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("RELATCH") {
            command.env_remove(key);
        }
    }
    command.envs(environment.iter().map(|(key, value)| (key, value)));
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Data.
    pub(crate) out: String,
    /// Talk.
    pub(crate) err: String,
}

/// A command that may still run. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    out: Said,
    err: Said,
}

/// Runs a command of relatch to its end; stops the test if it does not come to one.
#[track_caller]
pub(crate) fn relatch(dir: &Path, arguments: &[&str]) -> Ran {
    Process::start(dir, arguments, &[]).end()
}

impl Process {
    /// Starts a command of relatch in `dir`.
    #[track_caller]
    pub(crate) fn start(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        isolate(&mut command, dir, &environment.iter().map(own).collect::<Vec<_>>());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start relatch");
        let out = Said::by(child.stdout.take().expect("stdout was piped"));
        let err = Said::by(child.stderr.take().expect("stderr was piped"));
        Self { child, out, err }
    }

    /// What it wrote to stdout so far.
    pub(crate) fn out(&self) -> String {
        self.out.so_far()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn err(&self) -> String {
        self.err.so_far()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal relatch");
    }

    /// Its exit status, if it ends in time.
    pub(crate) fn wait_exit(&mut self, within: Duration) -> Option<ExitStatus> {
        ended(&mut self.child, within)
    }

    /// Waits for its end; stops the test if there is none.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let Some(status) = self.wait_exit(PATIENCE) else {
            panic!("it does not end\n{}{}", self.out(), self.err());
        };
        Ran { code: status.code(), out: self.out.whole(), err: self.err.whole() }
    }
}

/// The exit status of a child, if it ends in time. Of one that had its patience and is still there the threads are told, and
/// where the kernel has them: that is what there is to find out why.
pub(crate) fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let status = poll(within, || child.try_wait().ok().flatten());
    if status.is_none() && within >= PATIENCE {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
        for task in tasks {
            let told = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            eprintln!("still there: {} {}", told("stat"), told("stack"));
        }
    }
    status
}

impl Drop for Process {
    fn drop(&mut self) {
        // This one child, by its own handle.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// One of its two outputs, kept without ever blocking it.
struct Said {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn by(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&kept);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                into.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { kept, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.kept.lock().unwrap()).into_owned()
    }

    /// Everything, once the process has closed its end.
    fn whole(&mut self) -> String {
        _ = self.reader.take().map(JoinHandle::join);
        self.so_far()
    }
}
