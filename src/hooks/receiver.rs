//! One receiver and its events: the one that is due first is tried, a failed one waits and is tried again.

use std::sync::Arc;

use tokio::sync::watch;

use super::attempt::{Post, Tried};
use super::queue::{Delivery, Queue};
use crate::domain::clock::{self, Clock, Timestamp};
use crate::event::backoff;
use crate::log::{Field, Log};
use crate::metrics::audit::HookMetrics;

pub(super) struct Receiver {
    post: Post,
    queue: Arc<Queue>,
    clock: Arc<Clock>,
    log: Log,
    metrics: Arc<HookMetrics>,
    stopped: watch::Receiver<bool>,
    /// Whether it was told that it does not take them.
    troubled: bool,
    /// When it wants to be asked again.
    not_before: Timestamp,
}

impl Receiver {
    pub(super) const fn new(
        post: Post,
        queue: Arc<Queue>,
        clock: Arc<Clock>,
        log: Log,
        metrics: Arc<HookMetrics>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { post, queue, clock, log, metrics, stopped, troubled: false, not_before: Timestamp::MIN }
    }

    /// Goes on until told to stop, and then until each has been tried.
    pub(super) async fn run(mut self) {
        loop {
            // Whoever could tell may be gone.
            let stopping = *self.stopped.borrow() || self.stopped.has_changed().is_err();
            if stopping && !self.queue.has_untried() {
                return;
            }
            if self.queue.overflowed() {
                let next = "the oldest events were given up for newer ones: look at the receiver";
                self.log
                    .warn("too many web hooks wait", &[("receiver", &self.post.hook.url.origin()), ("next", &next)]);
            }
            let now = self.clock.now();
            let next = if now < self.not_before { Err(Some(self.not_before)) } else { self.queue.take(now) };
            match next {
                Ok(delivery) => self.attempt(delivery).await,
                Err(due) => {
                    let pause = async {
                        match due {
                            Some(due) => tokio::time::sleep(due.since(now)).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = self.queue.news() => {}
                        () = pause => {}
                        _ = self.stopped.wait_for(|stop| *stop), if !stopping => {}
                    }
                }
            }
        }
    }

    async fn attempt(&mut self, mut delivery: Delivery) {
        // Receivers compare with their clocks: what is minutes off is refused.
        let tried = self.post.send(&delivery, clock::wall()).await;
        let (why, retry_after) = match tried {
            Tried::Delivered => {
                self.metrics.delivered.inc();
                self.queue.is_done();
                if std::mem::take(&mut self.troubled) {
                    self.log.info("web hooks are delivered again", &[("receiver", &self.post.hook.url.origin())]);
                }
                return;
            }
            Tried::Gone => return self.give_up(&delivery, "410 Gone"),
            Tried::Failed(why, retry_after) => (why, retry_after),
        };
        let now = self.clock.now();
        delivery.failures = delivery.failures.saturating_add(1);
        let random = getrandom::u32().unwrap_or_default();
        // It is the receiver that wants to be left alone, and not this delivery.
        self.not_before = now.plus(retry_after.unwrap_or_default().min(backoff::LONGEST));
        let due = now.plus(backoff::pause(delivery.failures, random)).max(self.not_before);
        if due.since(delivery.event.at) > backoff::GIVE_UP {
            return self.give_up(&delivery, &why);
        }
        if !std::mem::replace(&mut self.troubled, true) {
            let (kind, next) = (delivery.event.what.kind().as_str(), "tried again for a day, ever less often");
            let told: [Field<'_>; 4] =
                [("receiver", &self.post.hook.url.origin()), ("event", &kind), ("reason", &why), ("next", &next)];
            self.log.warn("a web hook was not delivered", &told);
        }
        self.metrics.retried.inc();
        delivery.due = due;
        self.queue.put_back(delivery);
    }

    fn give_up(&self, delivery: &Delivery, why: &str) {
        self.metrics.given_up.inc();
        self.queue.is_done();
        let (kind, origin) = (delivery.event.what.kind().as_str(), self.post.hook.url.origin());
        let told: [Field<'_>; 4] = [("receiver", &origin), ("event", &kind), ("id", &delivery.id), ("reason", &why)];
        self.log.warn("a web hook is given up", &told);
    }
}
