//! The page at the wire: how one gets in, who does not, and that nothing on it is more than text.

mod attacks;
mod changes;
mod secured;
mod session;
mod shown;

use std::net::SocketAddr;

use crate::support::PATIENCE;
use crate::support::admin::Admin;
use crate::support::http::{Reply, Wire};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;

/// A sidecar with a page, a client in the middle of a rotation and one that has just one secret.
fn paged() -> Setup {
    Sidecar::guard()
        .client("c1", &["old-s3cr3t-of-c1", "new-s3cr3t-of-c1"])
        .client("c2", &["only-s3cr3t-of-c2"])
        .config("admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]")
}

/// Where the page is.
#[track_caller]
fn address(sidecar: &Sidecar) -> SocketAddr {
    let line = sidecar.wait_log(|line| {
        line["listener"] == "admin" && line["address"].as_str().is_some_and(|at| !at.contains("unix"))
    });
    line["address"].as_str().unwrap().parse().unwrap()
}

/// The code of a new login link.
#[track_caller]
fn code(sidecar: &Sidecar) -> String {
    let link = Admin::of(sidecar.dir()).must("POST", "/api/v1/login-links", &serde_json::json!({}));
    let (path, url) = (link["path"].as_str().unwrap(), link["url"].as_str().unwrap());
    let scheme = if sidecar.dir().join("tls.key").exists() { "https" } else { "http" };
    assert_eq!(url, format!("{scheme}://{}{path}", address(sidecar)));
    path.strip_prefix("/login?code=").unwrap().to_owned()
}

/// A browser as far as the wire shows it: a cookie, and the headers that tell where a request comes from.
#[derive(Clone)]
struct Browser {
    /// Where it connects.
    at: SocketAddr,
    /// What stands before the path in its address bar.
    origin: String,
    cookie: String,
}

impl Browser {
    /// With no session.
    fn stranger(at: SocketAddr) -> Self {
        Self { at, origin: format!("http://{at}"), cookie: String::new() }
    }

    /// Logged in by a link.
    #[track_caller]
    fn of(sidecar: &Sidecar) -> Self {
        Self::stranger(address(sidecar)).logged_in(sidecar)
    }

    #[track_caller]
    fn logged_in(mut self, sidecar: &Sidecar) -> Self {
        let reply = self.post("/login", &[("code", &code(sidecar))]);
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
        self.take_cookie(&reply);
        self
    }

    #[track_caller]
    fn take_cookie(&mut self, reply: &Reply) {
        let set = reply.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(set.split("; ").any(|word| word == part), "{set}");
        }
        self.cookie = set.split(';').next().unwrap().to_owned();
    }

    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "Sec-Fetch-Site: same-origin\r\n", "")
    }

    /// A form of our own page.
    #[track_caller]
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let origin = format!("Origin: {}\r\nSec-Fetch-Site: same-origin\r\n", self.origin);
        self.send("POST", path, &origin, &form(fields))
    }

    /// Any request, held to what every answer must carry.
    #[track_caller]
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) };
        let kind = match body {
            "" => String::new(),
            body => format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len()),
        };
        let host = self.origin.split_once("://").unwrap().1;
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {host}\r\n") };
        let mut wire = Wire::connect(self.at);
        wire.send(format!("{method} {path} HTTP/1.1\r\n{host}{cookie}{headers}{kind}\r\n{body}").as_bytes());
        let reply = wire.read_reply(method == "HEAD", PATIENCE).reply();
        for (name, value) in
            [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")]
        {
            assert_eq!(reply.all(name), [value], "{method} {path}");
        }
        let policies = reply.all("content-security-policy");
        let [policy] = &policies[..] else { panic!("{method} {path}: {policies:?}") };
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action '"] {
            assert!(policy.contains(part) && !policy.contains("unsafe"), "{method} {path}: {policy}");
        }
        let cors = reply.headers.iter().find(|(name, _)| name.starts_with("access-control"));
        assert_eq!(cors, None, "{method} {path}");
        reply
    }

    /// The token that every form of this session carries.
    #[track_caller]
    fn csrf(&self) -> String {
        hidden(&text(&self.get("/")), "csrf")
    }

    /// A form that makes one more secret of a client, filled in.
    #[track_caller]
    fn generate_form(&self, client: &str) -> Vec<(&'static str, String)> {
        let page = text(&self.get(&format!("/client/generate?id={client}")));
        vec![("id", client.to_owned()), ("csrf", hidden(&page, "csrf")), ("once", hidden(&page, "once"))]
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", crate::support::form::encode(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn borrowed<'f>(fields: &'f [(&'static str, String)]) -> Vec<(&'f str, &'f str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[track_caller]
fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// The value of a hidden field.
#[track_caller]
fn hidden(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let rest = page.split_once(&mark).unwrap_or_else(|| panic!("no field {name} in {page}")).1;
    rest.split('"').next().unwrap().to_owned()
}

/// The secret that a page shows once.
#[track_caller]
fn shown(page: &str) -> String {
    let rest = page.split_once("<code id=\"secret\">").unwrap_or_else(|| panic!("no secret in {page}")).1;
    rest.split('<').next().unwrap().to_owned()
}
