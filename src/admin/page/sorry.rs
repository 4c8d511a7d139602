//! A page that says why there is no other.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderValue};
use maud::html;

use super::layout;
use crate::admin::answer::Fault;
use crate::lifecycle::Refused;

/// Why there is no page.
pub(super) struct Sorry(Fault);

impl From<Fault> for Sorry {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl From<Refused> for Sorry {
    fn from(refused: Refused) -> Self {
        Self(refused.into())
    }
}

impl Fault {
    /// There is no session, or it is over.
    pub(in crate::admin) fn no_session() -> Self {
        let message = "you are not logged in, or the session is over\n  Nothing was changed.";
        Self::of_http(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// No page of ours sent the form, or one of another session.
    pub(super) fn of_another_page() -> Self {
        let message = "this was not asked for by a page of this session\n  Nothing was changed. Open the page anew and \
                       try again from there.";
        Self::of_http(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// The form was sent before.
    pub(super) fn sent_before() -> Self {
        let message = "this form was sent before, and is good for once\n  Nothing was changed by sending it again.";
        Self::of_http(StatusCode::CONFLICT, "sent_before", message)
    }

    /// The login link opens nothing.
    pub(super) fn link_is_over() -> Self {
        let message = "this login link was used already, or its five minutes are over\n  Ask for another one.";
        Self::of_http(StatusCode::UNAUTHORIZED, "link_is_over", message)
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let message = self.0.to_string();
        let (what, rest) = message.split_once('\n').unwrap_or((&message, ""));
        let content = html! {
            section.notice.narrow {
                h1 { (sentence(what)) }
                @for line in rest.lines() { p { (line.trim()) } }
                @if status == StatusCode::UNAUTHORIZED {
                    p { "Beside the instance, this prints a link that works once:" }
                    pre { code { "relatch token login" } }
                } @else {
                    p { a.button href="/" { "Back to the clients" } }
                }
            }
        };
        let mut response = layout::answer(status, layout::document("Not done", None, &content));
        if status == StatusCode::UNAUTHORIZED {
            // HTTP wants a way named; no browser asks for a password by this one.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What happened, without what a command would do next.
pub(super) fn first_line(why: &impl std::fmt::Display) -> String {
    why.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// With a capital, as a heading begins.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
