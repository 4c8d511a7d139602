//! One try: the keys as they are now, the request, what came of it.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use tokio::sync::Semaphore;

use super::queue::Delivery;
use crate::config::settings::hooks::Hook;
use crate::domain::clock::Timestamp;
use crate::event::signature::Keys;
use crate::management::base::Base;
use crate::management::link::{Link, Undelivered};
use crate::source::file::read_secret;

/// What came of a try.
#[derive(Debug)]
pub(super) enum Tried {
    /// The receiver has it.
    Delivered,
    /// It may come through later: why it did not, and how long the receiver wants us to wait.
    Failed(String, Option<Duration>),
    /// The receiver says that it wants no more.
    Gone,
}

/// Posts to one receiver.
pub(super) struct Post {
    pub(super) hook: Hook,
    instance: Rc<str>,
    /// One look at files and names at a time: what hangs holds a thread, and others need theirs.
    look: Arc<Semaphore>,
}

/// A disk or a name server that hangs is a failure like another.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);

/// The keys that sign.
pub(super) fn keys(path: &Path) -> Result<Keys, String> {
    let text = read_secret(path)?;
    Keys::parse(&text).map_err(str::to_owned)
}

/// The way to the receiver.
pub(super) fn link(hook: &Hook) -> Result<Link, String> {
    let base = Base::parse(hook.url.origin()).ok_or("is no address that a hook can have")?;
    Link::to(base, hook.ca.as_deref()).map_err(|why| why.to_string())
}

/// Done on a thread that may wait, one at a time: what hangs keeps its turn, and is not followed by another.
async fn in_turn<T: Send + 'static>(turns: &Arc<Semaphore>, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let turn = turns.clone().acquire_owned().await.ok()?;
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.ok()
}

impl Post {
    pub(super) fn new(hook: Hook, instance: Rc<str>) -> Self {
        Self { hook, instance, look: Arc::new(Semaphore::new(1)) }
    }

    /// Tries. `now` is the time that is signed.
    pub(super) async fn send(&self, delivery: &Delivery, now: Timestamp) -> Tried {
        let failed = |why: String| Tried::Failed(why, None);
        let (keys, link) = match tokio::time::timeout(LOOK_PATIENCE, self.look()).await {
            Ok(Some(Ok(found))) => found,
            Ok(Some(Err(why))) => return failed(why),
            Ok(None) | Err(_) => return failed("the disk or the name server does not answer".to_owned()),
        };
        let Some(request) = self.request(delivery, &keys, now) else {
            return failed("the event cannot be written as a request".to_owned());
        };
        match link.send(&self.hook.url.target, request).await {
            Ok(answer) if answer.status.is_success() => Tried::Delivered,
            Ok(answer) if answer.status == StatusCode::GONE => Tried::Gone,
            Ok(answer) => Tried::Failed(answer.status.to_string(), answer.retry_after),
            Err(why @ (Undelivered::Unsent(_) | Undelivered::Lost(_))) => failed(why.to_string()),
        }
    }

    /// The keys and the way. Looked for each time: a key, a root or an address that was changed counts from the next try on.
    async fn look(&self) -> Option<Result<(Keys, Link), String>> {
        let hook = self.hook.clone();
        let look = move || {
            let keys = keys(&hook.secret_file).map_err(|why| format!("{}: {why}", hook.secret_file.display()))?;
            let link = link(&hook)?.resolved().map_err(|error| format!("no connection: {error}"))?;
            Ok((keys, link))
        };
        in_turn(&self.look, look).await
    }

    fn request(&self, delivery: &Delivery, keys: &Keys, now: Timestamp) -> Option<Request<Bytes>> {
        let body = delivery.event.body(&delivery.id, &self.instance);
        let seconds = now.millis() / 1000;
        let signature = keys.sign(&delivery.id, seconds, body.as_bytes());
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("webhook-id", delivery.id.as_str()),
            ("webhook-timestamp", &seconds.to_string()),
            ("webhook-signature", &signature),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
        }
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_hangs_holds_one_thread_and_the_others_have_theirs() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(2).build().unwrap();
        let (end, ended) = channel::<()>();
        let ended = Arc::new(std::sync::Mutex::new(ended));
        let [hung, other] = [(); 2].map(|()| Arc::new(Semaphore::new(1)));
        runtime.block_on(async {
            for _ in 0..3 {
                let ended = ended.clone();
                let hang = in_turn(&hung, move || ended.lock().unwrap().recv().is_ok());
                assert!(tokio::time::timeout(Duration::from_millis(50), hang).await.is_err());
            }
            let done = tokio::time::timeout(Duration::from_secs(10), in_turn(&other, || 7)).await;
            assert_eq!(done, Ok(Some(7)));
            drop(end);
            assert_eq!(in_turn(&hung, || 8).await, Some(8), "its turn comes back when it does");
        });
    }
}
