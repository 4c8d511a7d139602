//! Callers, relatch, ears, server: in a row.

use super::caller::Endpoints;
use super::server::{Kind, Server};
use super::tap::Tap;
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::toml_text::quote;
use crate::support::upstream::Seen;
use crate::support::{PATIENCE, bytes, leak, poll};

/// The paths of token, introspection and revocation on relatch, none of them the server's.
pub(super) const PATHS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

/// relatch in front of a real server, with ears on the link between them.
pub(super) struct Line {
    /// The server behind.
    pub(super) server: Server,
    /// What hears the requests that go to it.
    pub(super) tap: Tap,
    /// relatch.
    pub(super) relatch: Sidecar,
}

impl Line {
    /// Starts a server and relatch before it. `describe` says what is special about this relatch.
    #[track_caller]
    pub(super) fn start(kind: Kind, describe: impl FnOnce(Setup) -> Setup) -> Self {
        let server = Server::start(kind);
        let tap = Tap::on(server.address());
        let endpoint = |(path, upstream): (&str, &str)| {
            format!("[[endpoint]]\npath = {}\nupstream_path = {}\n", quote(path), quote(upstream))
        };
        let endpoints: String = PATHS.into_iter().zip(server.paths()).map(endpoint).collect();
        let setup = Sidecar::guard()
            .config(&endpoints)
            // Wrong secrets are asked for on purpose, and many: their 401 must not become a 429.
            .config("throttle.failures = 100000")
            .upstream_url(&tap.url());
        let relatch = describe(setup).start();
        Self { server, tap, relatch }
    }

    /// Where callers ask.
    pub(super) fn endpoints(&self) -> Endpoints {
        Endpoints::at(self.relatch.proxy(), PATHS)
    }

    /// Puts a new list in the place of the old one and waits until it is in force. No signal: relatch sees it by itself.
    #[track_caller]
    pub(super) fn rewrite(&self, list: &str) {
        let generation = |line: &Self| line.relatch.metric("relatch_config_generation", &[]).unwrap();
        let before = generation(self);
        self.relatch.write_clients(list);
        // Twice, because the look at intervals that stands in for a lost file event comes after ten seconds.
        let taken_up = poll(PATIENCE * 2, || (generation(self) > before).then_some(()));
        assert!(taken_up.is_some(), "the new list was not taken up:\n{}", self.relatch.log());
    }

    /// Ends the test: what went to the server was written by a careful sender, none of `withheld` was in it, and no
    /// secret shows in the log, the metrics or a file.
    #[track_caller]
    pub(super) fn finish(self, withheld: &[String]) {
        let mut broken = leak::silence(&self.relatch);
        for seen in self.tap.seen() {
            let faults = leak::sender(&seen, self.relatch.extra_headers()).into_iter();
            let spilt = leak::spills("a request to the server", &plain(&seen), withheld);
            broken.extend(faults.chain(spilt).map(|fault| format!("{fault}, in {}", bytes::escape(&seen.raw))));
        }
        assert!(broken.is_empty(), "broken promises:\n  {}", broken.join("\n  "));
    }
}

/// A request, and once more with its credentials and its form decoded, so that no encoding hides what is in it.
fn plain(seen: &Seen) -> Vec<u8> {
    let pairs = seen.form().into_iter().chain(seen.basic()).chain(seen.basic_decoded());
    let texts = pairs.flat_map(|(name, value)| [name, value]);
    texts.fold(seen.raw.clone(), |mut all, text| {
        all.push(b'\n');
        all.extend(text.into_bytes());
        all
    })
}
