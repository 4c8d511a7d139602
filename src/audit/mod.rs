//! Who changed what: JSON lines appended to `[log] audit`, by a thread of its own, so that neither a full disk nor one that
//! hangs holds up a request of any kind. What cannot be written is counted, told, and said in the log itself afterwards.

mod file;
mod writer;

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::file::{AuditFile, Patience};
use crate::domain::clock::{Clock, Timestamp};
use crate::event::entry::{Entry, Outcome, Who};
use crate::event::rollup::{Rollup, Told};
use crate::log::Log;
use crate::metrics::audit::AuditMetrics;

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Way);

#[derive(Clone)]
enum Way {
    /// None is kept.
    Nowhere,
    /// An instance's.
    Thread(Arc<Shared>),
    /// A command's, which may wait for the disk.
    Direct(Arc<Direct>),
}

/// What an instance's lines wait in.
struct Shared {
    lines: SyncSender<Command>,
    reopen: AtomicBool,
    /// Lines that are lost and were not told of in the log itself.
    lost: AtomicU64,
    /// Lines that the thread has not looked at.
    waiting: AtomicU64,
    /// Whether it was told that the thread does not keep up.
    slow: AtomicBool,
    strangers: Mutex<Rollup>,
    clock: Arc<Clock>,
    log: Log,
    metrics: Arc<AuditMetrics>,
    path: PathBuf,
}

struct Direct {
    file: Mutex<AuditFile>,
    /// Is told why a line could not be written.
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

enum Command {
    Line(Vec<u8>),
    /// Something other than a line is to be looked at.
    Look,
    Stop,
}

/// The writing thread; [`Writer::finish`] waits until everything is written.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Lines that may wait to be written; most have some 300 bytes.
const WAITING: usize = 1024;
/// How long the end waits for the disk.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Audit {
    /// Of those who keep none.
    pub const fn off() -> Self {
        Self(Way::Nowhere)
    }

    /// Starts the writing thread, where one is kept.
    pub fn start(
        path: Option<PathBuf>,
        clock: Arc<Clock>,
        log: Log,
        metrics: Arc<AuditMetrics>,
    ) -> io::Result<(Self, Option<Writer>)> {
        let Some(path) = path else { return Ok((Self::off(), None)) };
        let (lines, taken) = sync_channel(WAITING);
        let shared = Arc::new(Shared {
            lines,
            reopen: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            slow: AtomicBool::new(false),
            strangers: Mutex::default(),
            clock,
            log,
            metrics,
            path,
        });
        let thread = writer::start(shared.clone(), taken)?;
        Ok((Self(Way::Thread(shared.clone())), Some(Writer { shared, thread })))
    }

    /// For a command beside no instance: each line is written at once, and `tell` is told why one could not be.
    pub fn direct(path: Option<PathBuf>, tell: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        let Some(path) = path else { return Self::off() };
        Self(Way::Direct(Arc::new(Direct { file: Mutex::new(AuditFile::new(path, Patience::None)), tell })))
    }

    /// Writes a line, sooner or later. Never waits in an instance.
    pub fn write(&self, entry: &Entry) {
        match &self.0 {
            Way::Nowhere => {}
            Way::Thread(shared) => shared.queue(entry.line()),
            Way::Direct(direct) => {
                let mut file = direct.file.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = file.append(&entry.line()) {
                    (direct.tell)(&format!("the audit log {} was not written: {error}", file.path().display()));
                }
            }
        }
    }

    /// Somebody at this address showed nothing that is known. However often that happens, the lines are few.
    pub fn stranger(&self, from: IpAddr, now: Timestamp) {
        let Way::Thread(shared) = &self.0 else { return };
        if let Some(told) = shared.strangers().note(from, now) {
            shared.queue(line_of(told, now));
        }
    }

    /// Closes the file and opens the one that has its name now: the old one was renamed.
    pub fn reopen(&self) {
        let Way::Thread(shared) = &self.0 else { return };
        shared.reopen.store(true, Relaxed);
        // Where there is no room the thread looks before its next line.
        let _busy = shared.lines.try_send(Command::Look);
    }
}

fn line_of(told: Told, now: Timestamp) -> Vec<u8> {
    let refused = Outcome::Refused("unauthorized".to_owned());
    let mut entry = Entry::new(now, Who::nobody(told.from), "access", refused);
    entry.more.count = Some(told.count);
    entry.line()
}

impl Shared {
    fn queue(&self, line: Vec<u8>) {
        self.waiting.fetch_add(1, Relaxed);
        if self.lines.try_send(Command::Line(line)).is_err() {
            self.waiting.fetch_sub(1, Relaxed);
            self.metrics.dropped.inc();
            self.lost.fetch_add(1, Relaxed);
            if !self.slow.swap(true, Relaxed) {
                let (file, next) = (self.path.display(), "lines are lost until the disk answers; nothing waits for it");
                self.log.error("the audit log does not keep up", &[("file", &file), ("next", &next)]);
            }
        }
    }

    fn strangers(&self) -> std::sync::MutexGuard<'_, Rollup> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Writes what is waiting and ends the thread; gives up after a while on a disk that hangs, and says what is lost.
    pub fn finish(self) {
        let step = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while matches!(self.shared.lines.try_send(Command::Stop), Err(TrySendError::Full(_))) && waited < LAST_WORDS {
            std::thread::sleep(step);
            waited += step;
        }
        while !self.thread.is_finished() && waited < LAST_WORDS {
            std::thread::sleep(step);
            waited += step;
        }
        let Shared { waiting, lost, metrics, log, path, .. } = &*self.shared;
        let waiting = waiting.load(Relaxed);
        metrics.dropped.inc_by(waiting);
        let lost = lost.load(Relaxed) + waiting;
        if lost > 0 {
            let next = "look at the disk: the file does not say that they are missing";
            let fields: [(&str, &dyn Display); 3] = [("file", &path.display()), ("lines", &lost), ("next", &next)];
            log.error("lines of the audit log were lost at the end", &fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Log as LogSettings;
    use crate::config::settings::kinds::{LogFormat, LogLevel};
    use crate::metrics::Metrics;

    #[test]
    fn a_gap_that_no_line_came_after_is_told_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (clock, metrics) = (Arc::new(Clock::start()), Metrics::new(&[]).unwrap().audit.clone());
        let settings = LogSettings { format: LogFormat::Json, level: LogLevel::Error, access: false, audit: None };
        let dropped = prometheus::IntCounter::new("lost", "lost").unwrap();
        let (log, _writer) = Log::start(&settings, clock.clone(), dropped).unwrap();
        let (_audit, writer) = Audit::start(Some(path.clone()), clock, log, metrics).unwrap();
        let writer = writer.unwrap();
        let shared = writer.shared.clone();
        shared.lost.store(3, Relaxed);
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"what\":\"audit.gap\"") && text.contains("\"count\":3"), "{text}");
        assert_eq!(shared.lost.load(Relaxed), 0);
    }
}
