//! What other pages, other names and hostile texts try.

use crate::support::http::{Method, Wire, token_request};
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, bytes};

use super::{Browser, address, borrowed, code, form, paged, text};

#[test]
fn no_other_page_has_the_browser_do_anything() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    let (at, csrf) = (browser.at, browser.csrf());
    let fields = form(&[("id", "c1"), ("secret", "c1_1"), ("typed", "c1"), ("csrf", &csrf)]);
    let ours = format!("Origin: http://{at}\r\n");
    for headers in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: null\r\nSec-Fetch-Site: same-origin\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        &format!("Origin: http://localhost:{}\r\n", at.port()),
        &format!("{ours}Sec-Fetch-Site: cross-site\r\n"),
        &format!("{ours}Sec-Fetch-Site: same-site\r\n"),
        &format!("{ours}{ours}"),
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
        "Sec-Fetch-Site: none\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: iframe\r\n",
        // Where a browser says nothing at all, it is none.
        "",
    ] {
        for path in ["/client/revoke", "/client/disable", "/client/generate", "/logout"] {
            let reply = browser.send("POST", path, headers, &fields);
            assert_eq!(reply.status, 403, "{path} {headers}");
        }
        let login = form(&[("code", &code(&sidecar))]);
        assert_eq!(browser.send("POST", "/login", headers, &login).status, 403, "{headers}");
    }
    // One of ours, and yet not by a form of this session, or by none.
    let other = Browser::of(&sidecar);
    for wrong in ["", "x", &other.csrf(), &csrf[1..], &format!("{csrf} ")] {
        let fields = [("id", "c1"), ("secret", "c1_1"), ("typed", "c1"), ("csrf", wrong)];
        assert_eq!(browser.post("/client/revoke", &fields).status, 403, "{wrong}");
    }
    assert_eq!(browser.post("/client/revoke", &[("id", "c1"), ("secret", "c1_1"), ("typed", "c1")]).status, 403);
    let plain = format!("{ours}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{fields}", fields.len());
    assert_eq!(browser.send("POST", "/client/revoke", &plain, "").status, 415);
    // A look from elsewhere, but in a window of its own.
    for headers in [
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: frame\r\n",
        "Origin: https://evil.example\r\n",
    ] {
        assert_eq!(browser.send("GET", "/client?id=c1", headers, "").status, 403, "{headers}");
    }
    // The API stays closed to browsers, with a session or without.
    for line in ["/api/v1/clients", "/api/v1/status"] {
        assert_eq!(browser.get(line).status, 401, "{line}");
    }
    assert_eq!(browser.post("/api/v1/clients/c1/secrets/c1_1/lifecycle/revoke", &[]).status, 403);
    let secrets = text(&browser.get("/client?id=c1"));
    assert_eq!(
        secrets.matches("badge good\">active, current").count() + secrets.matches("active, previous").count(),
        2
    );
    sidecar.finish(&upstream);
}

#[test]
fn nothing_changes_by_looking() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    let before = std::fs::read(sidecar.dir().join("clients.toml")).unwrap();
    let fields = format!("id=c1&secret=c1_1&typed=c1&csrf={}&once=x", browser.csrf());
    for verb in ["revoke", "disable", "enable", "generate"] {
        for method in ["GET", "HEAD"] {
            let status = browser.send(method, &format!("/client/{verb}?{fields}"), "", "").status;
            assert_eq!(status, 200, "{method} {verb}");
        }
        let origin = format!("Origin: http://{}\r\n", browser.at);
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
            assert_eq!(
                browser.send(method, &format!("/client/{verb}"), &origin, &fields).status,
                405,
                "{method} {verb}"
            );
        }
    }
    for (path, status) in [
        ("/client", 400),
        ("/client?id=nobody", 404),
        ("/client?id=", 400),
        ("/client?id=c1&tenant=../x", 400),
        ("/client?id=c1&id=c2", 400),
        ("/client/revoke?secret=c1_1", 400),
        ("/client/generate", 400),
        ("/login?code=x&code=y", 400),
        ("/client/revoke?id=c1&secret=nothing_like_it", 404),
        ("/client/revoke?id=c1&secret=rls_LooksLikeOne", 404),
        ("/client/explode?id=c1&secret=c1_1", 404),
        ("/assets/..%2f..%2fetc%2fpasswd", 404),
        ("/assets/../../etc/passwd", 404),
        ("/?page=0", 200),
        ("/?page=99999999999999999999&q=%00%ff", 200),
    ] {
        let reply = browser.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(!text(&reply).contains("LooksLikeOne"), "what was typed may be a secret");
    }
    let large = format!("csrf={}&id={}", browser.csrf(), "x".repeat(32 << 10));
    assert_eq!(
        browser.send("POST", "/client/revoke", &format!("Origin: http://{}\r\n", browser.at), &large).status,
        413
    );
    assert_eq!(std::fs::read(sidecar.dir().join("clients.toml")).unwrap(), before);
    sidecar.finish(&upstream);
}

