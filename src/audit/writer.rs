//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::file::{AuditFile, Patience};
use super::{Command, Shared, line_of};
use crate::event::entry::{Entry, Outcome, Who};

/// How often it is looked whether a minute of strangers is over.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn start(shared: Arc<Shared>, taken: Receiver<Command>) -> io::Result<JoinHandle<()>> {
    let file = AuditFile::new(shared.path.clone(), Patience::Endless);
    let mut writer = Writing { shared, file, trouble: None };
    std::thread::Builder::new().name("relatch-audit".to_owned()).spawn(move || writer.run(&taken))
}

struct Writing {
    shared: Arc<Shared>,
    file: AuditFile,
    /// Why the last line was not written, as it was told.
    trouble: Option<String>,
}

impl Writing {
    fn run(&mut self, taken: &Receiver<Command>) {
        self.look();
        loop {
            let command = taken.recv_timeout(LOOK);
            if self.shared.reopen.swap(false, Relaxed) {
                self.file.reopen();
                self.look();
            }
            let ends = matches!(command, Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected));
            if let Ok(Command::Line(line)) = command {
                self.write(&line);
                self.shared.waiting.fetch_sub(1, Relaxed);
            }
            let now = self.shared.clock.now();
            let strangers = self.shared.strangers().due(now, ends);
            strangers.into_iter().for_each(|told| self.write(&line_of(told, now)));
            if ends {
                // No line comes any more that would bring it.
                if let Err(error) = self.tell_of_the_lost() {
                    self.troubled(&error);
                }
                return;
            }
        }
    }

    /// Opens the file before there is anything to write, so that what is wrong with it is known.
    fn look(&mut self) {
        if let Err(error) = self.file.open() {
            self.troubled(&error);
        }
    }

    fn write(&mut self, line: &[u8]) {
        let metrics = self.shared.metrics.clone();
        match self.tell_of_the_lost().and_then(|()| self.file.append(line)) {
            Ok(()) => {
                metrics.written.inc();
                if self.trouble.take().is_some() {
                    let file = self.file.path().display();
                    self.shared.log.info("the audit log is written again", &[("file", &file)]);
                }
            }
            Err(error) => {
                metrics.failed.inc();
                self.shared.lost.fetch_add(1, Relaxed);
                self.troubled(&error);
            }
        }
    }

    /// After a gap a line says how many are missing there.
    fn tell_of_the_lost(&mut self) -> io::Result<()> {
        let lost = self.shared.lost.load(Relaxed);
        if lost == 0 {
            return Ok(());
        }
        let mut entry = Entry::new(self.shared.clock.now(), Who::instance(), "audit.gap", Outcome::Done);
        entry.more.count = Some(lost);
        self.file.append(&entry.line())?;
        self.shared.metrics.written.inc();
        self.shared.lost.fetch_sub(lost, Relaxed);
        self.shared.slow.store(false, Relaxed);
        Ok(())
    }

    /// Says once what is wrong.
    fn troubled(&mut self, error: &io::Error) {
        let why = error.to_string();
        if self.trouble.as_ref() == Some(&why) {
            return;
        }
        let (file, next) = (self.file.path().display(), "tried again with the next line; nothing waits for it");
        let fields: [(&str, &dyn std::fmt::Display); 3] = [("file", &file), ("reason", &why), ("next", &next)];
        self.shared.log.error("the audit log cannot be written", &fields);
        self.trouble = Some(why);
    }
}
