//! The page in a real browser, before a real token server: a whole rotation by its buttons, as everybody can see and reach
//! it, and what a hostile page makes of it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::browser::{Browser, DESK, PHONE, Window};
use super::caller::{Caller, Credentials, Wish};
use super::identity::Identity;
use super::line::Line;
use super::server::Kind;
use crate::support::admin::Admin;
use crate::support::http::{Method, Wire, token_request};
use crate::support::mounted::mount;
use crate::support::toml_text::quote;
use crate::support::{PATIENCE, poll};

const OLD: &str = "rls_the-old-one-of-billing-5Kq2";
/// Runs where it stands, unless somebody escapes it.
const EVIL: &str = "<img src=x onerror=\"document.title='pwned'\">";
const DAY: u64 = 24;

/// relatch with a page, between a real server and whoever asks; its clock is ours.
struct Stage {
    line: Line,
    clock: tempfile::TempDir,
    browser: Browser,
}

impl Stage {
    #[track_caller]
    fn start() -> Self {
        Self::with("")
    }

    /// With more clients than those who do nobody any harm.
    #[track_caller]
    fn with(more: &str) -> Self {
        let clock = tempfile::tempdir().unwrap();
        let hands = clock.path().join("offset");
        std::fs::write(&hands, "+0\n").unwrap();
        let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
            .map(|dir| format!("{dir}/faketime/libfaketime.so.1"))
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .expect("libfaketime: apt-get install faketime");
        let identity = Identity::basic("billing-at-the-server");
        let list = list(&identity.section()) + more;
        let line = Line::start(Kind::OidcProvider, |setup| {
            identity
                .given_to(setup)
                .canary(OLD)
                .clients_text(&list)
                .config("admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]")
                .config("proxy.trusted_proxies = [\"127.0.0.0/8\"]")
                .env("LD_PRELOAD", &library)
                .env("FAKETIME_TIMESTAMP_FILE", hands.to_str().unwrap())
                .env("FAKETIME_NO_CACHE", "1")
        });
        line.server.client(&identity.id, &identity.secret);
        Self { line, clock, browser: Browser::start() }
    }

    /// So many hours after the start.
    fn at(&self, hours: u64) {
        let fresh = self.clock.path().join("fresh");
        std::fs::write(&fresh, format!("+{}\n", hours * 3600)).unwrap();
        std::fs::rename(fresh, self.clock.path().join("offset")).unwrap();
        // Whoever sleeps by the old time wakes up; and may end a connection at once that it has waited for by it.
        self.line.relatch.metrics();
        for _ in 0..3 {
            if let Ok(mut stream) = UnixStream::connect(self.line.relatch.dir().join("relatch.sock")) {
                _ = stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                _ = stream.read_to_end(&mut Vec::new());
            }
        }
        Admin::of(self.line.relatch.dir()).must("GET", "/api/v1/status", &json!(null));
    }

    #[track_caller]
    fn base(&self) -> String {
        let of = |line: &serde_json::Value| {
            line["listener"] == "admin" && line["address"].as_str().is_some_and(|at| !at.contains("unix"))
        };
        format!("http://{}", self.line.relatch.wait_log(of)["address"].as_str().unwrap())
    }

    /// By a link, as `relatch token login` prints it.
    #[track_caller]
    fn log_in(&self) {
        let link = Admin::of(self.line.relatch.dir()).must("POST", "/api/v1/login-links", &json!({}));
        assert_eq!(self.browser.goto(link["url"].as_str().unwrap()), 200);
        assert_eq!(self.browser.click("button", "Log in"), 200);
    }

    /// As a worker behind a load balancer asks.
    fn work(&self, from: &str, secret: &str, times: usize) -> Vec<u16> {
        let text = String::from_utf8(token_request(Method::Basic, "billing", secret, "")).unwrap();
        let text = text.replacen("POST /token ", "POST /oauth/token ", 1);
        let who = format!("\r\nX-Forwarded-For: {from}\r\nUser-Agent: billing-worker/2.4 (linux)\r\n");
        let text = text.replacen("\r\n", &who, 1);
        let ask = |_| {
            let mut wire = Wire::connect(self.line.relatch.proxy());
            wire.send(text.as_bytes());
            wire.read_reply(false, PATIENCE).reply().status
        };
        (0..times).map(ask).collect()
    }

