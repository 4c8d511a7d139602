//! What waits to be delivered to one receiver.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::clock::Timestamp;
use crate::event::webhook::{Event, Kind};
use crate::metrics::audit::HookMetrics;

/// An event on its way.
pub(super) struct Delivery {
    /// The same however often it is tried.
    pub(super) id: String,
    /// What is told.
    pub(super) event: Event,
    /// How often it failed.
    pub(super) failures: u32,
    /// When it is tried next.
    pub(super) due: Timestamp,
}

/// Events that wait; those of a receiver that is down for a day.
const MOST: usize = 1024;

pub(super) struct Queue {
    waiting: Mutex<VecDeque<Delivery>>,
    /// Whether one is being tried, and not among those that wait.
    trying: AtomicBool,
    /// Whether an event was pushed out since it was told.
    overflowed: AtomicBool,
    news: Notify,
    metrics: Arc<HookMetrics>,
}

impl Queue {
    pub(super) fn new(metrics: Arc<HookMetrics>) -> Arc<Self> {
        let (waiting, news) = (Mutex::default(), Notify::new());
        let (trying, overflowed) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { waiting, trying, overflowed, news, metrics })
    }

    /// A new event, to be tried at once. The oldest makes room, one that only says that a secret was added before all others.
    pub(super) fn push(&self, event: &Event) {
        let random = || getrandom::u64().unwrap_or_default();
        let id = event.id().unwrap_or_else(|| format!("msg_{:016x}{:016x}", random(), random()));
        self.put(Delivery { id, event: event.clone(), failures: 0, due: event.at });
        self.news.notify_one();
    }

    fn put(&self, delivery: Delivery) {
        let mut waiting = self.waiting();
        // The oldest first: one that was tried goes back to its place.
        let place = waiting.partition_point(|other| other.event.at <= delivery.event.at);
        waiting.insert(place, delivery);
        if waiting.len() > MOST {
            let is_least = |delivery: &Delivery| delivery.event.what.kind() == Kind::SecretAdded;
            let least = waiting.iter().position(is_least).unwrap_or(0);
            waiting.remove(least);
            self.metrics.dropped.inc();
            self.overflowed.store(true, Relaxed);
        }
    }

    /// The one that is due first, if that is now; else when it will be, if any waits.
    pub(super) fn take(&self, now: Timestamp) -> Result<Delivery, Option<Timestamp>> {
        let mut waiting = self.waiting();
        let next = waiting.iter().enumerate().min_by_key(|(_, delivery)| delivery.due);
        let (at, due) = next.map(|(at, delivery)| (at, delivery.due)).ok_or(None)?;
        if due > now {
            return Err(Some(due));
        }
        self.trying.store(true, Relaxed);
        waiting.remove(at).ok_or(None)
    }

    /// One that failed waits for its next time.
    pub(super) fn put_back(&self, delivery: Delivery) {
        self.trying.store(false, Relaxed);
        self.put(delivery);
    }

    /// One that was taken needs no more tries.
    pub(super) fn is_done(&self) {
        self.trying.store(false, Relaxed);
    }

    /// Waits for an event.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether one waits that was never tried.
    pub(super) fn has_untried(&self) -> bool {
        self.waiting().iter().any(|delivery| delivery.failures == 0)
    }

    /// Whether fewer wait than half of what may.
    pub(super) fn is_half_empty(&self) -> bool {
        self.waiting().len() < MOST / 2
    }

    /// Whether events were pushed out since this was asked last.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed.swap(false, Relaxed)
    }

    /// Nobody will deliver what is left; how many that are.
    pub(super) fn abandon(&self) -> usize {
        let mut waiting = self.waiting();
        let left = waiting.len() + usize::from(self.trying.load(Relaxed));
        waiting.clear();
        self.metrics.dropped.inc_by(left as u64);
        left
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, ClientKey, SecretId};
    use crate::event::webhook::What;
    use crate::metrics::Metrics;

    fn event(millis: u64) -> Event {
        let client = ClientKey::from(ClientId::parse("c").unwrap());
        let secret = SecretId::parse("s").unwrap();
        Event::of(Timestamp::from_millis(millis), client, secret, What::Added(None))
    }

    #[test]
    fn new_secrets_push_out_each_other_before_anything_else() {
        let metrics = Metrics::new(&[]).unwrap().hooks.clone();
        let queue = Queue::new(metrics.clone());
        let revoked = What::Revoked { removed: false, reason: None };
        queue.push(&Event { what: revoked.clone(), ..event(1) });
        for millis in 0..2 * MOST as u64 {
            queue.push(&event(10 + millis));
        }
        let next = || queue.take(Timestamp::MAX).ok().unwrap().event;
        assert_eq!((next().what, next().at), (revoked, Timestamp::from_millis(11 + MOST as u64)));
        assert_eq!(metrics.dropped.get(), MOST as u64 + 1);
    }

    #[test]
    fn the_one_that_is_due_first_is_tried_and_the_oldest_makes_room() {
        let metrics = Metrics::new(&[]).unwrap().hooks.clone();
        let queue = Queue::new(metrics.clone());
        let at = Timestamp::from_millis;
        assert!(matches!(queue.take(at(5)), Err(None)));
        queue.push(&event(1));
        queue.push(&event(2));
        let mut first = queue.take(at(5)).ok().unwrap();
        assert_eq!(first.event.at, at(1));
        first.failures = 1;
        first.due = at(100);
        queue.put_back(first);
        assert_eq!(queue.take(at(5)).ok().unwrap().event.at, at(2));
        assert!(matches!(queue.take(at(99)), Err(Some(due)) if due == at(100)) && !queue.has_untried());
        for millis in 0..MOST as u64 {
            queue.push(&event(10 + millis));
        }
        assert!(queue.overflowed() && !queue.overflowed());
        assert_eq!(metrics.dropped.get(), 1);
        let next = queue.take(at(10)).ok().unwrap();
        assert_eq!((next.event.at, next.failures), (at(10), 0), "the one that had failed was the oldest");
        assert_eq!(queue.abandon(), MOST, "with the one that is being tried");
    }
}
