//! What takes its time is done aside: whoever asks for a page or for anything else meanwhile is not held up by it.

use super::answer::Fault;
use super::ground::{Ground, Hands};
use super::wish::{Made, SecretWish};
use crate::domain::clock::Timestamp;

impl Ground {
    /// Does it on a thread of its own, and waits for it.
    pub(super) async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        match &self.hands {
            Hands::Instance(_) => tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| Fault::failed("the change broke off; the list is as it was, or changed whole".to_owned())),
            // A command has nothing else to do meanwhile.
            Hands::Files(_) => Ok(work()),
        }
    }

    /// Makes the secret that is wished, or takes the one that was given: a weak one gets a slow hash.
    pub(super) async fn make(&self, wish: &SecretWish, now: Timestamp) -> Result<Made, Fault> {
        if wish.client_secret.is_none() {
            return wish.make(now);
        }
        let wish = wish.clone();
        self.aside(move || wish.make(now)).await?
    }
}
