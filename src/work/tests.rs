//! The pool with jobs that block on command.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::admission::{Provers, admit};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::source::Source;
use crate::throttle::Throttle;

/// Client and secret.
type Began = (String, u32);

/// Says that it runs, then waits to be let go.
struct Held {
    client: ClientKey,
    secret: u32,
    began: mpsc::Sender<(String, u32)>,
    gate: Gate,
}

/// How many may still go, and the news of it.
type Gate = Arc<(Mutex<usize>, Condvar)>;

impl Job for Held {
    type Outcome = u32;

    fn client(&self) -> &ClientKey {
        &self.client
    }

    fn is_like(&self, other: &Self) -> bool {
        self.client == other.client && self.secret == other.secret
    }

    fn run(self: &Arc<Self>) -> u32 {
        self.began.send((self.client.to_string(), self.secret)).unwrap();
        let (open, changed) = &*self.gate;
        let mut open = changed.wait_while(open.lock().unwrap(), |open| *open == 0).unwrap();
        *open -= 1;
        drop(open);
        assert_ne!(self.secret, 13, "this one panics");
        self.secret
    }
}

struct Stage {
    pool: Pool<Held>,
    began: (mpsc::Sender<Began>, mpsc::Receiver<Began>),
    gate: Gate,
}

impl Stage {
    fn with(threads: usize) -> Self {
        let pool = Pool::start(threads).unwrap();
        Self { pool, began: mpsc::channel(), gate: Arc::default() }
    }

    fn ask(&self, source: u8, client: &str, secret: u32) -> Result<oneshot::Receiver<u32>, Full> {
        let throttle = Throttle::new(10, Duration::from_secs(60), 4);
        let from = Source::Address(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, source)));
        let client = ClientKey::from(ClientId::parse(client).unwrap());
        let admission = admit(&throttle, &Provers::default(), client.borrowed(), from, Timestamp::MIN).unwrap();
        let (began, gate) = (self.began.0.clone(), self.gate.clone());
        self.pool.submit(&admission, &Arc::new(Held { client, secret, began, gate }))
    }

    fn began(&self) -> (String, u32) {
        self.began.1.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn release(&self, count: usize) {
        *self.gate.0.lock().unwrap() += count;
        self.gate.1.notify_all();
    }
}

#[test]
fn who_asks_the_same_waits_for_the_same_computation() {
    let stage = Stage::with(2);
    let answers: Vec<_> =
        (0..500).map(|source| stage.ask(u8::try_from(source % 250).unwrap(), "a", 1).unwrap()).collect();
    stage.release(1);
    assert!(answers.into_iter().all(|answer| answer.blocking_recv() == Ok(1)));
    assert_eq!(stage.began(), ("a".to_owned(), 1));
    assert!(stage.began.1.try_recv().is_err(), "computed once");
}

#[test]
fn a_client_has_one_computation_at_a_time_and_others_go_on() {
    let stage = Stage::with(2);
    let first = stage.ask(1, "a", 1).unwrap();
    assert_eq!(stage.began(), ("a".to_owned(), 1));
    let second = stage.ask(1, "a", 2).unwrap();
    let other = stage.ask(1, "b", 3).unwrap();
    assert_eq!(stage.began(), ("b".to_owned(), 3), "before a's second, which came first");
    assert!(stage.began.1.try_recv().is_err());
    stage.release(3);
    assert_eq!((first.blocking_recv(), second.blocking_recv(), other.blocking_recv()), (Ok(1), Ok(2), Ok(3)));
}

#[test]
fn nobody_fills_the_queue_for_all() {
    let stage = Stage::with(1);
    let mut kept = Vec::new();
    let mut asked = |source, client: &str, secret| stage.ask(source, client, secret).map(|answer| kept.push(answer));
    let of_pair = (0..100).filter(|secret| asked(1, "a", *secret).is_ok()).count();
    assert_eq!(of_pair, MOST_OF_PAIR);
    assert!(asked(2, "a", 1000).is_ok(), "the owner's other source");
    let of_source = (0..100).filter(|client| asked(1, &format!("c{client}"), 1).is_ok()).count();
    assert_eq!(of_source, MOST_OF_SOURCE - MOST_OF_PAIR);
    let others = (0..100).filter(|n| asked(3 + u8::try_from(*n).unwrap(), &format!("d{n}"), 1).is_ok()).count();
    assert_eq!(others, MOST - MOST_OF_SOURCE - 1);
    drop(kept);
    stage.release(1000);
}

#[test]
fn what_nobody_waits_for_is_not_computed() {
    let stage = Stage::with(1);
    let first = stage.ask(1, "a", 1).unwrap();
    stage.began();
    drop(stage.ask(1, "b", 2).unwrap());
    let last = stage.ask(1, "c", 3).unwrap();
    stage.release(2);
    assert_eq!((first.blocking_recv(), last.blocking_recv()), (Ok(1), Ok(3)));
    assert_eq!(stage.began(), ("c".to_owned(), 3));
}

#[test]
fn a_computation_that_panics_is_no_answer_and_ends_no_thread() {
    let stage = Stage::with(1);
    let unlucky = stage.ask(1, "a", 13).unwrap();
    stage.release(2);
    assert!(unlucky.blocking_recv().is_err());
    assert_eq!(stage.ask(1, "a", 1).unwrap().blocking_recv(), Ok(1));
}
