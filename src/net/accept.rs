//! Listening: connections are accepted on one thread and handed to the data-plane thread with the fewest requests in
//! flight, so that a few long-lived ones do not pile up on one core.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, watch};

use super::listener::{Arrived, Listener};
use crate::metrics::Metrics;

/// After an error such as "too many open files": long enough not to spin, short enough not to be felt.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Connections that are being turned away at once, and how long each may take to go.
const MOST_TURNED_AWAY: usize = 64;
const PATIENCE: Duration = Duration::from_millis(500);

/// What the acceptor knows of a data-plane thread.
#[derive(Clone)]
pub struct Lane {
    /// Takes connections. Their number is bounded by `max_connections`.
    pub connections: UnboundedSender<Arrived>,
    /// What the thread is busy with.
    pub load: Arc<Load>,
}

/// How busy a data-plane thread is.
#[derive(Default)]
pub struct Load {
    /// Requests in flight.
    pub requests: AtomicUsize,
    /// Open connections.
    pub connections: AtomicUsize,
}

/// What a listener goes by.
pub struct Rules {
    /// Open connections, over all listeners.
    pub most: usize,
    /// Whether callers begin with a TLS handshake: who is turned away then is told nothing.
    pub tls: bool,
}

/// Accepts until told to stop; then takes what has already connected, and closes the listener.
pub async fn accept(
    listener: Listener,
    lanes: Vec<Lane>,
    rules: Rules,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = listener.watch()?;
    let turned_away = Arc::new(Semaphore::new(if rules.tls { 0 } else { MOST_TURNED_AWAY }));
    let most = rules.most;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(arrived) => hand_over(arrived, &lanes, most, &metrics, &turned_away),
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
    let listener = listener.into_std()?;
    while let Ok(arrived) = listener.accept() {
        hand_over(arrived, &lanes, most, &metrics, &turned_away);
    }
    Ok(())
}

/// An error that says nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn hand_over(arrived: Arrived, lanes: &[Lane], most: usize, metrics: &Metrics, turned_away: &Arc<Semaphore>) {
    let open: usize = lanes.iter().map(|lane| lane.load.connections.load(Relaxed)).sum();
    let quietest =
        lanes.iter().min_by_key(|lane| (lane.load.requests.load(Relaxed), lane.load.connections.load(Relaxed)));
    let Some(lane) = quietest.filter(|_| open < most) else {
        metrics.connections_refused.inc();
        return turn_away(arrived, turned_away);
    };
    lane.load.connections.fetch_add(1, Relaxed);
    if lane.connections.send(arrived).is_err() {
        lane.load.connections.fetch_sub(1, Relaxed);
    }
}

/// Answers 503 without reading, and stays a moment so that unread bytes do not reset the connection under the answer. A
/// flood is not given that moment, nor is who would have to shake hands first.
fn turn_away(arrived: Arrived, turned_away: &Arc<Semaphore>) {
    let Ok(place) = turned_away.clone().try_acquire_owned() else { return };
    let body = r#"{"error":"temporarily_unavailable"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         pragma: no-cache\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::task::spawn_local(async move {
        let Ok((mut stream, _)) = arrived.open() else { return };
        let saying = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            let mut unread = [0u8; 4096];
            while stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        let _as_far_as_it_goes = tokio::time::timeout(PATIENCE, saying).await;
        drop(place);
    });
}
