//! schemathesis at the admin API: requests made from what `/openapi.json` says, good and bad, held against what it promises.

use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use super::process::root;
use crate::gate::{ADMIN, address, gated};
use crate::support::poll;
use crate::support::upstream::Upstream;

/// It takes half a minute on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs schemathesis: make test"]
fn schemathesis_finds_nothing_that_the_description_does_not_say() {
    let upstream = Upstream::start();
    let kept = "[[client]]\nid = \"kept\"\nmax_active_secrets = 8\n[[client.secret]]\nid = \"sec_kept\"\nhash = \"@SHA256(s-of-kept)@\"\n";
    let sidecar = gated().clients_text(kept).config("throttle.failures = 1000000").upstream(&upstream).start();
    let at = address(&sidecar);
    let dir = sidecar.dir();
    fs::create_dir(dir.join("st")).unwrap();
    let said = File::create(dir.join("st/said")).unwrap();
    let program = root().join("target/peers/venv/bin/schemathesis");
    let mut child = Command::new(root().join("target/peers/venv/bin/python"))
        .arg(&program)
        .arg("--config-file")
        .arg(root().join("tests/peers/schemathesis.toml"))
        .args(["run", &format!("http://{at}/openapi.json"), "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {ADMIN}")])
        .current_dir(dir.join("st"))
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap_or_else(|why| panic!("{}: {why}: run tests/peers/install.sh", program.display()));
    let status = poll(PATIENCE, || child.try_wait().ok().flatten());
    if status.is_none() {
        _ = child.kill();
        _ = child.wait();
    }
    let said = fs::read_to_string(dir.join("st/said")).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{said}");
    // All operations were reached, and none was passed over.
    let count = said.lines().find_map(|line| line.trim().strip_prefix("Selected: ")?.split_once('/')).expect(&said);
    assert!(count.0 == count.1 && said.contains(&format!("Tested: {}", count.0)), "{said}");
    drop(sidecar);
}
