//! Black-box tests: the real binary, real sockets, nothing of the library.
//!
//! Every test starts `relatch run` as an operator would, puts a recording token
//! server behind it, speaks raw bytes to the front and reads what came out at
//! the back, on stderr and in the metrics. `support` holds those hands; `doors`
//! has a test for each main promise, named after it; `corpus` sends the requests
//! kept as data in `tests/corpus`; `mutants` bends good requests at random;
//! `harness` tests the hands themselves.
//!
//! No runtime and no mocks: blocking sockets and threads, each wait with a
//! deadline, so that a failing test says what it waited for instead of hanging.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop where it stands, and its deadlines need a clock"
)]

mod api;
mod audit;
mod cli;
mod commands;
mod compatible;
mod corpus;
mod doors;
mod egress;
mod fallback;
mod gate;
mod harness;
mod hooks;
mod house;
mod http2;
mod import;
mod kill;
mod metadata;
mod mutants;
mod once;
mod page;
mod peers;
mod pieces;
mod provider;
mod readme;
mod reload;
mod rotations;
mod scrapes;
mod secured;
mod shutdown;
mod slow;
mod sockets;
mod storm;
mod support;
mod tenants;
mod upstream;
mod usage;
