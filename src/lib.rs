//! relatch: rotate OAuth client secrets without closing the door.
//!
//! # The house
//! Five floors. A file imports from floors below its own, and from its own floor only where [the map](#the-map) says so;
//! `tests/it/house.rs` holds the code against both.
//!
//! | floor | rooms |
//! |---|---|
//! | 4 | [`app`] (the only wiring), `main` |
//! | 3 | [`proxy`] (one token request), [`telemetry`] (the door for Prometheus), [`admin`] (the doors for commands and for browsers), [`cli`] (the verbs), [`demo`] |
//! | 2 | [`audit`] who changed what · [`hooks`] who is told of it · [`net`] accept, connections, deadlines · [`tls`] certificates, read again as they change · [`upstream`] pool, exchange · [`reload`] triggers · [`source`] lists in files, read and written · [`usage`] last use over restarts · [`fleet`] and over instances · [`log`] · [`metrics`] · [`work`] slow hashes · [`priority`] how much of the machine they and others take · [`management`] the API of a provider |
//! | 1 | [`config`] · [`head`] · [`extract`] · [`hash`] · [`registry`] the list in force · [`verify`] · [`lifecycle`] the rules of the rotation · [`throttle`] · [`admission`] · [`preamble`] the PROXY protocol · [`frames`] of HTTP/2 · [`message`] of HTTP/1.1 · [`forwarded`] · [`rewrite`] · [`attempt`] · [`metadata`] of the authorization server · [`provider`] another secret at the far end · [`event`] what is told to others |
//! | 0 | [`domain`] ids, secrets, sources, OAuth words, clock |
//!
//! Floors 0 and 1 are pure and synchronous: no runtime, no sockets, no files, no clock; `now` is an argument.
//!
//! # The main path
//! `accept -> read -> extract -> snapshot -> verify -> settle -> record use -> rewrite -> send -> respond`, told by
//! [`proxy::Proxy`]. Only [`verify::verify`] makes a [`verify::Verified`], and only [`rewrite::rewrite`] makes a
//! [`rewrite::Outbound`], for which it asks a proof: a wrong order does not compile. What passes unproven has a leave of its
//! own, [`verify::Carried`] or [`verify::entrusted::Entrusted`].
//!
//! # The map
//! Sideways on floor 1: `config -> hash`, `extract -> config`, `registry -> attempt, config, extract, hash`,
//! `verify -> config, extract, hash, registry`, `admission -> throttle`, `lifecycle -> config, registry`,
//! `rewrite -> config, extract, forwarded, head, message, registry, verify`, `head -> message`, `forwarded -> message`, `provider -> attempt, hash`, `metadata -> config`,
//! `event -> config, registry`.
//! On floor 2: `net -> metrics, tls`, `upstream -> log, metrics, net, tls`, `reload -> source, log, metrics`,
//! `usage -> log`, `fleet -> metrics, tls`, `management -> tls`, `audit -> log, metrics`, `hooks -> log, management, metrics, source`, `work -> priority`.
//! On floor 3: `telemetry -> proxy`, `cli -> admin, demo`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod admin;
pub mod admission;
pub mod app;
pub mod attempt;
pub mod audit;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod event;
pub mod extract;
pub mod fleet;
pub mod forwarded;
pub mod frames;
pub mod hash;
pub mod head;
pub mod hooks;
pub mod lifecycle;
pub mod log;
pub mod management;
pub mod message;
pub mod metadata;
pub mod metrics;
pub mod net;
pub mod preamble;
pub mod priority;
pub mod provider;
pub mod proxy;
pub mod registry;
pub mod reload;
pub mod rewrite;
pub mod source;
pub mod telemetry;
pub mod throttle;
pub mod tls;
pub mod upstream;
pub mod usage;
pub mod verify;
pub mod work;
