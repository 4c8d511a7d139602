//! Last use: what is told of a secret over restarts, kills, reloads and whatever becomes of the state file, read from
//! the scrape, the log and the file itself.

mod ahead;
mod damage;
mod dead;
mod fleet;
mod kept;
mod restart;
mod sightings;

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::http::{Method, Wire, token_post, token_request};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;

use kept::Kept;

/// A place for a state file that outlives the instances which write it.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("relatch.state")
    }

    /// A guard that keeps its state here.
    fn guard(&self, list: &str) -> Setup {
        let path = self.path();
        // One data-plane thread tells things in their order.
        let config = format!("proxy.workers = 1\nstate.path = {:?}", path.to_str().unwrap());
        Sidecar::guard().clients_text(list).config(&config)
    }

    /// What stands in the file now.
    #[track_caller]
    fn kept(&self) -> Kept {
        Kept::read(&self.path())
    }
}

/// A list of one client, `c1`, with these secrets: id, value, more keys.
fn list(secrets: &[(&str, &str, &str)]) -> String {
    let record = |(id, secret, rest): &(&str, &str, &str)| {
        format!("[[client.secret]]\nid = \"{id}\"\nhash = \"@SHA256({secret})@\"\n{rest}\n")
    };
    let records: String = secrets.iter().map(record).collect();
    format!("[[client]]\nid = \"c1\"\nmax_active_secrets = 8\n{records}")
}

#[track_caller]
fn ask(sidecar: &Sidecar, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, "c1", secret).status
}

/// Asks with more header lines.
#[track_caller]
fn ask_with(sidecar: &Sidecar, secret: &str, headers: &[u8]) -> u16 {
    let request = token_request(Method::Basic, "c1", secret, "");
    let line_end = request.iter().position(|b| *b == b'\n').unwrap() + 1;
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&[&request[..line_end], headers, &request[line_end..]].concat());
    wire.read_reply(false, PATIENCE).reply().status
}

/// Last use, beginning and uses of a secret of `c1`, as the scrape has them.
#[track_caller]
fn told(sidecar: &Sidecar, secret: &str) -> (f64, f64, f64) {
    let value = |family: &str| {
        let name = format!("relatch_client_secret_{family}");
        sidecar.metric(&name, &[("client_id", "c1"), ("secret_id", secret)]).unwrap()
    };
    (value("last_used_timestamp_seconds"), value("tracking_since_timestamp_seconds"), value("uses_total"))
}

#[track_caller]
fn stop(mut sidecar: Sidecar) {
    sidecar.signal(Signal::TERM);
    let status = sidecar.wait_exit(PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}
