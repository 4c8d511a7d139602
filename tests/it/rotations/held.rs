//! Every secret that was ever made, and when it was given out, began to leave and
//! was gone, seen from outside.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use crate::support::http::{Method, token_request};

/// One secret.
pub(crate) struct Secret {
    pub(crate) client: String,
    pub(super) id: String,
    pub(crate) value: String,
    /// The request that presents it, by each method.
    pub(super) requests: [Vec<u8>; 2],
    started: Instant,
    leaving: AtomicU64,
    gone: AtomicU64,
    accepted: AtomicU64,
}

/// Not yet.
const NEVER: u64 = u64::MAX;

/// What the answer to a question must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Must {
    Pass,
    Fail,
    /// It was on its way while the secret was being revoked.
    Either,
}

impl Secret {
    fn new(client: &str, id: &str, value: &str, started: Instant) -> Arc<Self> {
        Arc::new(Self {
            client: client.to_owned(),
            id: id.to_owned(),
            value: value.to_owned(),
            requests: [Method::Basic, Method::Post].map(|method| token_request(method, client, value, "")),
            started,
            leaving: AtomicU64::new(NEVER),
            gone: AtomicU64::new(NEVER),
            accepted: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap()
    }

    /// Its revocation is about to be asked for.
    pub(super) fn leaves(&self) {
        self.leaving.store(self.now(), Ordering::SeqCst);
    }

    /// Its revocation was answered.
    pub(super) fn is_gone(&self) {
        self.gone.store(self.now(), Ordering::SeqCst);
    }

    /// Whether it was revoked.
    pub(super) fn went(&self) -> bool {
        self.gone.load(Ordering::SeqCst) != NEVER
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst) != NEVER
    }

    /// How often it was accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Asks with it, and judges: the status, and what it had to be.
    pub(super) fn judged<T>(&self, ask: impl FnOnce() -> T, passed: impl Fn(&T) -> bool) -> (T, Must) {
        let gone = self.went();
        let answer = ask();
        // A secret that is not leaving now was not while the question was on its way.
        let must = match (gone, self.is_leaving()) {
            (true, _) => Must::Fail,
            (false, false) => Must::Pass,
            (false, true) => Must::Either,
        };
        if passed(&answer) {
            self.accepted.fetch_add(1, Ordering::SeqCst);
        }
        (answer, must)
    }
}

/// All of them, by client, in the order they were made.
pub(crate) struct Book {
    started: Instant,
    names: Vec<String>,
    held: BTreeMap<String, RwLock<Vec<Arc<Secret>>>>,
}

impl Book {
    /// So many clients, each with a first secret.
    pub(super) fn new(clients: usize) -> Self {
        let started = Instant::now();
        let names: Vec<String> = (0..clients).map(|number| format!("worker-{number}")).collect();
        let first = |name: &String| Secret::new(name, "first", &format!("first-canary-{name}-7Hq2mZ"), started);
        let held = names.iter().map(|name| (name.clone(), RwLock::new(vec![first(name)]))).collect();
        Self { started, names, held }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// A secret was made and is in force.
    pub(super) fn give(&self, client: &str, id: &str, value: &str) {
        let mut held = self.held[client].write().unwrap();
        assert!(held.iter().all(|secret| secret.id != id && secret.value != value), "{client}: {id} was there already");
        held.push(Secret::new(client, id, value, self.started));
    }

    /// Every secret that is accepted beside a newer one.
    pub(super) fn old(&self) -> Vec<Arc<Secret>> {
        let old = |held: &RwLock<Vec<Arc<Secret>>>| {
            let held = held.read().unwrap();
            let (_, older) = held.split_last().unwrap();
            older.iter().filter(|secret| !secret.is_leaving()).cloned().collect::<Vec<_>>()
        };
        self.held.values().flat_map(old).collect()
    }

    pub(super) fn secrets(&self) -> Vec<Arc<Secret>> {
        self.held.values().flat_map(|held| held.read().unwrap().clone()).collect()
    }

    /// One to ask with: mostly the newest, often the one before while it works, now and then a dead one.
    pub(super) fn pick(&self, dice: u64) -> Arc<Secret> {
        let name = &self.names[usize::try_from(dice >> 32).unwrap() % self.names.len()];
        let held = self.held[name].read().unwrap();
        let newest = held.len() - 1;
        let at = match dice % 16 {
            0 => usize::try_from(dice >> 8 & 0xffff).unwrap() % held.len(),
            1..7 if newest > 0 && !held[newest - 1].is_leaving() => newest - 1,
            _ => newest,
        };
        Arc::clone(&held[at])
    }
}
