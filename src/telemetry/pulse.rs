//! Whether the thread that takes connections still runs. Probes are answered by another one, and would not notice.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// A way to ask a thread whether it runs. Cheap to clone.
#[derive(Clone)]
pub struct Pulse(mpsc::Sender<oneshot::Sender<()>>);

/// Questions that may wait: one from each connection of the door.
const WAITING: usize = super::MOST;
/// A thread that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(5);

impl Pulse {
    /// Of the thread that this is called on, by a task of its own among the others there.
    pub fn of_this_thread() -> Self {
        let (asks, mut asked) = mpsc::channel::<oneshot::Sender<()>>(WAITING);
        tokio::task::spawn_local(async move {
            while let Some(answer) = asked.recv().await {
                let _gave_up = answer.send(());
            }
        });
        Self(asks)
    }

    /// Whether the thread answers.
    pub(super) async fn beats(&self) -> bool {
        self.beats_within(PATIENCE).await
    }

    async fn beats_within(&self, patience: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        // Where all places are taken, nobody was answered for a while.
        self.0.try_send(answer).is_ok() && tokio::time::timeout(patience, answered).await.is_ok_and(|said| said.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::task::LocalSet;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_thread_that_hangs_or_has_ended_has_no_pulse() {
        let (tell, told) = channel();
        let (hang, hangs) = channel::<()>();
        let (done, was_done) = channel();
        let other = std::thread::spawn(move || {
            LocalSet::new().block_on(&runtime(), async {
                tell.send(Pulse::of_this_thread()).unwrap();
                // As long as it waits for something, it answers.
                tokio::time::sleep(Duration::from_millis(300)).await;
                done.send(()).unwrap();
                let _until_the_other_end_is_dropped = hangs.recv();
            });
        });
        let pulse: Pulse = told.recv().unwrap();
        let beats = |patience: u64| runtime().block_on(pulse.beats_within(Duration::from_millis(patience)));
        assert!(beats(30_000));
        was_done.recv().unwrap();
        assert!(!beats(100), "it hangs");
        drop(hang);
        other.join().unwrap();
        assert!(!beats(30_000), "it has ended");
    }
}
