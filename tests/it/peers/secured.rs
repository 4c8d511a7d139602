//! A real token server over TLS, by either protocol, while its client's secret is changed under it.

use super::caller::{Caller, Credentials, Endpoints, METHODS, Wish};
use super::server::{Kind, Server};
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;

const PATHS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

#[test]
#[ignore = "needs node and curl: make test"]
fn oidc_provider_gives_tokens_over_tls_by_either_protocol_and_a_rotation_there_fails_no_request() {
    let (server, ca) = (Server::start(Kind::OidcProvider), Ca::new());
    let port = server.secure(&ca.issue(&["localhost"]));
    let paths = PATHS.into_iter().zip(server.paths());
    let endpoints: String = paths
        .map(|(path, upstream)| format!("[[endpoint]]\npath = \"{path}\"\nupstream_path = \"{upstream}\"\n"))
        .collect();
    for http2 in [false, true] {
        server.client("c1", "the-first-at-the-server");
        let relatch = Sidecar::guard()
            .client("c1", &["good-secret"])
            .replaced_by(&["the-second-at-the-server", "the-first-at-the-server"])
            .file("ca.pem", ca.pem())
            .config(&endpoints)
            .config(&format!("upstream.tls.ca = \"ca.pem\"\nupstream.http2 = {http2}"))
            .upstream_url(&format!("https://localhost:{port}"))
            .start();
        let at = Endpoints::at(relatch.proxy(), PATHS);
        for secret in ["the-first-at-the-server", "the-second-at-the-server"] {
            server.client("c1", secret);
            for method in METHODS {
                let with = Credentials { id: "c1", secret: "good-secret", method };
                let token = Caller::Curl.ask(&at, with, Wish::Token);
                assert_eq!(token.status, Some(200), "{http2} {method:?} {secret}: {token:?}");
                let token = token.access_token.unwrap();
                let told = Caller::Curl.ask(&at, with, Wish::Introspect(&token));
                assert_eq!((told.status, told.active), (Some(200), Some(true)), "{http2} {method:?}: {told:?}");
                let wrong = Credentials { secret: "wrong", ..with };
                assert_eq!(Caller::Curl.ask(&at, wrong, Wish::Token).status, Some(401));
            }
        }
        assert_eq!(relatch.metric("relatch_upstream_errors_total", &[("kind", "tls")]), Some(0.0));
    }
}
