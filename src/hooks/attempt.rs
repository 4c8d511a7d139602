//! One try: the keys as they are now, the request, what came of it.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

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
}

/// A disk that hangs is a failure like another.
const FILES: Duration = Duration::from_secs(10);

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

impl Post {
    pub(super) const fn new(hook: Hook, instance: Rc<str>) -> Self {
        Self { hook, instance }
    }

    /// Tries. `now` is the time that is signed: receivers refuse what is minutes old.
    pub(super) async fn send(&self, delivery: &Delivery, now: Timestamp) -> Tried {
        let failed = |why: String| Tried::Failed(why, None);
        let hook = self.hook.clone();
        // Read each time: a key or a root that was changed counts from the next try on.
        let files = tokio::task::spawn_blocking(move || {
            let keys = keys(&hook.secret_file).map_err(|why| format!("{}: {why}", hook.secret_file.display()))?;
            Ok::<_, String>((keys, link(&hook)?))
        });
        let (keys, link) = match tokio::time::timeout(FILES, files).await {
            Ok(Ok(Ok(found))) => found,
            Ok(Ok(Err(why))) => return failed(why),
            Ok(Err(_)) | Err(_) => return failed("the key file cannot be read: the disk does not answer".to_owned()),
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
