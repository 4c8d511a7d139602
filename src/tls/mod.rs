//! TLS on both sides, with rustls: what is read from files, made into a configuration, and made anew when the files change
//! while connections come and go. Connections that stand keep what they began with.
//!
//! TLS 1.2 and 1.3 with the suites that rustls has; no early data, which could be delivered twice (RFC 8446 section 8).

pub mod client;
pub mod fault;
pub mod hot;
pub mod links;
pub mod material;
pub mod server;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Who computes: the one provider of this house.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The protocol that speaks HTTP/2, as ALPN names it (RFC 9113 section 3.2).
pub const H2: &[u8] = b"h2";
/// The one that speaks HTTP/1.1 (RFC 7301 section 6).
pub const HTTP_11: &[u8] = b"http/1.1";

#[cfg(test)]
mod tests;
