//! Certificates: ours, which change while callers come and go, and those that callers show.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;

use super::{ask, connect, guard};
use crate::support::bytes::base64;
use crate::support::frames::Streams;
use crate::support::http::{Method, Wire, token_request};
use crate::support::process::relatch;
use crate::support::sidecar::Sidecar;
use crate::support::tls::{Ca, Pair};
use crate::support::tunnel::{self, Tunnel, caller};
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, Raises, poll};

/// Puts a file in its place as renewal programs do.
fn put(sidecar: &Sidecar, name: &str, text: &str) {
    let fresh = sidecar.dir().join(format!("{name}.new"));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, sidecar.dir().join(name)).unwrap();
}

fn put_pair(sidecar: &Sidecar, pair: &Pair) {
    put(sidecar, "tls.crt", &pair.cert);
    put(sidecar, "tls.key", &pair.key);
}

/// The certificate that a new connection is shown, once a request over it was answered.
fn shown(sidecar: &Sidecar, ca: &Ca) -> Vec<u8> {
    let mut stream = connect(sidecar.proxy(), caller(ca, None, &["http/1.1"]));
    assert_eq!(ask(&mut stream), Ok(200));
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn last_reload(sidecar: &Sidecar, good: f64) {
    sidecar.wait_metric("relatch_tls_last_reload_successful", &[("link", "proxy")], |value| value == good);
}

#[test]
fn f_a_bad_pair_is_told_and_the_one_before_stays_in_use() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    let first = shown(&sidecar, &ca);
    let (next, expired) = (ca.issue(&[tunnel::NAME]), ca.issue_until(&[tunnel::NAME], 2021));
    last_reload(&sidecar, 1.0);
    for (what, cert, key) in [
        ("a certificate without its key", next.cert.as_str(), None),
        ("half a certificate", &next.cert[..next.cert.len() / 2], Some(next.key.as_str())),
        ("an expired one", &expired.cert, Some(&expired.key)),
        ("nothing", "", Some("")),
    ] {
        put(&sidecar, "tls.crt", cert);
        if let Some(key) = key {
            put(&sidecar, "tls.key", key);
        }
        last_reload(&sidecar, 0.0);
        assert_eq!(shown(&sidecar, &ca), first, "{what}");
        let told = sidecar.wait_log(|line| line["msg"] == "a certificate cannot be used");
        assert_eq!((&told["link"], &told["level"]), (&"proxy".into(), &"error".into()));
    }
    put_pair(&sidecar, &next);
    last_reload(&sidecar, 1.0);
    assert_ne!(shown(&sidecar, &ca), first);
    sidecar.finish(&upstream);
}

#[test]
fn a_certificate_is_renewed_under_load_and_no_request_fails() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    let (ended, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let mut stream = connect(sidecar.proxy(), caller(&ca, None, &["http/1.1"]));
                    assert_eq!(ask(&mut stream), Ok(200));
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ended = Raises(&ended);
        let mut before = shown(&sidecar, &ca);
        for _ in 0..5 {
            put_pair(&sidecar, &ca.issue(&[tunnel::NAME]));
            let renewed = poll(PATIENCE, || Some(shown(&sidecar, &ca)).filter(|now| *now != before));
            before = renewed.expect("the new certificate is not in use");
        }
        drop(ended);
    });
    assert!(asked.into_inner() > 20);
    sidecar.finish(&upstream);
}

#[test]
fn a_certificate_that_is_about_to_end_is_told_at_the_start() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let expired = ca.issue_until(&[tunnel::NAME], 2021);
    // Serving with it is better than not serving: whoever does not look at it goes on.
    let sidecar = guard(&ca).file("tls.crt", &expired.cert).file("tls.key", &expired.key).upstream(&upstream).start();
    let told = sidecar.wait_log(|line| line["msg"] == "a certificate has expired");
    assert_eq!(told["expires"], "2021-01-01T00:00:00.000Z");
}

