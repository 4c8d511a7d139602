//! The hands of the tests: the sidecar under test, the token server behind it,
//! the wire in front of it, and the promises that hold whatever a test does.

#![allow(dead_code, reason = "a toolbox: no single test needs every tool in it")]

pub(crate) mod admin;
pub(crate) mod bytes;
pub(crate) mod caller;
pub(crate) mod console;
pub(crate) mod form;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod leak;
pub(crate) mod metrics;
pub(crate) mod mounted;
pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod quick;
pub(crate) mod raw_frames;
pub(crate) mod setup;
pub(crate) mod sidecar;
pub(crate) mod tls;
pub(crate) mod toml_text;
pub(crate) mod tunnel;
pub(crate) mod upstream;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for something that should happen at once. Generous,
/// because a loaded two-core machine is the place where these tests run.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Raises a flag when it goes, also where the test fails: what runs beside a test must not outlive it.
pub(crate) struct Raises<'f>(pub(crate) &'f AtomicBool);

impl Drop for Raises<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks `probe` again and again until it has an answer or `within` is over.
pub(crate) fn poll<T>(within: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
