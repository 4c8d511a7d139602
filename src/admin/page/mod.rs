//! The page: clients, their rotation and their **OAuth secrets** in a browser, by the same rules as every other door.
//! Rendered here, works without scripts, loads nothing from elsewhere.

mod asset;
mod chrome;
mod client;
mod clients;
mod csrf;
mod entry;
mod generate;
mod guest;
mod history;
mod layout;
mod lifecycle;
pub mod login;
mod next;
mod picture;
mod query;
mod secrets;
pub(in crate::admin) mod session;
mod sorry;
mod time;
mod upstream;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use self::history::{History, has_several};
use self::sorry::Sorry;
use self::upstream::{Counted, Watch};
use super::answer::Fault;
use super::gate::Strangers;
use super::ground::{Ground, Hands};
use super::journal;
use crate::domain::clock::Timestamp;
use crate::log::Log;

/// A form is small.
const MOST_BODY: usize = 16 << 10;
/// How often the counters are looked at,
const LOOK: Duration = Duration::from_secs(60);
/// ... more seldom those of the clients,
const LOOK_AT_CLIENTS: Duration = Duration::from_secs(300);
/// ... so many in one go: others wait for this thread.
const AT_ONCE: usize = 1024;

/// The page of an instance.
pub(in crate::admin) struct Page {
    room: Arc<Room>,
    routes: Router,
}

/// What the pages are made of.
struct Room {
    ground: Arc<Ground>,
    strangers: Arc<Strangers>,
    history: Mutex<History>,
    watch: Mutex<Watch>,
    log: Log,
}

/// Whether a path is one of the page's.
pub(in crate::admin) fn is_at(path: &str) -> bool {
    matches!(path, "/" | "/login" | "/logout" | "/client")
        || path.starts_with("/client/")
        || path.starts_with("/assets/")
}

impl Page {
    /// Over a running instance.
    pub(in crate::admin) fn new(ground: Arc<Ground>, strangers: Arc<Strangers>, log: Log) -> Self {
        let room = Arc::new(Room { ground, strangers, history: Mutex::default(), watch: Mutex::default(), log });
        // What the token server answers from now on is seen, however late the first look by the clock is.
        room.look_at_upstream();
        Self { routes: router(room.clone()), room }
    }

    /// Reads off the counters what a page shows of the time before it is asked for.
    pub(in crate::admin) async fn follow(&self) {
        let mut looked: Option<Timestamp> = None;
        loop {
            let now = self.room.ground.clock.now();
            self.room.look_at_upstream();
            if looked.is_none_or(|at| now.since(at) >= LOOK_AT_CLIENTS) {
                self.room.look_at_clients().await;
                looked = Some(now);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn router(room: Arc<Room>) -> Router {
    Router::new()
        .route("/", get(clients::show))
        .route("/client", get(client::show))
        .route("/client/generate", get(generate::confirm).post(generate::generate))
        .route("/client/{verb}", get(lifecycle::confirm).post(lifecycle::change))
        .route("/logout", post(login::close))
        .route("/assets/{name}", get(asset::show))
        .fallback(|| async { Sorry::from(Fault::not_found("there is no such page".to_owned())) })
        .method_not_allowed_fallback(|| async { Sorry::from(Fault::of_method()) })
        .route_layer(from_fn_with_state(room.ground.clone(), journal::keep))
        // Who logs in is told of there: a session that the browser has already has nothing to do with it.
        .route("/login", get(login::show).post(login::open))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .with_state(room)
}

impl Room {
    fn look_at_upstream(&self) {
        if let Hands::Instance(instance) = &self.ground.hands {
            let counted = Counted::of(&instance.metrics);
            self.watch.lock().unwrap_or_else(PoisonError::into_inner).note(self.ground.clock.now(), counted);
        }
    }

    async fn look_at_clients(&self) {
        if let Hands::Instance(instance) = &self.ground.hands {
            (instance.flush)().await;
        }
        let list = self.ground.snapshot.load_full();
        for some in list.clients.chunks(AT_ONCE) {
            {
                let now = self.ground.clock.now();
                let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
                some.iter().filter(|client| has_several(client)).for_each(|client| history.look(client, now));
            }
            tokio::task::yield_now().await;
        }
        self.history.lock().unwrap_or_else(PoisonError::into_inner).keep(&list);
    }
}
