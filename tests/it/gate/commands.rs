//! The commands by TCP, in the clear on this machine and through TLS: they do what they do over the socket.

use std::fs;

use crate::support::http::{Method, token_post};
use crate::support::process::{Ran, relatch};
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::upstream::Upstream;

use super::{ADMIN, READER, address, gated};

/// Runs a command against a running instance from a folder where there is no configuration.
struct Far<'s> {
    sidecar: &'s Sidecar,
    server: String,
    dir: tempfile::TempDir,
}

impl<'s> Far<'s> {
    fn from(sidecar: &'s Sidecar, scheme: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        fs::write(dir.path().join("admin.token"), format!("{ADMIN}\n")).unwrap();
        fs::write(dir.path().join("reader.token"), READER).unwrap();
        fs::write(dir.path().join("wrong.token"), "rlt_wrong").unwrap();
        Self { server: format!("{scheme}://{}", address(sidecar)), sidecar, dir }
    }

    #[track_caller]
    fn run(&self, token: &str, arguments: &[&str]) -> Ran {
        let way = ["--server", &self.server, "--token-file", token];
        let ran = relatch(self.dir.path(), &[&way, arguments].concat());
        for token in [ADMIN, READER] {
            assert!(!ran.err.contains(token) && !ran.out.contains(token), "{ran:?}");
        }
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        ran
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run("admin.token", arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.out
    }

    #[track_caller]
    fn refused(&self, token: &str, code: i32, arguments: &[&str], words: &[&str]) {
        let ran = self.run(token, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{arguments:?}: {ran:?}");
        words.iter().for_each(|word| assert!(ran.err.contains(word), "{arguments:?}: no {word:?} in {}", ran.err));
    }

    /// A client's life, from its first secret to a revocation that the rules refuse.
    #[track_caller]
    fn goes_round(&self, extra: &[&str]) {
        let with = |arguments: &[&'static str]| -> Vec<String> {
            arguments.iter().chain(extra).map(|&argument| argument.to_owned()).collect()
        };
        let done =
            |arguments: &[&'static str]| self.done(&with(arguments).iter().map(String::as_str).collect::<Vec<_>>());
        let proxy = self.sidecar.proxy();
        let first = done(&["client", "add", "new", "-q"]).trim_end().to_owned();
        assert_eq!(token_post(proxy, Method::Basic, "new", &first).status, 200);
        let second = done(&["rotate", "new", "-q"]).trim_end().to_owned();
        assert_ne!(first, second);
        assert_eq!(token_post(proxy, Method::Basic, "new", &second).status, 200);
        let list: serde_json::Value = serde_json::from_str(&done(&["secret", "list", "new", "-o", "json"])).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
        assert_eq!(list[1]["use_count"], 1, "{list}");
        let id = list[1]["id"].as_str().unwrap();
        let revoke: Vec<&str> = ["secret", "revoke", "new", id].into_iter().chain(extra.iter().copied()).collect();
        self.refused("admin.token", 3, &revoke, &["was used just now", "Nothing was changed"]);
        assert_eq!(token_post(proxy, Method::Basic, "new", &first).status, 200);
        assert!(done(&["status"]).contains("running, started"));
        assert!(done(&["client", "list"]).contains("new"));
        done(&["reload"]);
        let missing: Vec<&str> = ["client", "show", "nobody"].into_iter().chain(extra.iter().copied()).collect();
        self.refused("admin.token", 4, &missing, &["nobody"]);
    }
}

#[test]
fn commands_by_tcp_do_what_they_do_over_the_socket() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let far = Far::from(&sidecar, "http");
    far.goes_round(&[]);

    far.refused(
        "wrong.token",
        1,
        &["client", "list"],
        &["the token is missing, not known", "--token-file", "relatch token add"],
    );
    far.refused("reader.token", 1, &["rotate", "c1"], &["lacks the scope update:client_keys", "Nothing was changed"]);
    assert_eq!(far.run("reader.token", &["client", "list"]).code, Some(0));
    far.refused("nowhere.token", 2, &["status"], &["--token-file", "does not exist"]);
    let bare = relatch(far.dir.path(), &["--server", &far.server, "status"]);
    assert!(bare.code == Some(2) && bare.err.contains("--token-file"), "{bare:?}");
    for (server, code, word) in [
        ("http://192.0.2.1:9465", 2, "in the clear"),
        ("127.0.0.1:9465", 2, "expected https://HOST:PORT"),
        ("http://127.0.0.1:1", 1, "no instance answers"),
        ("unix:nowhere.sock", 1, "no instance answers"),
        (&far.server.replace("http", "https"), 1, "no TLS with"),
    ] {
        let ran = relatch(far.dir.path(), &["--server", server, "--token-file", "admin.token", "status"]);
        assert!(ran.code == Some(code) && ran.err.contains(word), "{server}: {ran:?}");
    }
    let pasted =
        relatch(far.dir.path(), &["--token-file", "rlt_Zk3Vt0QpLx8RfYh2NsW5mDc7GjBa4TuE9oKiXq1PwHz0vBV6i", "status"]);
    assert_ne!(pasted.code, Some(0));
    sidecar.finish(&upstream);
}

#[test]
fn commands_go_through_tls_to_who_a_known_root_vouches_for() {
    let upstream = Upstream::start();
    let (ca, stranger) = (Ca::new(), Ca::new());
    let pair = ca.issue(&["127.0.0.1", "localhost"]);
    let sidecar = gated()
        .file("tls.crt", &pair.cert)
        .file("tls.key", &pair.key)
        .config("admin.tls = { cert = \"@DIR@/tls.crt\", key = \"@DIR@/tls.key\" }")
        .upstream(&upstream)
        .start();
    let far = Far::from(&sidecar, "https");
    fs::write(far.dir.path().join("ca.pem"), ca.pem()).unwrap();
    fs::write(far.dir.path().join("stranger.pem"), stranger.pem()).unwrap();
    far.goes_round(&["--ca", "ca.pem"]);
    for ca in [&["--ca", "stranger.pem"][..], &[]] {
        far.refused("admin.token", 1, &[&["status"], ca].concat(), &["no TLS with", "--ca", "Nothing was changed"]);
    }
    far.refused("admin.token", 2, &["status", "--ca", "nowhere.pem"], &["--ca"]);
    let clear = relatch(
        far.dir.path(),
        &["--server", &far.server.replace("https", "http"), "--token-file", "admin.token", "status"],
    );
    assert_eq!(clear.code, Some(1), "{clear:?}");

    let link = [("link", "admin")];
    let expires = "relatch_tls_certificate_expiration_timestamp_seconds";
    let before = sidecar.wait_metric(expires, &link, |value| value > 0.0);
    let renewed = stranger.issue_until(&["127.0.0.1"], 2080);
    fs::write(sidecar.dir().join("tls.key"), renewed.key).unwrap();
    fs::write(sidecar.dir().join("tls.crt"), renewed.cert).unwrap();
    sidecar.wait_metric(expires, &link, |value| value < before);
    far.done(&["status", "--ca", "stranger.pem"]);
    far.refused("admin.token", 1, &["status", "--ca", "ca.pem"], &["no TLS with"]);
    sidecar.finish(&upstream);
}

#[test]
fn an_instance_that_the_configuration_names_by_address_is_found_and_not_gone_round() {
    let upstream = Upstream::start();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sidecar = gated().config(&format!("admin.listen = \"127.0.0.1:{port}\"")).upstream(&upstream).start();
    fs::write(sidecar.dir().join("admin.token"), ADMIN).unwrap();
    let with = relatch(sidecar.dir(), &["status", "--token-file", "admin.token"]);
    assert!(with.code == Some(0) && with.out.contains("running, started"), "{with:?}");
    let without = relatch(sidecar.dir(), &["rotate", "c1"]);
    assert!(
        without.code == Some(2) && without.err.contains("--token-file"),
        "the files are not changed behind it: {without:?}"
    );
    fs::remove_file(sidecar.dir().join("admin.token")).unwrap();
    sidecar.finish(&upstream);
}
