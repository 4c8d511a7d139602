//! A real token server, which knows one secret for each of its clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::caller::Endpoints;
use super::process::Peer;
use crate::support::tls::Pair;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// npm oidc-provider. Form-decodes Basic, strictly.
    OidcProvider,
    /// Authlib on Flask. Percent-decodes Basic leniently and leaves `+` as it is.
    Authlib,
}

/// A running server.
pub(super) struct Server {
    peer: Mutex<Peer>,
    address: SocketAddr,
    /// Paths of token, introspection and revocation.
    paths: [String; 3],
}

impl Server {
    /// Starts one of its own, with no clients.
    #[track_caller]
    pub(super) fn start(kind: Kind) -> Self {
        let peer = Peer::start(match kind {
            Kind::OidcProvider => "servers/oidc-provider.mjs",
            Kind::Authlib => "servers/authlib_server.py",
        });
        let address = peer.ready("url").strip_prefix("http://").unwrap().parse().unwrap();
        let paths = ["token", "introspection", "revocation"].map(|name| peer.ready(name).to_owned());
        Self { peer: Mutex::new(peer), address, paths }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The paths of its token, introspection and revocation endpoints.
    pub(super) fn paths(&self) -> [&str; 3] {
        self.paths.each_ref().map(String::as_str)
    }

    /// Where its clients ask with nothing between.
    pub(super) fn endpoints(&self) -> Endpoints {
        Endpoints::at(self.address, self.paths())
    }

    /// Adds a client, or replaces its one secret: from now on the one before is wrong.
    #[track_caller]
    pub(super) fn client(&self, id: &str, secret: &str) {
        self.tell(&json!({"cmd": "client", "client_id": id, "client_secret": secret}));
    }

    /// The same, with tokens that live this many seconds.
    #[track_caller]
    pub(super) fn client_with_ttl(&self, id: &str, secret: &str, ttl: u32) {
        self.tell(&json!({"cmd": "client", "client_id": id, "client_secret": secret, "ttl": ttl}));
    }

    /// A refresh token, as after a login.
    #[track_caller]
    pub(super) fn refresh_token(&self, id: &str) -> String {
        let told = self.tell(&json!({"cmd": "refresh_token", "client_id": id}));
        told["refresh_token"].as_str().unwrap().to_owned()
    }

    /// Has it answer over TLS too; the port.
    #[track_caller]
    pub(super) fn secure(&self, pair: &Pair) -> u64 {
        let told = self.tell(&json!({"cmd": "secure", "cert": pair.cert, "key": pair.key}));
        told["port"].as_u64().unwrap()
    }

    /// How many answers it gave on the token endpoint, by status.
    #[track_caller]
    pub(super) fn token_answers(&self) -> BTreeMap<String, u64> {
        let told = self.tell(&json!({"cmd": "stats"}));
        let counts = told["stats"][&self.paths[0]].as_object().cloned().unwrap_or_default();
        counts.into_iter().map(|(status, count)| (status, count.as_u64().unwrap())).collect()
    }

    #[track_caller]
    fn tell(&self, line: &Value) -> Value {
        let told = self.peer.lock().unwrap().ask(line);
        assert_eq!(told["ok"], true, "{line}: {told}");
        told
    }
}
