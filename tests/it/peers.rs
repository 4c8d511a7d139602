//! Real programs on both sides of relatch: two token servers, five client libraries, curl, the crate `oauth2`, Prometheus.
//!
//! `tests/peers` holds them and says what they are; here stand the promises that they are held against. [`process`] talks
//! to a peer, [`server`] and [`caller`] give the two sides one face each, [`tap`] listens on the link behind relatch, and
//! [`line`] puts them in a row. Everything else is a test: [`rotation`] is what the product is for.
//!
//! They need what `tests/peers/install.sh` installs, so all of them are ignored unless asked for.

mod caller;
mod console;
mod crate_oauth2;
mod curl;
mod grants;
mod identity;
mod line;
mod listener;
mod metadata;
mod nginx;
mod parsers;
mod passing;
mod process;
mod prometheus;
mod rotation;
mod schemathesis;
mod sdks;
mod secrets;
mod secured;
mod server;
mod tap;
mod thousand;
mod upstream_secret;
