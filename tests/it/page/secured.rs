//! The page over TLS, from the link to the logout.

use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::tunnel::{self, Tunnel, caller};
use crate::support::upstream::Upstream;

use super::changes::ask;
use super::{Browser, address, borrowed, code, form, paged, shown, text};

/// A browser that reaches a page by TLS, and the way there.
#[track_caller]
fn secured(sidecar: &Sidecar, ca: &Ca) -> (Browser, Tunnel) {
    let at = address(sidecar);
    let tunnel = Tunnel::to(at, caller(ca, None, &["http/1.1"]));
    (Browser { origin: format!("https://{at}"), ..Browser::stranger(tunnel.entrance()) }, tunnel)
}

#[test]
fn the_page_over_tls_has_a_cookie_of_its_own_and_takes_no_form_from_without() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let pair = ca.issue(&[tunnel::NAME]);
    let setup = paged().file("tls.crt", &pair.cert).file("tls.key", &pair.key);
    let admin = "admin.tls = { cert = \"@DIR@/tls.crt\", key = \"@DIR@/tls.key\" }";
    let sidecar = setup.config(admin).upstream(&upstream).start();
    let (stranger, _tunnel) = secured(&sidecar, &ca);
    let port = address(&sidecar).port();
    assert_eq!(stranger.get("/").status, 401);

    // Who comes without TLS is none of ours, though the name is right.
    let login = form(&[("code", &code(&sidecar))]);
    let without = format!("Origin: http://127.0.0.1:{port}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(stranger.send("POST", "/login", &without, &login).status, 403);
    let ours = format!("Origin: https://127.0.0.1:{port}\r\n");
    let reply = stranger.send("POST", "/login", &ours, &login);
    assert_eq!(reply.status, 303);
    let set = reply.header("set-cookie").unwrap();
    let (name, rest) = set.split_once('=').unwrap();
    let (id, flags) = rest.split_once("; ").unwrap();
    // What a browser asks of that name: Secure, the whole host, and no Domain.
    assert_eq!(name, format!("__Host-relatch-{port}"));
    assert_eq!(flags, "HttpOnly; SameSite=Strict; Path=/; Secure");
    let planted = Browser { cookie: format!("relatch-{port}={id}"), ..stranger.clone() };
    assert_eq!(planted.get("/").status, 401, "a cookie that anybody may set without TLS");

    // A rotation goes its way.
    let browser = stranger.logged_in(&sidecar);
    assert_eq!(ask(&sidecar, "c2", "only-s3cr3t-of-c2"), 200);
    let secret = shown(&text(&browser.post("/client/generate", &borrowed(&browser.generate_form("c2")))));
    assert_eq!(ask(&sidecar, "c2", &secret), 200);
    let question = browser.question("revoke", "c2", "c2_1");
    let fields = form(&[&borrowed(&question)[..], &[("typed", "c2")]].concat());
    assert_eq!(browser.send("POST", "/client/revoke", &without, &fields).status, 403);
    assert_eq!(ask(&sidecar, "c2", "only-s3cr3t-of-c2"), 200);
    assert_eq!(browser.answer("revoke", &question, &[("typed", "c2")]).0, 303);
    assert_eq!((ask(&sidecar, "c2", "only-s3cr3t-of-c2"), ask(&sidecar, "c2", &secret)), (401, 200));

    let out = browser.post("/logout", &[("csrf", &browser.csrf())]);
    let gone = format!("__Host-relatch-{port}=; Max-Age=0; HttpOnly; SameSite=Strict; Path=/; Secure");
    assert_eq!((out.status, out.header("set-cookie")), (200, Some(&*gone)));
    assert_eq!(browser.get("/").status, 401);
    sidecar.finish(&upstream);
}