#[test]
fn another_name_for_this_machine_gets_nothing() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    let port = browser.at.port();
    for host in [format!("evil.example:{port}"), "evil.example".to_owned(), format!("127.0.0.1.evil.example:{port}")] {
        for path in ["/", "/login?code=x", "/client?id=c1", "/assets/page.css"] {
            let reply = browser.send("GET", path, &format!("Host: {host}\r\n"), "");
            assert_eq!(reply.status, 421, "{host} {path}");
        }
        let named = format!("Host: {host}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(browser.send("POST", "/login", &named, &form(&[("code", &code(&sidecar))])).status, 421, "{host}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn what_strangers_and_operators_wrote_is_text_and_nothing_else() {
    const EVIL: &str = "<img src=x onerror=alert(1)>\\\"'</title><script>alert(2)</script>&amp;";
    let upstream = Upstream::start();
    let list = format!(
        "[[client]]\nid = \"{EVIL}\"\nname = \"{EVIL}\"\n[[client.secret]]\nid = \"one\"\nname = \"{EVIL}\"\n\
         hint = \"<b>x\"\nhash = \"@SHA256(first-s3cr3t-of-evil)@\"\n[[client.secret]]\nid = \"two\"\nstatus = \"revoked\"\n\
         revoked_reason = \"{EVIL}\"\nhash = \"@SHA256(second-s3cr3t-of-evil)@\"\n"
    );
    let sidecar = paged().clients_text(&list).upstream(&upstream).start();
    let id = EVIL.replace("\\\"", "\"");
    let mut request = String::from_utf8(token_request(Method::Basic, &id, "first-s3cr3t-of-evil", "")).unwrap();
    request = request.replacen("\r\n", "\r\nUser-Agent: <script>alert(3)</script>\"'\r\n", 1);
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(request.as_bytes());
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);

    let browser = Browser::of(&sidecar);
    let encoded = crate::support::form::encode(&id).replace('+', "%20");
    let (origin, csrf) = (format!("Origin: http://{}\r\n", browser.at), browser.csrf());
    let revoke = form(&[("id", &id), ("secret", "one"), ("csrf", &csrf), ("typed", "<i>")]);
    let pages = [
        browser.get("/"),
        browser.get(&format!("/?q={encoded}&attention=1")),
        browser.get(&format!("/?q={encoded}")),
        browser.get(&format!("/client?id={encoded}")),
        browser.get(&format!("/client/generate?id={encoded}")),
        browser.get(&format!("/client/revoke?id={encoded}&secret=one")),
        browser.get(&format!("/client/revoke?id={encoded}&secret=%3Cscript%3E")),
        browser.get("/client?id=%3Cscript%3Ealert(9)%3C%2Fscript%3E"),
        browser.send("POST", "/client/revoke", &origin, &revoke),
    ];
    let mut seen = 0;
    for page in &pages {
        let text = text(page);
        for bad in ["<img", "<script", "<b>x", "<i>", "onerror=alert(1)>", "&amp;amp;amp;"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
        seen += usize::from(text.contains("&lt;script&gt;alert(3)")) + usize::from(text.contains("&lt;img"));
        assert!(!page.header("content-security-policy").unwrap().contains("script-src"), "no script runs here");
    }
    assert!(seen >= 7, "the texts are there, as texts: {seen}");
    let long = "x".repeat(10 << 10);
    assert_eq!(browser.get(&format!("/?q={long}")).status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn no_page_holds_a_secret_but_the_one_that_made_it() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    let fields = browser.generate_form("c2");
    let made = browser.post("/client/generate", &borrowed(&fields));
    let secret = super::shown(&text(&made));
    assert!(
        secret.starts_with("rls_") && made.header("content-security-policy").unwrap().contains("script-src 'self'")
    );
    let id = text(&made).split("<code>sec_").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let again = browser.post("/client/generate", &borrowed(&fields));
    assert_eq!(again.status, 409, "a reload");
    assert!(text(&again).contains("This form was sent before"), "{}", text(&again));
    let mut pages = vec![again];
    for path in [
        "/".to_owned(),
        "/?q=c2".to_owned(),
        "/client?id=c2".to_owned(),
        "/client/generate?id=c2".to_owned(),
        format!("/client/revoke?id=c2&secret=sec_{id}"),
        format!("/client/disable?id=c2&secret=sec_{id}"),
        "/client/generate".to_owned(),
        "/assets/page.js".to_owned(),
    ] {
        pages.push(browser.get(&path));
    }
    for page in &pages {
        for hidden in [&*secret, "only-s3cr3t-of-c2", "$sha256$"] {
            for disguise in bytes::disguises(hidden) {
                assert!(bytes::find(&page.raw, &disguise).is_none(), "{hidden} in {}", text(page));
            }
        }
    }
    let address = address(&sidecar).to_string();
    assert!(!sidecar.log().contains(&secret) && sidecar.log().contains(&address));
    sidecar.finish(&upstream);
}
