//! relatch: rotate OAuth client secrets without closing the door.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]
pub mod app;
pub mod attempt;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod extract;
pub mod forwarded;
pub mod hash;
pub mod head;
pub mod log;
pub mod metrics;
pub mod net;
pub mod proxy;
pub mod registry;
pub mod reload;
pub mod rewrite;
pub mod source;
pub mod telemetry;
pub mod throttle;
pub mod upstream;
pub mod verify;
