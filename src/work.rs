//! The threads that compute slow hashes: few, beside the data plane, with a queue that nobody can fill for all.
//!
//! One computation at a time for each client, else the first come is the first served. Who asks what is asked already
//! waits for the same answer: many connections that present the same secret at a cold start cost one computation.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::admission::Admission;
use crate::domain::ids::ClientKey;
use crate::domain::source::Source;
use crate::priority::step_back;
use crate::verify::slow::{Found, Work};

/// What can be computed.
pub trait Job: Send + Sync + 'static {
    /// What comes of it; as many copies as there are waiting.
    type Outcome: Clone + Send;
    /// One is computed at a time for each of these.
    fn client(&self) -> &ClientKey;
    /// Whether the outcome of the other is this one's too.
    fn is_like(&self, other: &Self) -> bool;
    /// Computes.
    fn run(self: &Arc<Self>) -> Self::Outcome;
}

impl Job for Work {
    type Outcome = Found;

    fn client(&self) -> &ClientKey {
        &self.client().key
    }

    fn is_like(&self, other: &Self) -> bool {
        Self::is_like(self, other)
    }

    fn run(self: &Arc<Self>) -> Found {
        Self::run(self)
    }
}

/// Computations that may wait or run at once.
const MOST: usize = 64;
/// ... of one source: half, so that it leaves room for others.
const MOST_OF_SOURCE: usize = 32;
/// ... of one source for one client, which is served one by one: who guesses with many connections delays the owner of the
/// client by so many computations at most.
const MOST_OF_PAIR: usize = 4;
/// Everything else on the machine goes first, but not so far that a flood of cheap requests starves the pool: a third of a
/// core that is wanted by both.
const NICENESS: i32 = 4;

/// The queue, whole or busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The pool. Its threads end when it is dropped.
pub struct Pool<J: Job>(Arc<Shared<J>>);

struct Shared<J: Job> {
    queue: Mutex<Queue<J>>,
    changed: Condvar,
}

struct Queue<J: Job> {
    entries: VecDeque<Entry<J>>,
    next: u64,
    closed: bool,
}

/// A computation that waits or runs, and who waits for it.
struct Entry<J: Job> {
    number: u64,
    job: Arc<J>,
    source: Source,
    waiting: Vec<oneshot::Sender<J::Outcome>>,
    runs: bool,
}

impl<J: Job> Pool<J> {
    /// Starts so many threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let queue = Queue { entries: VecDeque::with_capacity(MOST), next: 0, closed: false };
        let pool = Self(Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() }));
        for number in 0..threads.max(1) {
            let shared = pool.0.clone();
            std::thread::Builder::new().name(format!("relatch-slow-{number}")).spawn(move || shared.serve())?;
        }
        Ok(pool)
    }

    /// Has a job computed. The answer never comes where the computation panicked.
    pub fn submit(&self, admission: &Admission, job: &Arc<J>) -> Result<oneshot::Receiver<J::Outcome>, Full> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.0.lock();
        let source = admission.source();
        if let Some(entry) = queue.entries.iter_mut().find(|entry| entry.job.is_like(job)) {
            entry.waiting.push(sender);
            return Ok(receiver);
        }
        let of_source = || queue.entries.iter().filter(|entry| entry.source == source);
        let of_pair = of_source().filter(|entry| entry.job.client() == job.client()).count();
        if queue.entries.len() >= MOST || of_source().count() >= MOST_OF_SOURCE || of_pair >= MOST_OF_PAIR {
            return Err(Full);
        }
        let number = queue.next;
        queue.next += 1;
        queue.entries.push_back(Entry { number, job: job.clone(), source, waiting: vec![sender], runs: false });
        drop(queue);
        self.0.changed.notify_one();
        Ok(receiver)
    }
}

impl<J: Job> Drop for Pool<J> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl<J: Job> Shared<J> {
    fn serve(&self) {
        step_back(NICENESS);
        while let Some((number, job)) = self.take() {
            // A panic in a computation must not end the thread, nor be an answer.
            let outcome = catch_unwind(AssertUnwindSafe(|| job.run())).ok();
            let done = self.lock().remove(number);
            // Its client may be waited for by a thread that found nothing else to do.
            self.changed.notify_all();
            for waiting in done.into_iter().flat_map(|entry| entry.waiting) {
                if let Some(outcome) = &outcome {
                    let _gone = waiting.send(outcome.clone());
                }
            }
        }
    }

    /// The next computation, or nothing when the pool is closed.
    fn take(&self) -> Option<(u64, Arc<J>)> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(taken) = queue.take() {
                return Some(taken);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<J>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Job> Queue<J> {
    /// Starts the first computation whose client has none running, after dropping those that nobody waits for any more.
    fn take(&mut self) -> Option<(u64, Arc<J>)> {
        self.entries.retain(|entry| entry.runs || !entry.waiting.iter().all(oneshot::Sender::is_closed));
        let busy: Vec<ClientKey> =
            self.entries.iter().filter(|entry| entry.runs).map(|entry| entry.job.client().clone()).collect();
        let next = self.entries.iter_mut().find(|entry| !entry.runs && !busy.contains(entry.job.client()))?;
        next.runs = true;
        Some((next.number, next.job.clone()))
    }

    fn remove(&mut self, number: u64) -> Option<Entry<J>> {
        let at = self.entries.iter().position(|entry| entry.number == number)?;
        self.entries.remove(at)
    }
}

#[cfg(test)]
mod tests;
