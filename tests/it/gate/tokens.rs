//! Tokens while the instance runs: added, revoked, damaged.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::PATIENCE;
use crate::support::poll;
use crate::support::process::{Ran, relatch};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

use super::{ADMIN, address, ask, entry, gated, gated_with};

#[track_caller]
fn token(sidecar: &Sidecar, arguments: &[&str]) -> Ran {
    let ran = relatch(sidecar.dir(), &[&["token"], arguments].concat());
    assert!(!ran.err.contains("rlt_") && !ran.err.contains("panicked"), "{ran:?}");
    ran
}

fn status(sidecar: &Sidecar, token: &str) -> u16 {
    ask(address(sidecar), token, "GET", "/api/v1/status", "").status
}

#[test]
fn a_token_works_from_when_it_is_made_until_it_is_revoked() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard()
        .client("c1", &["first-s3cr3t-of-c1"])
        .config("admin.listen = \"127.0.0.1:0\"\nthrottle.failures = 1000")
        .upstream(&upstream)
        .start();
    let file = sidecar.dir().join("admin-tokens.toml");
    assert!(sidecar.log().contains("holds no token"), "an instance that lets nobody in says so");
    assert_eq!(status(&sidecar, "rlt_nobody"), 401);

    let made = token(&sidecar, &["add", "ci", "--scope", "read:clients", "--scope", "update:client_keys", "-q"]);
    let ci = made.out.trim_end().to_owned();
    assert_eq!((made.code, ci.len(), made.err.as_str()), (Some(0), 53, ""), "{made:?}");
    assert_eq!(status(&sidecar, &ci), 200);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let made = token(&sidecar, &["add", "ops", "--scope", "admin", "--expires-in", "90d", "-o", "json"]);
    let made: serde_json::Value = serde_json::from_str(&made.out).unwrap();
    let ops = made["token"].as_str().unwrap();
    assert!(made["expires"].as_str() > made["created"].as_str(), "{made}");
    assert_eq!((status(&sidecar, &ci), status(&sidecar, ops)), (200, 200));

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&ci) && !text.contains(ops), "only hashes are kept");
    std::fs::write(&file, format!("# Ours.\n\n{text}# The end.\n")).unwrap();
    let again = token(&sidecar, &["add", "ci", "--scope", "admin"]);
    assert_eq!((again.code, again.out.as_str()), (Some(3), ""), "{again:?}");
    for (arguments, code) in [
        (&["revoke", "nobody"][..], 4),
        (&["add", "a b", "--scope", "admin"], 2),
        (&["add", "x"], 2),
        (&["add", "x", "--scope", "everything"], 2),
        (&["add", "x", "--scope", "admin", "--expires-in", "soon"], 2),
        (&["list", "--server", "http://127.0.0.1:1"], 2),
    ] {
        assert_eq!(token(&sidecar, arguments).code, Some(code), "{arguments:?}");
    }
    let listed = token(&sidecar, &["list"]).out;
    assert!(listed.contains("ci    read:clients update:client_keys") && listed.contains("ops   admin"), "{listed}");
    assert!(!listed.contains("rlt_") && !listed.contains("$sha256$"), "{listed}");

    assert_eq!(token(&sidecar, &["revoke", "ci"]).code, Some(0));
    assert_eq!((status(&sidecar, &ci), status(&sidecar, ops)), (401, 200), "from the next request");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# Ours.\n\n[[token]]\nname = \"ops\"") && text.ends_with("# The end.\n"), "{text}");
    assert!(!sidecar.log().contains("rlt_"), "{}", sidecar.log());
    sidecar.finish(&upstream);
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_last_good_tokens() {
    let upstream = Upstream::start();
    let sidecar = gated().config("throttle.failures = 1000").upstream(&upstream).start();
    let file = sidecar.dir().join("admin-tokens.toml");
    assert!(sidecar.log().contains("holds a secret and can be read by everybody"), "an open mode is told");
    let good = std::fs::read_to_string(&file).unwrap();
    for bad in
        ["[[token]]\nname = \"half", "tokens = []\n", "[[token]]\nname = \"admin\"\nhash = \"canary-of-a-hash\"\n"]
    {
        std::fs::write(&file, bad).unwrap();
        assert_eq!(status(&sidecar, ADMIN), 200, "{bad}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(status(&sidecar, ADMIN), 200);
    let told = sidecar.wait_log(|line| line["msg"] == "the admin tokens cannot be used");
    assert_eq!(told["level"], "error");
    assert!(!sidecar.log().contains("canary-of-a-hash"));
    std::fs::write(&file, good.replace("\"admin\"\nhash", "\"renamed\"\nhash")).unwrap();
    sidecar.wait_log(|line| line["msg"] == "admin tokens are in force");
    assert_eq!(status(&sidecar, ADMIN), 200);
    // As an editor or a mount does it, and with nobody asking meanwhile.
    std::fs::write(&file, "").unwrap();
    let seen = |log: &Sidecar| log.log_lines().iter().filter(|l| l["msg"] == "admin tokens are in force").count();
    assert!(poll(PATIENCE, || (seen(&sidecar) == 2).then_some(())).is_some(), "{}", sidecar.log());
    assert_eq!(status(&sidecar, ADMIN), 401, "an empty file is a good one");
    sidecar.finish(&upstream);
}

#[test]
fn a_start_and_a_check_tell_what_is_wrong_with_the_tokens() {
    let broken = gated_with("[[token]]\nname = \"x\"\nhash = \"canary\"\nscopes = [\"all\"]\n").try_start();
    let log = broken.err().expect("no instance without its tokens").log;
    assert!(log.contains("token[0].hash") && log.contains("token[0].scopes") && !log.contains("canary"), "{log}");
    let open = gated().config("admin.listen = \"0.0.0.0:0\"").try_start();
    let log = open.err().expect("no instance in the clear").log;
    assert!(log.contains("admin.listen") && log.contains("[admin.tls]") && log.contains("insecure = true"), "{log}");
    let upstream = Upstream::start();
    let meant = gated().config("admin.listen = \"0.0.0.0:0\"\nadmin.insecure = true").upstream(&upstream).start();
    let port = address(&meant).port();
    assert_eq!(ask(([127, 0, 0, 1], port).into(), ADMIN, "GET", "/api/v1/status", "").status, 200);
    meant.finish(&upstream);
}

#[test]
fn a_repeated_rotation_is_answered_the_same_to_its_own_token_alone() {
    let upstream = Upstream::start();
    let other = "rlt_other-of-the-test-0123456789";
    let tokens = entry("a", ADMIN, "\"admin\"", "") + &entry("b", other, "[\"update:client_keys\"]", "");
    let sidecar = gated_with(&tokens).canary(ADMIN).canary(other).upstream(&upstream).start();
    let at = address(&sidecar);
    let rotate = |token: &str| {
        let reply = ask(at, token, "POST", "/api/v1/clients/c1/rotate", "{}");
        (reply.status, reply.json()["client_secret"].as_str().map(str::to_owned))
    };
    let (status, first) = rotate(ADMIN);
    assert!(status == 200 && first.is_some());
    assert_eq!(rotate(ADMIN), (200, first.clone()), "a retry");
    assert_eq!(rotate(other), (409, None), "another token is another wish, and the limit stands against it");
    // A token of the same name is not the same token.
    let swapped = entry("a", other, "\"admin\"", "");
    let digest = crate::support::bytes::sha256_record(other.as_bytes());
    let swapped = swapped.replace(&format!("@SHA256({other})@"), &digest);
    std::fs::write(sidecar.dir().join("admin-tokens.toml"), swapped).unwrap();
    assert_eq!(rotate(other), (409, None));
    sidecar.finish(&upstream);
}
