//! The upstream's side of the proxy: what connects it to token servers, and what it makes of their faults.

mod faults;
mod frames;
mod http2;
mod scripted;
mod several;
mod storm;
mod tls;

use crate::support::http::form_post;
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::tls::{Ca, server};
use scripted::{Protocol, Scripted};

const SECRET: &str = "right-s3cr3t";

/// A scripted upstream, and a guard in front of it that is yet to be started.
fn scripted(protocol: Protocol) -> (Scripted, Setup) {
    let ca = Ca::new();
    let alpn = if protocol.is_h2() { "h2" } else { "http/1.1" };
    let tls = protocol.is_tls().then(|| server(&ca.issue(&["localhost"]), &[], &[alpn]));
    let upstream = Scripted::start(protocol, tls);
    // One data-plane thread has one pool, so that a test knows which connection is used.
    let mut setup = Sidecar::guard()
        .client("c1", &[SECRET])
        .config("proxy.workers = 1")
        .config(&format!("upstream.http2 = {}", protocol.is_h2()))
        .upstream_url(&upstream.url());
    if protocol.is_tls() {
        setup = setup.file("ca.pem", ca.pem()).config("upstream.tls.ca = \"ca.pem\"");
    }
    (upstream, setup)
}

/// A token request that can be told from all others.
fn request(id: &str) -> Vec<u8> {
    form_post("/token", id, &format!("grant_type=client_credentials&client_id=c1&client_secret={SECRET}&id={id}"))
}