    fn ask(&self, secret: &str) -> bool {
        let credentials = Credentials { id: "billing", secret, method: Method::Post };
        Caller::OpenidClient.ask(&self.line.endpoints(), credentials, Wish::Token).granted()
    }
}

/// Clients in every state that a list can show.
fn list(upstream: &str) -> String {
    let days = |days: i64| {
        let at = SystemTime::now().checked_add(Duration::from_secs(if days > 0 { days as u64 * 86_400 } else { 0 }));
        let at = at.unwrap() - Duration::from_secs(if days < 0 { days.unsigned_abs() * 86_400 } else { 0 });
        format!("{:.0}", jiff::Timestamp::try_from(at).unwrap())
    };
    let client =
        |id: &str, name: &str, rest: &str| format!("[[client]]\nid = {}\nname = {}\n{rest}\n", quote(id), quote(name));
    let secret = |id: &str, name: &str, created: i64, rest: &str| {
        format!(
            "[[client.secret]]\nid = \"{id}\"\nname = {}\nhash = \"@SHA256(s3cr3t-of-{id}-at-the-page)@\"\nhint = \"x9Qf\"\n\
             created = \"{}\"\n{rest}\n",
            quote(name),
            days(created)
        )
    };
    let billing = format!(
        "[client.upstream]\n{upstream}\n[[client.secret]]\nid = \"sec_2d9x4k7m1q\"\nname = \"2026-05\"\n\
         hash = \"@SHA256({OLD})@\"\nhint = \"5Kq2\"\ncreated = \"{}\"\n",
        days(-180)
    );
    [
        client("billing", "Billing worker", &billing),
        client("reports", "Nightly reports", &secret("sec_r0qk21bz7a", "2026-02", -270, "")),
        client(
            "mailer",
            "Mail sender",
            &(secret("sec_m3s71ko0xd", "2026-01", -300, "") + &secret("sec_m9bb2c81tu", "2026-11", -9, "")),
        ),
        client(
            "partner-api",
            "Partner gateway",
            &secret("sec_p55ae1n0ws", "2026-06", -170, &format!("expires = \"{}\"", days(12))),
        ),
        client("legacy-sync", "", &secret("sec_l1d00f4ccv", "first", -900, "status = \"disabled\"")),
    ]
    .concat()
}

