//! Connections from callers: accepted on one thread, served on the data-plane threads, watched by a fixed set of timers.

pub mod accept;
pub mod body;
pub mod conn;
pub mod deadline;
pub mod entry;
pub mod http1;
mod http2;
pub mod listener;
pub mod service;
pub mod socket;
pub mod stream;
pub mod unix;
mod watched;
pub mod wire;
pub mod worker;
