//! What a browser must bring: for anything that changes, proof that one of our own pages asks; and a session. The cookie is
//! sent along by whatever page makes the browser ask, so that it alone proves nothing.

use std::cell::Cell;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use tower_service::Service;

use super::Page;
use super::session::Visit;
use super::sorry::Sorry;
use crate::admin::answer::Fault;
use crate::admin::caller::{Caller, Opener, Visitor};
use crate::admin::gate::Between;
use crate::admin::tokens::Tokens;
use crate::config::tokens::Scope;

/// Cookies of our name that are tried: whoever else writes cookies for this host cannot shut out the right one.
const MOST_COOKIES: usize = 4;

impl Page {
    /// Answers a browser.
    pub(in crate::admin) async fn answer(
        &self,
        mut request: Request<Body>,
        between: Between,
        tokens: &Tokens,
        busy: &Cell<bool>,
    ) -> Response {
        if let Err(fault) = comes_from_us(request.method(), request.headers(), between.secure) {
            return Sorry::from(fault).into_response();
        }
        let visit = self.visit(request.headers(), between);
        let caller = visit.as_ref().and_then(|visit| self.visitor(visit, between, tokens));
        let extensions = request.extensions_mut();
        extensions.insert(between);
        if let Some(visit) = visit {
            extensions.insert(visit);
        }
        if let Some(caller) = caller {
            busy.set(true);
            extensions.insert(caller);
        }
        // A router is always ready, and never fails.
        let Ok(response) = self.routes.clone().call(request).await;
        // A page is made whole before it is sent.
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(|body| Body::from(body.to_bytes())).unwrap_or_default();
        busy.set(false);
        Response::from_parts(head, body)
    }

    fn visit(&self, headers: &HeaderMap, between: Between) -> Option<Visit> {
        let now = self.room.ground.clock.now();
        let names = [true, false].map(|secure| cookie_name(between.local.port(), secure));
        // Where the connection has TLS, a cookie that came without it is none of ours.
        let names = names.iter().take(if between.secure { 1 } else { 2 });
        let mut found = names.flat_map(|name| cookies(headers, name).take(MOST_COOKIES));
        found.find_map(|id| self.room.ground.sessions.find(id, now))
    }

    /// What the session may do now: as much as who opened it, and nothing once its token is gone.
    fn visitor(&self, visit: &Visit, between: Between, tokens: &Tokens) -> Option<Caller> {
        let scopes = match &visit.opener {
            Opener::User(_) => vec![Scope::Admin],
            Opener::Token(_, digest) => tokens.of_digest(digest, self.room.ground.clock.now())?.scopes,
        };
        Some(Caller::Visitor(Visitor::of(visit.opener.clone(), scopes, visit.session, between.peer)))
    }
}

/// A change must be asked for by one of our own pages. To look, a person may follow a link from anywhere.
fn comes_from_us(method: &Method, headers: &HeaderMap, secure: bool) -> Result<(), Fault> {
    let only = |name: &str| {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => one.to_str().map(Some).map_err(|_| Fault::of_a_page()),
            _ => Err(Fault::of_a_page()),
        }
    };
    let (origin, site) = (only("origin")?, only("sec-fetch-site")?);
    let (mode, dest) = (only("sec-fetch-mode")?, only("sec-fetch-dest")?);
    let framed = dest.is_some_and(|dest| ["iframe", "frame", "embed", "object", "fencedframe"].contains(&dest));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let ours = origin.map(|origin| is_origin(origin, host, secure));
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    let fine = match site {
        _ if framed || ours == Some(false) => false,
        Some("same-origin") => true,
        Some("none") => !changes || ours == Some(true),
        Some(_) => !changes && mode == Some("navigate") && dest == Some("document"),
        None => !changes || ours == Some(true),
    };
    if fine { Ok(()) } else { Err(Fault::of_another_page()) }
}

/// Whether an Origin is this very host. Without TLS here, something in front of us may have it.
fn is_origin(origin: &str, host: &str, secure: bool) -> bool {
    let named = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://").filter(|_| !secure));
    named.is_some_and(|named| !host.is_empty() && named.eq_ignore_ascii_case(host))
}

/// A host has one jar of cookies for all its ports.
fn cookie_name(port: u16, secure: bool) -> String {
    if secure { format!("__Host-relatch-{port}") } else { format!("relatch-{port}") }
}

fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

