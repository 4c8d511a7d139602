//! Deadlines without a timer per request: each thread ticks ten times a second and looks through its few cells.
//!
//! Setting one is a store into a cell; there is no clock read, no heap of timers and no wake-up for what ends in time.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use slab::Slab;

/// How often a thread looks.
pub const TICK: Duration = Duration::from_millis(TICK_MILLIS);
const TICK_MILLIS: u64 = 100;

/// Ticks after which a deadline that nobody acted on is overdue: half a second.
const OVERDUE: u64 = 5;

/// The deadlines of one thread.
#[derive(Default)]
pub struct Deadlines {
    now: Cell<u64>,
    cells: RefCell<Slab<Rc<Shared>>>,
}

#[derive(Default)]
struct Shared {
    /// The tick at which it passes; 0 when none is set.
    at: Cell<u64>,
    passed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One deadline, set again and again. Leaves its thread's table when dropped.
pub struct Deadline {
    table: Rc<Deadlines>,
    key: usize,
    shared: Rc<Shared>,
}

impl Deadlines {
    /// A deadline that is not set yet.
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let shared = Rc::new(Shared::default());
        let key = self.cells.borrow_mut().insert(shared.clone());
        Deadline { table: self.clone(), key, shared }
    }

    /// It is `now` ticks since the start (some may have been missed): wakes whose deadline has passed.
    pub fn tick(&self, now: u64) {
        self.now.set(now);
        for (_, cell) in self.cells.borrow().iter() {
            let at = cell.at.get();
            if at != 0 && at <= self.now.get() && (!cell.passed.replace(true) || at + OVERDUE <= self.now.get()) {
                wake(cell);
            }
        }
    }

    /// Wakes everybody, so that each sees what has changed for all.
    pub fn wake_all(&self) {
        self.cells.borrow().iter().for_each(|(_, cell)| wake(cell));
    }

    /// Ticks so far.
    pub const fn now(&self) -> u64 {
        self.now.get()
    }
}

fn wake(cell: &Shared) {
    if let Some(waker) = &*cell.waker.borrow() {
        waker.wake_by_ref();
    }
}

impl Deadline {
    /// Sets it to pass after `time`, at most a tick late, never early.
    pub fn set(&self, time: Duration) {
        // In 64 bits: this is asked several times a request.
        let ticks = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).div_ceil(TICK_MILLIS);
        self.shared.at.set(self.table.now.get() + ticks + 1);
        self.shared.passed.set(false);
    }

    /// What comes of something, unless this much time passes first.
    pub async fn within<F: Future>(&self, time: Duration, something: F) -> Option<F::Output> {
        self.set(time);
        let mut something = pin!(something);
        poll_fn(|cx| {
            self.wakes(cx.waker());
            match something.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.passed() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.shared.passed.get()
    }

    /// Whether it passed so long ago that whoever should have acted on it had every chance.
    pub fn is_overdue(&self) -> bool {
        self.passed() && self.shared.at.get() + OVERDUE <= self.table.now.get()
    }

    /// Who is woken when it passes.
    pub fn wakes(&self, waker: &Waker) {
        let mut known = self.shared.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Ticks of its thread so far, for measuring rough ages without a clock read.
    pub fn now(&self) -> u64 {
        self.table.now()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.table.cells.borrow_mut().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_late_rather_than_early_and_can_be_set_again() {
        let table = Rc::new(Deadlines::default());
        let deadline = table.deadline();
        deadline.set(Duration::from_millis(150));
        let passed: Vec<_> = (1..=4)
            .map(|now| {
                table.tick(now);
                deadline.passed()
            })
            .collect();
        assert_eq!(passed, [false, false, true, true]);
        deadline.set(Duration::from_secs(1));
        table.tick(5);
        assert!(!deadline.passed());
        table.tick(500);
        assert!(deadline.passed(), "ticks that were missed count");
        drop(deadline);
        assert!(table.cells.borrow().is_empty());
    }

    #[tokio::test]
    async fn what_comes_in_time_is_taken_and_nothing_else_waited_for() {
        let table = Rc::new(Deadlines::default());
        let deadline = table.deadline();
        assert_eq!(deadline.within(Duration::from_secs(1), std::future::ready(5)).await, Some(5));
        let ticks = async {
            for now in 1..=3 {
                tokio::task::yield_now().await;
                table.tick(now);
            }
        };
        let never = deadline.within(Duration::from_millis(200), std::future::pending::<()>());
        assert_eq!(tokio::join!(never, ticks).0, None);
    }
}
