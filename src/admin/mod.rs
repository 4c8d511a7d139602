//! The admin door: a unix socket of mode 0600 by which the commands reach a running instance. The routes stand on a
//! [`ground::Ground`], which is the instance or, for a command that finds none, its files: one code for both.

pub mod answer;
mod change;
pub mod ground;
mod input;
mod named;
pub mod object;
mod repeat;
pub mod rotate;
pub mod routes;
mod status;
pub mod wish;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use self::ground::Ground;
use self::routes::{Caller, router};
use crate::net::unix::{self, Name};

/// A command sends its request at once; one that does not is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commands at once; more wait in the backlog.
const MOST: usize = 32;
/// How often what waits in memory only is looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// Listens on a unix socket that only our own user can open.
pub fn bind(path: &Path) -> io::Result<(UnixListener, Name)> {
    let (listener, name) = unix::bind(path, 0o600)?;
    Ok((UnixListener::from_std(listener)?, name))
}

/// Serves until told to stop.
pub async fn serve(listener: UnixListener, ground: Arc<Ground>, mut stop: watch::Receiver<bool>) {
    let routes = router(ground.clone());
    let room = Arc::new(tokio::sync::Semaphore::new(MOST));
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = sweep.tick() => {
                ground.repeats.sweep(ground.clock.now());
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
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
    (user == 0 || user == rustix::process::geteuid().as_raw()).then_some(Caller(user))
}