/// Every page that there is, by its address.
fn pages(base: &str, old: &str) -> [(&'static str, String); 8] {
    [
        ("clients", format!("{base}/")),
        ("attention", format!("{base}/?attention=1")),
        ("client", format!("{base}/client?id=billing")),
        ("steady", format!("{base}/client?id=reports")),
        ("revoke", format!("{base}/client/revoke?id=billing&secret={old}")),
        ("disable", format!("{base}/client/disable?id=reports&secret=sec_r0qk21bz7a")),
        ("enable", format!("{base}/client/enable?id=legacy-sync&secret=sec_l1d00f4ccv")),
        ("generate", format!("{base}/client/generate?id=reports")),
    ]
}

#[test]
#[ignore = "needs chromium, node and faketime: make test"]
fn a_rotation_goes_from_its_first_button_to_its_last() {
    let stage = Stage::start();
    let (browser, base) = (&stage.browser, stage.base());
    for hour in 0..8 {
        stage.at(hour);
        assert!(stage.work("10.0.3.7", OLD, 4 + hour as usize % 3).iter().all(|status| *status == 200));
        stage.work("10.0.3.9", OLD, 2);
    }
    assert_eq!(browser.goto(&format!("{base}/")), 401);
    assert!(browser.text().contains("relatch token login"));
    stage.log_in();
    assert_eq!(browser.row("Client", "billing")["Rotation"], "steady");
    browser.shot("clients.png");

    // Generate: shown once, copied, and never again.
    assert_eq!(browser.click("link", "billing"), 200);
    assert_eq!(browser.click("link", "Generate new secret"), 200);
    browser.fill("Name", "2026-11");
    assert_eq!(browser.click("button", "Generate new secret"), 200);
    let once = browser.text();
    let new = once.split_whitespace().find(|word| word.starts_with("rls_")).unwrap().to_owned();
    assert_eq!(browser.faults(), [""; 0]);
    browser.press("button", "Copy");
    assert!(poll(PATIENCE, || browser.text().contains("Copied").then_some(())).is_some());
    assert_eq!(browser.tell(&json!({"cmd": "clipboard"}))["text"], *new);
    browser.tell(&json!({"cmd": "reload"}));
    assert!(!browser.text().contains(&new) && browser.text().contains("sent before"), "{}", browser.text());
    browser.tell(&json!({"cmd": "back"}));
    assert!(!browser.text().contains(&new), "{}", browser.text());
    assert_eq!(browser.goto(&format!("{base}/client?id=billing")), 200);
    let id = browser.row("Name", "2026-11")["ID"].as_str().unwrap().to_owned();
    assert!(browser.text().contains(&format!("Deploy {id}")), "{}", browser.text());
    assert_eq!(browser.row("ID", &id)["Uses"], "0");

    // Used, and seen to be.
    assert!(stage.ask(&new) && stage.ask(OLD), "both are good");
    assert_eq!(browser.goto(&format!("{base}/client?id=billing")), 200);
    let row = browser.row("ID", &id);
    let (last, from) = (row["Last Used"].as_str().unwrap(), row["From"].as_str().unwrap());
    assert!(row["Uses"] == "1" && last.contains("UTC") && from.contains("openid-client"), "{row}");
    assert!(browser.text().contains("Wait until sec_2d9x4k7m1q is quiet"), "{}", browser.text());

    // Revoking the old one is refused while it is in use.
    assert_eq!(browser.click("link", "Revoke sec_2d9x4k7m1q"), 200);
    assert_eq!(browser.click("button", "Revoke"), 409);
    let refused = browser.text();
    assert!(
        refused.contains("Refused") && refused.contains("10.0.3.7") && refused.contains("billing-worker"),
        "{refused}"
    );
    assert_eq!(browser.faults(), [""; 0]);
    browser.shot("revoke.png");
    assert!(stage.ask(OLD));

    // The workers take up the new one, one after the other.
    for hour in 8..20 {
        stage.at(hour);
        stage.work("10.0.3.7", &new, 4 + hour as usize % 3);
        stage.work("10.0.3.9", if hour < 14 { OLD } else { &new }, 2);
        stage.work("10.0.4.2", if hour < 11 { OLD } else { &new }, 1);
    }
    assert_eq!(browser.goto(&format!("{base}/")), 401, "left alone for hours");
    stage.log_in();
    assert_eq!(browser.row("Client", "billing")["Rotation"], "rotating");
    assert_eq!(browser.goto(&format!("{base}/client?id=billing")), 200);
    let html = browser.tell(&json!({"cmd": "html"}))["html"].as_str().unwrap().to_owned();
    let bars = |class: &str| html.matches(&format!("<rect class=\"{class}\"")).count();
    assert!(bars("new") >= 8 && bars("old") >= 3, "{html}");
    browser.shot("client.png");
    browser.resize(Window { dark: true, ..DESK });
    browser.shot("client-dark.png");
    browser.resize(PHONE);
    browser.shot("client-phone.png");
    browser.resize(DESK);

    // It falls silent, and goes.
    for hour in 20..14 + DAY {
        stage.at(hour);
        stage.work("10.0.3.7", &new, 3);
    }
    stage.log_in();
    assert_eq!(browser.row("Client", "billing")["Rotation"], "ready to finish");
    assert_eq!(browser.click("link", "billing"), 200);
    assert!(browser.text().contains("Revoke sec_2d9x4k7m1q"));
    assert_eq!(browser.click("link", "Revoke sec_2d9x4k7m1q"), 200);
    assert_eq!(browser.click("button", "Revoke"), 200);
    assert_eq!(browser.row("ID", "sec_2d9x4k7m1q")["Status"], "revoked");
    assert!(stage.ask(&new) && !stage.ask(OLD));
    assert_eq!(browser.goto(&format!("{base}/client?id=billing")), 200);
    assert!(browser.row("ID", "sec_2d9x4k7m1q")["Status"].as_str().unwrap().contains("presented and refused"));

    // What the page's policy refused would stand here; that a page was refused at all stands here by design.
    let told = browser.tell(&json!({"cmd": "told"}))["told"].to_string();
    assert!(!told.contains("Content Security Policy"), "{told}");
    stage.line.finish(&[OLD.to_owned(), new]);
}

#[test]
#[ignore = "needs chromium, node and faketime: make test"]
fn every_page_is_clear_to_everybody_and_fits_every_window() {
    let stage = Stage::start();
    let base = stage.base();
    assert!(stage.ask(OLD));
    stage.log_in();
    let mut faults = Vec::new();
    let windows =
        [DESK, Window { dark: true, ..DESK }, PHONE, Window { dark: true, ..PHONE }, Window { width: 820, ..DESK }];
    for window in windows {
        stage.browser.resize(window);
        for (name, url) in pages(&base, "sec_2d9x4k7m1q") {
            assert_eq!(stage.browser.goto(&url), 200, "{url}");
            let found = stage.browser.faults();
            faults.extend(
                found.into_iter().map(|fault| format!("{name} at {} dark {}: {fault}", window.width, window.dark)),
            );
            stage.browser.shot(&format!(
                "all-{name}-{}-{}.png",
                window.width,
                if window.dark { "dark" } else { "light" }
            ));
        }
    }
    // A list that was refused is told in red, and what is refused has pages too.
    let list = stage.line.relatch.dir().join("clients.toml");
    let good = std::fs::read(&list).unwrap();
    std::fs::write(&list, "[[client]]\nid = 7\n").unwrap();
    stage.line.relatch.wait_metric("relatch_config_last_reload_successful", &[], |value| value == 0.0);
    for window in windows {
        stage.browser.resize(window);
        assert_eq!(stage.browser.goto(&format!("{base}/")), 200);
        assert!(stage.browser.text().contains("The list on disk is not in force"));
        faults.extend(stage.browser.faults());
        stage.browser.shot(&format!("all-refused-{}-{}.png", window.width, if window.dark { "dark" } else { "light" }));
        assert_eq!(stage.browser.goto(&format!("{base}/client?id=nobody")), 404);
        faults.extend(stage.browser.faults());
    }
    // A list that is mounted is changed elsewhere, and the page says where.
    std::fs::write(&list, good).unwrap();
    Admin::of(stage.line.relatch.dir()).must("POST", "/-/reload", &json!({}));
    mount(&list);
    for window in windows {
        stage.browser.resize(window);
        for (path, typed, button) in [
            ("/client/revoke?id=billing&secret=sec_2d9x4k7m1q", "billing", "Revoke"),
            ("/client/generate?id=reports", "", "Generate new secret"),
        ] {
            assert_eq!(stage.browser.goto(&format!("{base}{path}")), 200);
            if !typed.is_empty() {
                stage.browser.fill("type the client's id", typed);
            }
            assert_eq!(stage.browser.click("button", button), 409, "{path}");
            assert!(stage.browser.text().contains("edit the Secret"), "{}", stage.browser.text());
            faults.extend(stage.browser.faults());
        }
        stage.browser.shot(&format!("all-mounted-{}-{}.png", window.width, if window.dark { "dark" } else { "light" }));
    }
    assert!(stage.ask(OLD));
    stage.browser.open(PHONE);
    assert_eq!(stage.browser.goto(&format!("{base}/")), 401);
    faults.extend(stage.browser.faults());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
#[ignore = "needs chromium, node and faketime: make test"]
fn the_keyboard_is_enough_and_no_script_is_needed() {
    let stage = Stage::start();
    stage.browser.open(Window { script: false, ..DESK });
    let link = Admin::of(stage.line.relatch.dir()).must("POST", "/api/v1/login-links", &json!({}));
    assert_eq!(stage.browser.goto(link["url"].as_str().unwrap()), 200);
    // Presses Tab until that has the focus, and sees where it is at every step.
    let reach = |wanted: &str| {
        for _ in 0..40 {
            let focus = stage.browser.keys(&["Tab"])["focus"].clone();
            assert!(focus["visible"] == true || focus["tag"] == "body", "where is the focus? {focus}");
            if focus["text"] == *wanted || focus["name"] == *wanted {
                return;
            }
        }
        panic!("{wanted} cannot be reached: {}", stage.browser.text());
    };
    let enter = |wanted: &str| {
        reach(wanted);
        stage.browser.tell(&json!({"cmd": "enter"}))["status"].as_u64().unwrap()
    };
    // The one button has the focus by itself.
    let focused = || (stage.browser.keys(&[])["focus"]["text"] == "Log in").then_some(());
    assert!(poll(PATIENCE, focused).is_some(), "{}", stage.browser.keys(&[]));
    assert_eq!(stage.browser.tell(&json!({"cmd": "enter"}))["status"], 200);
    assert_eq!(enter("billing"), 200);
    assert_eq!(enter("Generate new secret"), 200);
    reach("name");
    stage.browser.keys(&["Control+A", "\"by-hand"]);
    assert_eq!(enter("Generate new secret"), 200);
    let text = stage.browser.text();
    let new = text.split_whitespace().find(|word| word.starts_with("rls_")).unwrap().to_owned();
    assert!(!text.contains("Copy"), "it would do nothing");
    assert_eq!(enter("I have stored it"), 200);
    assert!(stage.ask(&new));
    assert_eq!(enter("Revoke sec_2d9x4k7m1q"), 200);
    reach("typed");
    stage.browser.keys(&["\"billing"]);
    assert_eq!(enter("Revoke"), 200);
    assert_eq!(stage.browser.row("ID", "sec_2d9x4k7m1q")["Status"], "revoked");
    assert!(stage.ask(&new) && !stage.ask(OLD));
    assert_eq!(enter("Log out"), 200);
    assert_eq!(stage.browser.goto(&stage.base()), 401);
}

#[test]
#[ignore = "needs chromium, node and faketime: make test"]
fn a_hostile_page_neither_frames_it_nor_speaks_for_it_and_a_hostile_name_does_not_run() {
    let (id, secret) = (quote(EVIL), "[[client.secret]]\nid = \"evil\"\nhash = \"@SHA256(s3cr3t-of-the-evil-one)@\"\n");
    let stage = Stage::with(&format!("[[client]]\nid = {id}\nname = {id}\n{secret}name = {id}\n"));
    let (browser, base) = (&stage.browser, stage.base());
    stage.log_in();
    let html = |browser: &Browser| browser.tell(&json!({"cmd": "html"}))["html"].as_str().unwrap().to_owned();
    // It stands there as text, on every page that names it.
    for path in ["/", "/client?id=%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'pwned'%22%3E"] {
        assert_eq!(browser.goto(&format!("{base}{path}")), 200);
        let page = html(browser);
        assert!(browser.text().contains(EVIL) && !page.contains("<img"), "{page}");
        assert!(!page.contains("<title>pwned"), "{page}");
    }
    let csrf = html(browser).split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    // Though the attacker knew what the forms carry, and the browser is logged in.
    let revoke = format!(
        "<form method=post action='{base}/client/revoke'><input name=id value=billing><input name=secret \
         value=sec_2d9x4k7m1q><input name=typed value=billing><input name=csrf value='{csrf}'></form>\
         <script>document.forms[0].submit()</script>"
    );
    let elsewhere = browser.tell(&json!({"cmd": "elsewhere", "html": revoke}))["url"].as_str().unwrap().to_owned();
    browser.tell(&json!({"cmd": "submit", "url": elsewhere}));
    assert!(browser.text().contains("not asked for by a page"), "{}", browser.text());
    // By the very name, at another port: the cookie comes along, and that does not help.
    let neighbour = elsewhere.replace("localhost", "127.0.0.1");
    browser.tell(&json!({"cmd": "submit", "url": neighbour}));
    assert!(browser.text().contains("not asked for by a page"), "{}", browser.text());
    assert!(stage.ask(OLD), "nothing was revoked");

    let frame = format!("<iframe src='{base}/client?id=billing'></iframe>");
    let elsewhere = browser.tell(&json!({"cmd": "elsewhere", "html": frame}))["url"].as_str().unwrap().to_owned();
    for framing in [elsewhere.replace("localhost", "127.0.0.1"), elsewhere] {
        browser.goto(&framing);
        let frames = browser.tell(&json!({"cmd": "frames"}))["frames"].to_string();
        assert!(!frames.contains("OAuth secrets") && !frames.contains("Clients"), "{frames}");
    }
    assert_eq!(browser.goto(&format!("{base}/client?id=billing")), 200, "the session is as it was");
}