#[test]
fn a_private_key_that_others_can_read_is_told_before_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, pair) = (tempfile::tempdir().unwrap(), Ca::new().issue(&[tunnel::NAME]));
    let put = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let links = ["proxy", "telemetry", "upstream", "upstreams.b"];
    let tls = links.map(|link| format!("[{link}.tls]\ncert = \"tls.crt\"\nkey = \"{link}.key\"\n"));
    let urls = "[upstream]\nurl = \"https://a.test\"\n[upstreams.b]\nurl = \"https://b.test\"\n\
                [[endpoint]]\npath = \"/a\"\n[[endpoint]]\npath = \"/b\"\nupstream = \"b\"\n";
    put("relatch.toml", &format!("[clients]\npath = \"clients.toml\"\n{urls}{}", tls.concat()), 0o644);
    put("clients.toml", "", 0o600);
    put("tls.crt", &pair.cert, 0o644);
    for (mode, told) in [(0o600, None), (0o640, None), (0o604, Some("chmod o-r")), (0o660, Some("chmod go-w"))] {
        for link in links {
            put(&format!("{link}.key"), &pair.key, mode);
        }
        let ran = relatch(dir.path(), &["config", "check"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        for link in links {
            let line = ran.err.lines().find(|line| line.contains(&format!("{link}.key: ")));
            assert_eq!(line.is_some(), told.is_some(), "{mode:o}: {}", ran.err);
            assert!(line.is_none_or(|line| line.contains(told.unwrap_or_default())), "{mode:o}: {}", ran.err);
        }
    }
}

const CLIENT_CA: &str = "[proxy.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\nclient_ca = \"ca.crt\"\n";

/// A request that brings certificates of its own making.
fn forged(request_id: &str) -> Vec<u8> {
    let request = String::from_utf8(token_request(Method::Basic, "c1", "good-secret", request_id)).unwrap();
    let forged = "Client-Cert: :Zm9yZ2Vk:\r\nclient_cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\n\
                  X-Forwarded-Client-Cert: Hash=forged\r\n";
    request.replacen("\r\n", &format!("\r\n{forged}"), 1).into_bytes()
}

#[test]
fn callers_show_a_certificate_and_the_upstream_gets_it_and_never_one_that_they_wrote() {
    let (upstream, ca, callers, others) = (Upstream::start(), Ca::new(), Ca::new(), Ca::new());
    let own = callers.issue(&["c1.test"]);
    let guard = || guard(&ca).config(CLIENT_CA).file("ca.crt", callers.pem()).upstream(&upstream);
    let strict = guard().start();
    for (what, pair) in [
        ("none", None),
        ("another's", Some(others.issue(&["c1.test"]))),
        ("expired", Some(callers.issue_until(&["c1.test"], 2021))),
    ] {
        let mut stream = connect(strict.proxy(), caller(&ca, pair.as_ref(), &["http/1.1"]));
        assert!(ask(&mut stream).is_err(), "{what}");
    }
    assert_eq!(upstream.since(0).len(), 0);

    let pem = rustls_pki_types::pem::PemObject::from_pem_slice(own.cert.as_bytes());
    let der: rustls_pki_types::CertificateDer<'static> = pem.unwrap();
    let header = format!(":{}:", base64(&der));
    let lenient = guard().config("[proxy.tls]\nclient_cert = \"optional\"\n").start();
    // A trusted proxy's own is nobody's; it says whose came to it.
    let behind = guard().config("[proxy]\ntrusted_proxies = [\"127.0.0.1\"]\n").start();
    for (sidecar, pair, told) in [
        (&strict, Some(&own), vec![header.as_str()]),
        (&lenient, Some(&own), vec![&header]),
        (&lenient, None, vec![]),
        (&behind, Some(&own), vec![":Zm9yZ2Vk:"]),
    ] {
        let seen = upstream.since(0).len();
        let tunnel = Tunnel::to(sidecar.proxy(), caller(&ca, pair, &["http/1.1"]));
        let mut wire = Wire::connect(tunnel.entrance());
        for _ in 0..2 {
            wire.send(&forged("of-1"));
            assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
        }
        let tunnel = Tunnel::to(sidecar.proxy(), caller(&ca, pair, &["h2"]));
        let mut streams = Streams::connect(tunnel.entrance());
        let request = crate::support::frames::translated(&forged("of-2")).unwrap();
        let body = Full::new(Bytes::from_static(b"grant_type=client_credentials"));
        let again = http::Request::from_parts(request.clone().into_parts().0, body);
        assert_eq!(streams.ask(request, PATIENCE).unwrap().status, 200);
        assert_eq!(streams.ask(again, PATIENCE).unwrap().status, 200);
        let arrived = upstream.since(seen);
        assert_eq!(arrived.len(), 4);
        for one in arrived {
            assert_eq!(one.all("client-cert"), told);
            assert!(!String::from_utf8_lossy(&one.raw).contains("orged"), "{one:?}");
            assert_eq!(one.all("x-forwarded-proto"), ["https"]);
        }
    }
}
