//! A page that says why there is no other.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderValue};
use maud::{Markup, html};

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

    /// The form shows a client that is not as it was any more, or a rule that is another one now.
    pub(super) fn changed_meanwhile() -> Self {
        let message = "things changed meanwhile\n  Nothing was changed by this form. Look again, and decide on what stands \
                       here now.";
        Self::refused("stale", message.to_owned())
    }

    /// The session goes on, and what it may do ended with its token.
    pub(super) fn token_is_gone() -> Self {
        let message = "the token that this session was opened with is revoked, or its time is over\n  Nothing was \
                       changed. Ask for a link with another one.";
        Self::of_http(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// As many sessions, or links to one, as an instance keeps.
    pub(super) fn too_many_sessions() -> Self {
        let message = "the instance keeps no more sessions and login links than there are now\n  None was ended by this. \
                       Log out of some, or wait half an hour: those that are left alone end.";
        Self::conflict("too_many_sessions", message.to_owned())
    }

    /// In place of that the link opens nothing, to who goes on trying.
    pub(super) fn too_many_links(seconds: u32) -> Self {
        let mut fault = Self::too_many(seconds);
        fault.message = format!(
            "too many login links from this address were refused\n  Nothing was changed. Try again in {seconds} s, with a \
             link that was not used yet."
        );
        fault
    }

    /// Whether a form may be shown again beside it: for certain nothing was changed, and another answer may do.
    pub(super) fn is_of_the_form(&self) -> bool {
        self.is_refusal() || self.status() == StatusCode::BAD_REQUEST
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
        let message = match self.0.code {
            // Where the list is and what to do there make no heading.
            "read_only" => format!("the list may not be changed here\n{}", self.0.to_string().replacen('\n', ".\n", 1)),
            _ => self.0.to_string(),
        };
        let (what, rest) = message.split_once('\n').unwrap_or((&message, ""));
        let content = html! {
            section.notice.narrow {
                h1 { (sentence(what)) }
                @for line in rest.lines() { p { (written(line.trim())) } }
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
        response.headers_mut().extend(self.0.header.clone());
        response.extensions_mut().insert(self.0.outcome());
        response
    }
}

/// A page with a form, for the first time or beside what stood against it.
pub(super) fn asking(page: Markup, refused: Option<&Fault>) -> Response {
    let mut response = layout::answer(refused.map_or(StatusCode::OK, Fault::status), page);
    if let Some(fault) = refused {
        response.extensions_mut().insert(fault.outcome());
    }
    response
}

/// Above a form that is shown again: what stood against it, and what to do next.
pub(super) fn alert(refused: &Fault) -> Markup {
    // What is an option of the command is a field of the form.
    let next = refused.to_string().lines().nth(1).unwrap_or_default().replace("use --force", "overrule it below");
    html! { p.alert role="alert" { strong { "Refused: " } (first_line(refused)) ". " (written(next.trim())) } }
}

/// What happened, without what a command would do next.
pub(super) fn first_line(why: &impl std::fmt::Display) -> String {
    why.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// What stands between two backticks is typed somewhere.
fn written(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// With a capital, as a heading begins.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_somewhere_is_told_from_what_is_said() {
        for (text, shown) in [
            ("Run `relatch reload`. <b>", "Run <code>relatch reload</code>. &lt;b&gt;"),
            ("`a` or `b`", "<code>a</code> or <code>b</code>"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(written(text).into_string(), shown);
        }
    }

    #[test]
    fn a_form_is_shown_again_only_where_nothing_was_changed_for_certain() {
        let text = String::new;
        for (fault, again) in [
            (Fault::refused("list_would_be_refused", text()), true),
            (Fault::changed_meanwhile(), true),
            (Fault::invalid(text()), true),
            (Fault::conflict("not_in_force", text()), false),
            (Fault::conflict("stopping", text()), false),
            (Fault::conflict("read_only", text()), false),
            (Fault::failed(text()), false),
            (Fault::too_many(1), false),
        ] {
            assert_eq!(fault.is_of_the_form(), again, "{}", fault.code);
        }
    }
}
