//! The way in and out. A link is made by a command, and opens a session by a button: to look at it does not use it up, since
//! mail readers and chats look at what they show.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{self, HeaderMap};
use maud::html;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::csrf::{Posted, Unsigned};
use super::guest::Guest;
use super::query::Queried;
use super::session::LINK;
use super::sorry::Sorry;
use super::{Room, entry, layout};
use crate::admin::answer::Fault;
use crate::admin::caller::{Caller, Opener};
use crate::admin::gate::Between;
use crate::admin::ground::Ground;
use crate::admin::words::{Nothing, Words};
use crate::event::entry::{Entry, Outcome, Who};

/// A login link.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct LinkObject {
    /// Where it leads, at the first address of the instance.
    pub url: String,
    /// The same without the address, for who knows a better one.
    pub path: String,
    /// When its time is over, RFC 3339.
    pub expires_at: String,
}

/// Make a login link
///
/// It opens one session of the page, within five minutes, for whoever follows it: give it to nobody.
#[utoipa::path(
    post,
    path = "/api/v1/login-links",
    operation_id = "makeLoginLink",
    tag = "instance",
    responses((status = 201, description = "The link, shown once.", body = LinkObject))
)]
pub(in crate::admin) async fn link(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    Words(Nothing {}): Words<Nothing>,
) -> Result<(StatusCode, Json<LinkObject>), Fault> {
    let opener = caller.opener().ok_or_else(Fault::of_a_page)?;
    let Some(base) = ground.base() else {
        let next = "Name one beside the socket and start again: listen = [\"unix:relatch.sock\", \"127.0.0.1:9465\"].";
        let message = format!("the page needs an address, and [admin] listen names none\n  {next}");
        return Err(Fault::conflict("no_address", message));
    };
    let now = ground.clock.now();
    let path = format!("/login?code={}", &*ground.sessions.link(opener, now)?);
    let link = LinkObject { url: format!("{base}{path}"), path, expires_at: now.plus(LINK).rfc3339() };
    Ok((StatusCode::CREATED, Json(link)))
}

impl Ground {
    /// Told once where it listens.
    pub fn listens(&self, addresses: Vec<SocketAddr>) {
        let _once = self.addresses.set(addresses);
    }

    /// A link for who started the instance, where the page can be reached.
    pub fn login_link(&self) -> Option<String> {
        let user = rustix::process::geteuid().as_raw();
        let code = self.sessions.link(Opener::User(user), self.clock.now()).ok()?;
        Some(format!("{}/login?code={}", self.base()?, &*code))
    }

    /// Where browsers on this machine reach it.
    fn base(&self) -> Option<String> {
        let mut address = *self.addresses.get()?.first()?;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let scheme = if self.settings.admin.tls.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{address}"))
    }
}

#[derive(Deserialize)]
pub(super) struct Coded {
    #[serde(default)]
    code: String,
}

/// The page behind a link: one button.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Extension(between): Extension<Between>,
    Queried(Coded { code }): Queried<Coded>,
) -> Result<Response, Sorry> {
    if !room.ground.sessions.is_open(&code, room.ground.clock.now()) {
        return Err(room.refuse_link(between).into());
    }
    let content = html! {
        section.notice.narrow {
            h1 { "Log in to relatch" }
            p { "This link works once. The session ends by itself after half an hour without a click." }
            form method="post" action="/login" {
                input type="hidden" name="code" value=(code);
                button.primary type="submit" autofocus { "Log in" }
            }
        }
    };
    Ok(layout::answer(StatusCode::OK, layout::document("Log in", None, &content)))
}

impl Room {
    /// The link opens nothing: it is counted with the tokens that are refused.
    fn refuse_link(&self, between: Between) -> Fault {
        let too_many = self.strangers.note(between.peer, "a login link was refused");
        too_many.map_or_else(Fault::link_is_over, Fault::too_many_links)
    }
}

/// What the button does.
pub(super) async fn open(
    State(room): State<Arc<Room>>,
    Extension(between): Extension<Between>,
    headers: HeaderMap,
    Unsigned(Coded { code }): Unsigned<Coded>,
) -> Result<Response, Sorry> {
    let now = room.ground.clock.now();
    let Some((id, opener)) = room.ground.sessions.open(&code, now)? else {
        return Err(room.refuse_link(between).into());
    };
    let mut response = Redirect::to("/").into_response();
    if let Some(cookie) = entry::cookie(&id, between, entry::is_secure(&headers, between)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    let mut entry = Entry::new(now, Who::session(&opener, between.peer), "session.open", Outcome::Done);
    entry.generation = Some(room.ground.snapshot.load().generation);
    entry.more.request = Some("POST /login".to_owned());
    room.ground.audit.write(&entry);
    room.log.info("a session was opened", &[("address", &between.peer), ("by", &opener)]);
    Ok(response)
}

/// The logout button has no fields.
#[derive(Deserialize)]
pub(super) struct NoFields {}

/// What the logout button does.
pub(super) async fn close(
    State(room): State<Arc<Room>>,
    Extension(between): Extension<Between>,
    Guest { visit, .. }: Guest,
    headers: HeaderMap,
    Posted(NoFields {}): Posted<NoFields>,
) -> Result<Response, Sorry> {
    room.ground.sessions.close(&visit.session);
    room.log.info("a session was closed", &[("address", &between.peer), ("by", &visit.opener)]);
    let content = html! {
        section.notice.narrow {
            h1 { "Logged out" }
            p { "The session is over. Beside the instance, this prints a link to another one:" }
            pre { code { "relatch token login" } }
        }
    };
    let mut response = layout::answer(StatusCode::OK, layout::document("Logged out", None, &content));
    if let Some(cookie) = entry::no_cookie(between, entry::is_secure(&headers, between)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
