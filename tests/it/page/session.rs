//! In and out: links that work once, sessions that end.

use crate::support::http::Wire;
use crate::support::process::relatch;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

use super::{Browser, address, code, form, hidden, paged, text};

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
        let mut victim = Browser { cookie: planted.clone(), ..Browser::stranger(at) };
        let reply = victim.post("/login", &[("code", &code(&sidecar))]);
        victim.take_cookie(&reply);
        assert_ne!(victim.cookie, planted);
        assert_eq!(victim.get("/").status, 200);
    }
    let chosen = Browser { cookie: format!("{name}=chosen-by-somebody-else"), ..Browser::stranger(at) };
    assert_eq!(chosen.get("/").status, 401);
    // Whoever writes cookies for this host cannot shut out the right one.
    let crowded = Browser { cookie: format!("{name}=junk; other=1; {}", foreign.cookie), ..Browser::stranger(at) };
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
    let gone = writer_browser.get("/");
    assert_eq!((gone.status, reader.get("/").status), (401, 200));
    assert!(text(&gone).contains("The token that this session was opened with is revoked"), "{}", text(&gone));
    let late = writer_browser.post("/client/disable", &fields);
    assert!(late.status == 401 && text(&late).contains("The token that this session"), "{}", text(&late));
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

#[test]
fn a_wrong_code_is_counted_and_written_down_and_so_is_who_came_in() {
    let upstream = Upstream::start();
    let sidecar = paged()
        .config("log.audit = \"audit.jsonl\"\n[throttle]\nfailures = 3\nper = \"24h\"")
        .upstream(&upstream)
        .start();
    let at = address(&sidecar);
    let stranger = Browser::stranger(at);
    let guess = || stranger.post("/login", &[("code", "x")]);
    let statuses: Vec<u16> = (0..3).map(|_| guess().status).collect();
    assert_eq!(statuses, [401; 3]);
    let late = guess();
    assert_eq!(late.status, 429);
    assert!(late.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{}", text(&late));
    assert!(text(&late).contains("Too many login links from this address were refused"), "{}", text(&late));
    assert_eq!(stranger.get("/login?code=x").status, 429, "looked at as much as sent");
    // The gate counts the same.
    let wrong = "Authorization: Bearer rlt_nobody-knows-this-one-0123456789\r\n";
    assert_eq!(stranger.send("GET", "/api/v1/status", wrong, "").status, 429);

    // A good link is never refused because others guess, and a session that is there changes nothing about it.
    let browser = Browser::of(&sidecar);
    assert_eq!(browser.post("/login", &[("code", &code(&sidecar))]).status, 303);
    let lines = || {
        let text = std::fs::read_to_string(sidecar.dir().join("audit.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let opened = |line: &&serde_json::Value| line["what"] == "session.open";
    let found = poll(PATIENCE, || (lines().iter().filter(opened).count() == 2).then(&lines)).unwrap_or_else(&lines);
    let line = found.iter().find(opened).unwrap_or_else(|| panic!("{found:#?}"));
    let who = format!("session:unix:{}", rustix::process::geteuid().as_raw());
    assert_eq!((&line["who"], &line["address"], &line["outcome"]), (&who.into(), &"127.0.0.1".into(), &"done".into()));
    assert!(found.iter().any(|line| line["what"] == "access" && line["who"] == "nobody"), "{found:#?}");
    assert!(!found.iter().any(|line| line["what"] == "request"), "{found:#?}");

    // A change is told with the address that it was asked from, wherever the session was opened.
    let body = form(&[("csrf", &browser.csrf())]);
    let request = format!(
        "POST /logout HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\nCookie: {}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        browser.cookie,
        body.len()
    );
    let mut wire = Wire::connect_from(3, at);
    wire.send(request.as_bytes());
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
    let closed = || lines().into_iter().find(|line| line["what"] == "session.close");
    assert_eq!(poll(PATIENCE, closed).unwrap_or_default()["address"], "127.0.0.3");
    sidecar.finish(&upstream);
}

#[test]
fn no_page_gives_away_where_it_was() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    for path in [format!("/login?code={}", code(&sidecar)), "/login?code=x".to_owned(), "/client?id=c1".to_owned()] {
        assert_eq!(browser.get(&path).header("referrer-policy"), Some("strict-origin"), "{path}");
    }
    sidecar.finish(&upstream);
}
