//! Times as a page says them: roughly for the eye, exactly in the tooltip and for who listens.

use maud::{Markup, html};

use crate::domain::clock::Timestamp;
use crate::domain::spoken::ago;

/// `2 min ago`
pub(super) fn time(at: Timestamp, now: Timestamp) -> Markup {
    let exact = exact(at);
    html! {
        time datetime=(at.rfc3339()) title=(exact) { (ago(at, now)) }
        span.hidden { " (" (exact) ")" }
    }
}

/// The same, or a word where there is none.
pub(super) fn time_or(at: Option<Timestamp>, now: Timestamp, none: &str) -> Markup {
    at.map_or_else(|| html! { span.none { (none) } }, |at| time(at, now))
}

/// `2026-11-21 13:40:05 UTC`
pub(super) fn exact(at: Timestamp) -> String {
    let text = at.rfc3339();
    let whole = text.split(['.', 'Z']).next().unwrap_or(&text);
    format!("{} UTC", whole.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_twice() {
        let now = Timestamp::from_millis(1_795_268_405_123);
        let said = time(Timestamp::from_millis(1_795_268_105_123), now).into_string();
        for part in [">5 min ago</time>", "title=\"2026-11-21 ", " UTC\"", "(2026-11-21 ", "datetime=\"2026-11-21T"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
