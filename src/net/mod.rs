//! Connections from callers: accepted on one thread, served on the data-plane threads, watched by a fixed set of timers.

pub mod accept;
pub mod conn;
pub mod deadline;
pub mod entry;
pub mod listener;
pub mod socket;
pub mod unix;
pub mod worker;