/// Whether the browser reaches us by TLS, be it something in front of us that has it.
pub(super) fn is_secure(headers: &HeaderMap, between: Between) -> bool {
    between.secure || headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// The cookie of a session, for this browser alone and for what our own pages ask.
pub(super) fn cookie(id: &str, between: Between, secure: bool) -> Option<HeaderValue> {
    let (name, also) = (cookie_name(between.local.port(), secure), if secure { "; Secure" } else { "" });
    let mut value = HeaderValue::from_str(&format!("{name}={id}; HttpOnly; SameSite=Strict; Path=/{also}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes it back.
pub(super) fn no_cookie(between: Between, secure: bool) -> Option<HeaderValue> {
    let (name, also) = (cookie_name(between.local.port(), secure), if secure { "; Secure" } else { "" });
    HeaderValue::from_str(&format!("{name}=; Max-Age=0; HttpOnly; SameSite=Strict; Path=/{also}")).ok()
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    type Line = (&'static str, &'static str);

    fn headers(lines: &[Line]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "127.0.0.1:9465")].iter().chain(lines) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_our_own_pages_change_something_and_a_link_only_looks() {
        const OURS: Line = ("origin", "http://127.0.0.1:9465");
        let site = |site| ("sec-fetch-site", site);
        let (navigate, document) = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"));
        let cases: [(&[Line], bool, bool); 19] = [
            (&[], true, false),
            (&[OURS], true, true),
            (&[("origin", "http://127.0.0.1:9466")], false, false),
            (&[("origin", "http://127.0.0.1")], false, false),
            (&[("origin", "http://evil.example")], false, false),
            (&[("origin", "null")], false, false),
            (&[OURS, OURS], false, false),
            (&[("origin", "https://127.0.0.1:9465")], true, true),
            (&[site("same-origin")], true, true),
            (&[OURS, site("same-origin")], true, true),
            (&[OURS, site("cross-site")], false, false),
            (&[OURS, site("same-site"), navigate, document], true, false),
            (&[("origin", "null"), site("same-origin")], false, false),
            (&[site("none")], true, false),
            (&[site("cross-site"), navigate, document], true, false),
            (&[site("cross-site"), navigate, ("sec-fetch-dest", "iframe")], false, false),
            (&[site("same-origin"), navigate, ("sec-fetch-dest", "iframe")], false, false),
            (&[site("same-site"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")], false, false),
            (&[site("cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], false, false),
        ];
        for (lines, looks, changes) in cases {
            for (method, fine) in
                [(Method::GET, looks), (Method::HEAD, looks), (Method::POST, changes), (Method::DELETE, changes)]
            {
                assert_eq!(comes_from_us(&method, &headers(lines), false).is_ok(), fine, "{method} {lines:?}");
            }
        }
        assert!(comes_from_us(&Method::POST, &headers(&[OURS]), true).is_err(), "not without TLS where we have it");
    }

    #[test]
    fn a_cookie_is_for_our_own_pages_and_with_tls_for_them_alone() {
        let address: std::net::SocketAddr = "127.0.0.1:9465".parse().unwrap();
        let between = |secure| Between { peer: address.ip(), local: address, secure };
        let plain = cookie("id", between(false), false).unwrap();
        assert_eq!(plain, "relatch-9465=id; HttpOnly; SameSite=Strict; Path=/");
        let secured = cookie("id", between(true), true).unwrap();
        assert_eq!(secured, "__Host-relatch-9465=id; HttpOnly; SameSite=Strict; Path=/; Secure");
        let gone = no_cookie(between(true), true).unwrap();
        assert_eq!(gone, "__Host-relatch-9465=; Max-Age=0; HttpOnly; SameSite=Strict; Path=/; Secure");
        assert!(is_secure(&headers(&[("origin", "https://admin.internal")]), between(false)), "TLS in front of us");
        assert!(!is_secure(&headers(&[("origin", "http://127.0.0.1:9465")]), between(false)));
    }

    #[test]
    fn a_cookie_is_read_among_others() {
        let lines =
            headers(&[("cookie", "a=b; relatch-1=one;relatch-2=two"), ("cookie", "relatch-1=three; relatch-11=x")]);
        assert_eq!(cookies(&lines, "relatch-1").collect::<Vec<_>>(), ["one", "three"]);
        assert_eq!(cookies(&lines, "relatch-3").count(), 0);
    }
}
