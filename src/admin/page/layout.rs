//! What every page is made of.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use maud::{DOCTYPE, Markup, html};

use super::chrome::Chrome;

/// A page loads its own style and icon and sends forms to us: nothing else runs, loads or frames it.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// The one page with a script beside that: it copies what was shown once.
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
                                  form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                                  require-trusted-types-for 'script'";

/// A whole page; where there is a session, with the bar.
pub(super) fn document(title: &str, chrome: Option<&Chrome>, content: &Markup) -> Markup {
    whole(title, chrome, content, false)
}

/// The same with the script of the Copy button.
pub(super) fn document_with_script(title: &str, chrome: &Chrome, content: &Markup) -> Markup {
    whole(title, Some(chrome), content, true)
}

fn whole(title: &str, chrome: Option<&Chrome>, content: &Markup, script: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " - relatch" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/page.css";
                @if script { script src="/assets/page.js" defer {} }
            }
            body {
                @if let Some(chrome) = chrome {
                    a.skip href="#main" { "Skip to the content" }
                    (chrome.bar())
                }
                main #main { (content) }
            }
        }
    }
}

/// As an answer.
pub(super) fn answer(status: StatusCode, page: Markup) -> Response {
    sent(status, page, POLICY)
}

/// The same where the page has a script.
pub(super) fn answer_with_script(status: StatusCode, page: Markup) -> Response {
    sent(status, page, POLICY_WITH_SCRIPT)
}

fn sent(status: StatusCode, page: Markup, policy: &'static str) -> Response {
    let mut response = Response::new(Body::from(page.into_string()));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        // With none at all a browser says of our own forms that it does not know where they come from. More than the origin
        // would be the code of a login link.
        (header::REFERRER_POLICY, "strict-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
