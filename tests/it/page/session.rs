//! In and out: links that work once, sessions that end.

use crate::support::process::relatch;
use crate::support::upstream::Upstream;

use super::{Browser, address, code, hidden, paged, text};

#[test]
fn a_link_is_looked_at_freely_and_opens_one_session() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let mut browser = Browser::stranger(address(&sidecar));
    assert_eq!(browser.get("/").status, 401);
    let code = code(&sidecar);
    let link = format!("/login?code={code}");
    for _ in 0..3 {
        // By whoever unfurls it in a chat, and by a person who comes from there.
        assert_eq!(browser.send("HEAD", &link, "", "").status, 200);
        assert_eq!(browser.send("GET", &link, "", "").status, 200);
        let navigation = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
        let page = browser.send("GET", &link, navigation, "");
        assert_eq!((page.status, page.header("set-cookie"), hidden(&text(&page), "code")), (200, None, code.clone()));
    }
    let reply = browser.post("/login", &[("code", &code)]);
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
    browser.take_cookie(&reply);
    assert_eq!(browser.get("/").status, 200);

    // Again it opens nothing, neither for who was first nor for who comes late.
    for late in [browser.clone(), Browser::stranger(browser.at)] {
        let again = late.post("/login", &[("code", &code)]);
        assert_eq!((again.status, again.header("set-cookie")), (401, None));
        assert_eq!(late.send("GET", &link, "", "").status, 401);
    }
    for wrong in ["", "x", &code[1..], &format!("{code}x"), &code.to_uppercase()] {
        let reply = browser.post("/login", &[("code", wrong)]);
        assert_eq!((reply.status, reply.header("set-cookie")), (401, None), "{wrong}");
    }
    assert!(!sidecar.log().contains(&code) && !sidecar.log().contains(browser.cookie.split('=').nth(1).unwrap()));
    sidecar.wait_log(|line| line["msg"] == "a session was opened" && line["address"] == "127.0.0.1");
    sidecar.finish(&upstream);
}

#[test]
fn no_session_is_taken_over_that_was_known_before_the_login() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let at = address(&sidecar);
    let name = format!("relatch-{}", at.port());
    // An attacker's own choice, and an attacker's own session.
    let foreign = Browser::of(&sidecar);
    for planted in [format!("{name}=chosen-by-somebody-else"), foreign.cookie.clone()] {
        let mut victim = Browser { at, cookie: planted.clone() };
        let reply = victim.post("/login", &[("code", &code(&sidecar))]);
        victim.take_cookie(&reply);
        assert_ne!(victim.cookie, planted);
        assert_eq!(victim.get("/").status, 200);
    }
    let chosen = Browser { at, cookie: format!("{name}=chosen-by-somebody-else") };
    assert_eq!(chosen.get("/").status, 401);
    // Whoever writes cookies for this host cannot shut out the right one.
    let crowded = Browser { at, cookie: format!("{name}=junk; other=1; {}", foreign.cookie) };
    assert_eq!(crowded.get("/").status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn a_session_ends_with_the_logout_button_alone_of_its_own_page() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let (one, other) = (Browser::of(&sidecar), Browser::of(&sidecar));
    assert_eq!(one.get("/logout").status, 405);
    assert_eq!(one.post("/logout", &[("csrf", "")]).status, 403);
    assert_eq!(one.post("/logout", &[("csrf", &other.csrf())]).status, 403);
    assert_eq!(one.get("/").status, 200);
    let out = one.post("/logout", &[("csrf", &one.csrf())]);
    assert_eq!(out.status, 200);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!((one.get("/").status, other.get("/").status), (401, 200));
    assert_eq!(one.post("/client/revoke", &[("csrf", "x")]).status, 401);
    sidecar.finish(&upstream);
}

#[test]
fn a_session_may_do_what_its_opener_may_and_ends_with_its_token() {
    let upstream = Upstream::start();
    let token = |name: &str, scope: &str| {
        format!(
            "[[token]]\nname = \"{name}\"\nhash = \"@SHA256(rlt_{name}-of-the-test-0123456789)@\"\nscopes = [\"{scope}\"]\n"
        )
    };
    let (reader, writer) = (token("reader", "read:clients"), token("keys", "read:clients\", \"update:client_keys"));
    let setup = paged().file("admin-tokens.toml", &(reader.clone() + &writer + &token("half", "update:client_keys")));
    let sidecar = setup.file("reader", "rlt_reader-of-the-test-0123456789\n").upstream(&upstream).start();
    let at = address(&sidecar);
    for name in ["reader", "keys", "half"] {
        std::fs::write(sidecar.dir().join(name), format!("rlt_{name}-of-the-test-0123456789\n")).unwrap();
    }
    let server = format!("http://{at}");
    let login =
        |name: &str| relatch(sidecar.dir(), &["token", "login", "-q", "--server", &server, "--token-file", name]);
    let browser = |name: &str| {
        let ran = login(name);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{ran:?}");
        let code = ran.out.trim().strip_prefix(&format!("{server}/login?code=")).unwrap().to_owned();
        let mut browser = Browser::stranger(at);
        let reply = browser.post("/login", &[("code", &code)]);
        browser.take_cookie(&reply);
        browser
    };
    assert_eq!(login("half").code, Some(1), "it may not even look");

    let (reader, writer_browser) = (browser("reader"), browser("keys"));
    let page = text(&reader.get("/client?id=c1"));
    assert!(!page.contains("Revoke") && !page.contains("Generate"), "{page}");
    assert!(text(&writer_browser.get("/client?id=c1")).contains("Revoke"));
    for path in ["/client/generate?id=c2", "/client/revoke?id=c1&secret=c1_1"] {
        assert_eq!((reader.get(path).status, writer_browser.get(path).status), (403, 200), "{path}");
    }
    let fields = [("id", "c2"), ("csrf", &*reader.csrf()), ("once", "x")];
    assert_eq!(reader.post("/client/generate", &fields).status, 403);
    assert_eq!(reader.post("/client/disable", &fields).status, 403);

    // Revoked a moment ago, refused now.
    let ran = relatch(sidecar.dir(), &["token", "revoke", "keys"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((writer_browser.get("/").status, reader.get("/").status), (401, 200));
    sidecar.finish(&upstream);
}

#[test]
fn the_command_prints_a_link_and_says_why_where_there_is_none() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let ran = relatch(sidecar.dir(), &["token", "login"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let link = format!("http://{}/login?code=", address(&sidecar));
    assert!(ran.out.starts_with(&link) && ran.out.trim().len() == link.len() + 43, "{ran:?}");
    assert!(ran.err.contains("five minutes"), "{ran:?}");
    drop(sidecar);

    let without =
        crate::support::sidecar::Sidecar::guard().client("c1", &["old-s3cr3t-of-c1"]).upstream(&upstream).start();
    let ran = relatch(without.dir(), &["token", "login"]);
    assert!(ran.code == Some(1) && ran.err.contains("[admin] listen names none"), "{ran:?}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(without.dir().join("relatch.toml"), dir.path().join("relatch.toml")).unwrap();
    let ran = relatch(dir.path(), &["token", "login"]);
    assert!(ran.code == Some(1) && ran.err.contains("no instance answers"), "{ran:?}");
    without.finish(&upstream);
}
