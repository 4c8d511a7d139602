//! What happened, in lines: JSON for machines, text on a terminal. Written to stderr by a thread of its own, so that a
//! slow reader never holds up a request; what it cannot take is dropped and counted.

pub mod access;
pub mod json;
pub mod panic;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;

use crate::config::settings::kinds::{LogFormat, LogLevel};
use crate::domain::clock::Clock;
use crate::domain::ids::ClientKey;

/// A key of a line and its value.
pub type Field<'f> = (&'static str, &'f dyn std::fmt::Display);

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    lines: SyncSender<Command>,
    /// A [`LogLevel`]: it can be changed while lines are written.
    level: AtomicU8,
    json: bool,
    access: bool,
    clock: Arc<Clock>,
    dropped: IntCounter,
}

enum Command {
    Lines(Vec<u8>),
    Stop,
}

/// The writing thread; [`Writer::finish`] waits until everything is written.
pub struct Writer {
    lines: SyncSender<Command>,
    thread: JoinHandle<()>,
}

/// Batches that may wait to be written: of 64 KiB and few of more, so some 8 MiB.
const WAITING: usize = 128;

impl Log {
    /// Starts the writing thread.
    pub fn start(
        settings: &crate::config::settings::Log,
        clock: Arc<Clock>,
        dropped: IntCounter,
    ) -> std::io::Result<(Self, Writer)> {
        let (lines, taken) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("relatch-log".to_owned()).spawn(move || write_lines(&taken))?;
        let json = match settings.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !std::io::stderr().is_terminal(),
        };
        let (level, access) = (AtomicU8::new(settings.level as u8), settings.access);
        let log = Self(Arc::new(Shared { lines: lines.clone(), level, json, access, clock, dropped }));
        Ok((log, Writer { lines, thread }))
    }

    /// Whether there is one line a request.
    pub fn access(&self) -> bool {
        self.0.access && self.writes(LogLevel::Info)
    }

    /// The least level that is written.
    pub fn level(&self) -> LogLevel {
        let least = self.0.level.load(Relaxed);
        LogLevel::ALL.into_iter().find(|level| *level as u8 == least).unwrap_or(LogLevel::Info)
    }

    /// Changes it, for whoever writes from now on.
    pub fn set_level(&self, least: LogLevel) {
        self.0.level.store(least as u8, Relaxed);
    }

    fn writes(&self, level: LogLevel) -> bool {
        level as u8 >= self.0.level.load(Relaxed)
    }

    /// Whether lines are JSON objects.
    pub fn is_json(&self) -> bool {
        self.0.json
    }

    /// Says what is to be noted.
    pub fn debug(&self, msg: &str, fields: &[Field<'_>]) {
        self.event(LogLevel::Debug, msg, fields);
    }

    /// Says what happened.
    pub fn info(&self, msg: &str, fields: &[Field<'_>]) {
        self.event(LogLevel::Info, msg, fields);
    }

    /// Says what should be looked at.
    pub fn warn(&self, msg: &str, fields: &[Field<'_>]) {
        self.event(LogLevel::Warn, msg, fields);
    }

    /// Says what failed.
    pub fn error(&self, msg: &str, fields: &[Field<'_>]) {
        self.event(LogLevel::Error, msg, fields);
    }

    fn event(&self, level: LogLevel, msg: &str, fields: &[Field<'_>]) {
        if !self.writes(level) {
            return;
        }
        let mut line = Vec::with_capacity(256);
        let at = self.0.clock.now().rfc3339();
        if self.0.json {
            let mut object = json::Object::begin(&mut line);
            object.text("ts", &at);
            object.text("level", level.as_str());
            object.text("msg", msg);
            for (key, value) in fields {
                object.text(key, &value.to_string());
            }
            object.end();
        } else {
            let _infallible = write!(line, "{at} {:5} {msg}", level.as_str());
            for (key, value) in fields {
                let _infallible = write!(line, "  {key}={}", access::plain(&value.to_string()));
            }
            line.push(b'\n');
        }
        self.write(line);
    }

    /// Hands over whole lines.
    pub fn write(&self, lines: Vec<u8>) {
        if let Err(TrySendError::Full(Command::Lines(lost))) = self.0.lines.try_send(Command::Lines(lines)) {
            self.0.dropped.inc_by(lost.iter().filter(|b| **b == b'\n').count() as u64);
        }
    }
}

/// The fields of a line that is about a client: which one, then `rest`.
pub fn about<'f>(client: &'f ClientKey, rest: &[Field<'f>]) -> Vec<Field<'f>> {
    let id: Field<'f> = ("client_id", &client.id);
    let tenant: Option<Field<'f>> = (!client.tenant.is_empty()).then_some(("tenant", &client.tenant));
    std::iter::once(id).chain(tenant).chain(rest.iter().copied()).collect()
}

impl Writer {
    /// Writes what is waiting and ends the thread; gives up after a while when nobody reads.
    pub fn finish(self) {
        let patience = Duration::from_secs(2);
        let step = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while self.lines.try_send(Command::Stop).is_err() && waited < patience {
            std::thread::sleep(step);
            waited += step;
        }
        while !self.thread.is_finished() && waited < patience {
            std::thread::sleep(step);
            waited += step;
        }
    }
}

fn write_lines(taken: &Receiver<Command>) {
    let mut stderr = std::io::stderr();
    while let Ok(Command::Lines(lines)) = taken.recv() {
        // A closed stderr must not end the proxy.
        let _unread = stderr.write_all(&lines);
    }
}
