//! Who wants to be told is told, by web hooks: signed, tried again for a day, by a thread of its own. Nobody waits for it:
//! what it cannot keep up with pushes out the oldest, and is counted.

mod attempt;
mod queue;
mod receiver;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use self::attempt::Post;
use self::queue::Queue;
use self::receiver::Receiver;
use crate::config::problem::{Place, Problems};
use crate::config::settings::hooks::Hook;
use crate::domain::clock::Clock;
use crate::event::webhook::{Event, Kind};
use crate::log::Log;
use crate::metrics::audit::HookMetrics;
use crate::source::file::check_mode;

/// Where events go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hooks(Arc<[Wanted]>);

/// What one receiver wants, and what waits for it.
#[derive(Clone)]
struct Wanted {
    events: Vec<Kind>,
    queue: Arc<Queue>,
}

/// The thread that delivers; [`Deliverer::finish`] lets it say its last words.
pub struct Deliverer {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What an instance delivers with.
pub struct Start {
    /// Who is told, and of what.
    pub hooks: Vec<Hook>,
    /// What this instance is called.
    pub instance: String,
    /// The time.
    pub clock: Arc<Clock>,
    /// Where trouble is told.
    pub log: Log,
    /// How deliveries end.
    pub metrics: Arc<HookMetrics>,
}

/// How long the end waits for what was never tried.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Finds what is wrong with the files that hooks name.
pub fn check(hooks: &[Hook], problems: &mut Problems) {
    for hook in hooks {
        if let Err(why) = attempt::keys(&hook.secret_file) {
            problems.error(Place::whole(hook.secret_file.display().to_string()), "", why);
        }
        check_mode(&hook.secret_file, true, problems);
        if let Err(why) = attempt::link(hook) {
            problems.error(Place::whole(hook.url.origin().to_owned()), "", why);
        }
    }
}

impl Hooks {
    /// Starts the thread, where anybody wants to be told.
    pub fn start(start: Start) -> io::Result<(Self, Option<Deliverer>)> {
        if start.hooks.is_empty() {
            return Ok((Self::default(), None));
        }
        let told = Self::of(start.hooks.iter().map(|hook| &*hook.events), &start.metrics);
        let queues: Vec<Arc<Queue>> = told.0.iter().map(|wanted| wanted.queue.clone()).collect();
        let (stop, stopped) = watch::channel(false);
        let (failed, started) = channel();
        let thread = std::thread::Builder::new().name("relatch-hooks".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                // For the look of each at its files and its name.
                .max_blocking_threads(queues.len())
                .build_local(tokio::runtime::LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    drop(failed);
                    runtime.block_on(deliver(start, queues, stopped));
                    // A look-up of a name may hang.
                    runtime.shutdown_background();
                }
                Err(error) => drop(failed.send(error)),
            }
        })?;
        match started.recv() {
            Ok(error) => Err(error),
            Err(_) => Ok((told, Some(Deliverer { stop, thread }))),
        }
    }

    /// With a queue for each that wants these events.
    fn of<'e>(wanted: impl Iterator<Item = &'e [Kind]>, metrics: &Arc<HookMetrics>) -> Self {
        let one = |events: &[Kind]| Wanted { events: events.to_vec(), queue: Queue::new(metrics.clone()) };
        Self(wanted.map(one).collect())
    }

    /// The receivers, each alone.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        self.0.iter().map(|wanted| Self([wanted.clone()].into()))
    }

    /// Whether there is room for what can be told later as well. The rest is kept for what cannot.
    pub fn have_room(&self) -> bool {
        self.0.iter().all(|wanted| wanted.queue.is_half_empty())
    }

    /// Whether anybody wants to be told of such events.
    pub fn wants(&self, kind: Kind) -> bool {
        self.0.iter().any(|wanted| wanted.events.contains(&kind))
    }

    /// Tells whoever wants to be told. Never waits.
    pub fn tell(&self, event: &Event) {
        let kind = event.what.kind();
        for wanted in self.0.iter().filter(|wanted| wanted.events.contains(&kind)) {
            wanted.queue.push(event);
        }
    }
}

async fn deliver(start: Start, queues: Vec<Arc<Queue>>, mut stopped: watch::Receiver<bool>) {
    let Start { hooks, instance, clock, log, metrics } = start;
    let instance: Rc<str> = instance.into();
    let lanes: Vec<_> = hooks
        .into_iter()
        .zip(queues.iter())
        .map(|(hook, queue)| {
            let post = Post::new(hook, instance.clone());
            let receiver =
                Receiver::new(post, queue.clone(), clock.clone(), log.clone(), metrics.clone(), stopped.clone());
            tokio::task::spawn_local(receiver.run())
        })
        .collect();
    let _gone = stopped.wait_for(|stop| *stop).await;
    let all = async {
        for lane in lanes {
            let _ended = lane.await;
        }
    };
    let _in_time = tokio::time::timeout(LAST_WORDS, all).await;
    let left: usize = queues.iter().map(|queue| queue.abandon()).sum();
    if left > 0 {
        log.warn("web hooks were not delivered before the end", &[("events", &left)]);
    }
}

impl Deliverer {
    /// Delivers what was never tried and ends the thread; gives up after a while on a receiver that hangs.
    pub fn finish(self) {
        let _ended = self.stop.send(true);
        let (step, mut waited) = (Duration::from_millis(5), Duration::ZERO);
        while !self.thread.is_finished() && waited < LAST_WORDS + Duration::from_secs(1) {
            std::thread::sleep(step);
            waited += step;
        }
    }
}

#[cfg(test)]
impl Hooks {
    /// A receiver that wants these events, and nobody delivers.
    pub(crate) fn undelivered(events: &[Kind]) -> Self {
        Self::of(std::iter::once(events), &crate::metrics::Metrics::new(&[]).unwrap().hooks)
    }

    /// What waits, the oldest first, and waits no more.
    pub(crate) fn taken(&self) -> Vec<Event> {
        let take = || self.0.iter().find_map(|wanted| wanted.queue.take(crate::domain::clock::Timestamp::MAX).ok());
        std::iter::from_fn(take).map(|delivery| delivery.event).collect()
    }
}

#[cfg(test)]
mod tests;
