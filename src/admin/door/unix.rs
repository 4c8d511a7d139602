//! The unix socket, mode 0600: who can open it is our own user or root, and needs no token.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::{BACK_OFF, MOST, PATIENCE};
use crate::admin::caller::Caller;
use crate::admin::ground::Ground;
use crate::admin::routes::router;
use crate::net::unix::{self, Name};

/// A request is small: names and times. One that rotates every client names them all.
const MOST_BODY: usize = 1 << 20;

/// Listens on a unix socket that only our own user can open.
pub fn bind(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, Name)> {
    unix::bind(path, 0o600)
}

/// Serves until told to stop. More commands than at once may be wait in the backlog.
pub async fn serve(listener: UnixListener, ground: Arc<Ground>, mut stop: watch::Receiver<bool>) {
    let counting = ground.clone();
    let counted = map_response(move |response: Response| {
        counting.count(response.status());
        std::future::ready(response)
    });
    let routes = router(ground).layer(DefaultBodyLimit::max(MOST_BODY)).layer(counted);
    let room = Arc::new(Semaphore::new(MOST));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(BACK_OFF).await;
            continue;
        };
        let (Ok(place), Some(caller)) = (room.clone().acquire_owned().await, trusted(&stream)) else { continue };
        let routes: Router = routes.clone().layer(Extension(caller));
        tokio::task::spawn_local(async move {
            let mut http = http1::Builder::new();
            let service = TowerToHyperService::new(routes);
            let connection = http
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            let _a_command_went_away = connection.await;
            drop(place);
        });
    }
}

/// Our own user and root are let in, whatever the mode of the socket has become.
fn trusted(stream: &UnixStream) -> Option<Caller> {
    let user = stream.peer_cred().ok()?.uid();
    (user == 0 || user == rustix::process::geteuid().as_raw()).then_some(Caller::User(user))
}
