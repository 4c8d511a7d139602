//! Old against new over the last day: the uses of the newest secret above the line, those of the others beneath it.

use maud::{Markup, html};

use super::history::{HOURS, Track};
use crate::domain::ids::SecretId;
use crate::domain::spoken::count;

/// Units of the drawing.
const STEP: u64 = 20;
const BAR: u64 = 14;
const HEIGHT: u64 = 104;

/// Nothing where there is nothing to compare.
pub(super) fn of(tracks: &[Track], current: Option<&SecretId>) -> Option<Markup> {
    let sum = |of: &dyn Fn(&Track) -> bool| {
        tracks.iter().filter(|track| of(track)).fold([0u64; HOURS], |mut sum, track| {
            sum.iter_mut().zip(track.hours).for_each(|(sum, uses)| *sum += uses);
            sum
        })
    };
    if tracks.len() < 2 {
        return None;
    }
    let (new, old) = (sum(&|track| Some(&track.secret) == current), sum(&|track| Some(&track.secret) != current));
    // One scale for both, and the line where both find room.
    let most = |uses: &[u64; HOURS]| uses.iter().copied().max().unwrap_or(0);
    let (above, below) = (most(&new), most(&old));
    let whole = (above + below).max(1);
    // What happened at all is seen.
    let height = |uses: u64| if uses == 0 { 0 } else { (uses.saturating_mul(HEIGHT) / whole).max(3) };
    let line = if above + below == 0 { HEIGHT / 2 } else { height(above) } + 3;
    let width = STEP * HOURS as u64;
    let bars = |uses: [u64; HOURS]| uses.into_iter().zip(0u64..).filter(|(uses, _)| *uses > 0);
    Some(html! {
        figure.picture {
            svg viewBox=(format!("0 0 {width} {}", HEIGHT + 8)) role="img" aria-label=(said(&new, &old)) {
                line.axis x1="0" x2=(width) y1=(line) y2=(line) {}
                @for (uses, at) in bars(new) {
                    rect.new x=(at * STEP + (STEP - BAR) / 2) y=(line - 1 - height(uses)) width=(BAR) height=(height(uses)) rx="2" {}
                }
                @for (uses, at) in bars(old) {
                    rect.old x=(at * STEP + (STEP - BAR) / 2) y=(line + 1) width=(BAR) height=(height(uses)) rx="2" {}
                }
            }
            div.hours aria-hidden="true" { span { "24 h ago" } span { "now" } }
            figcaption {
                span.key.new { "new: " strong { (count(new.iter().sum())) } " uses" }
                span.key.old { "old: " strong { (count(old.iter().sum())) } " uses" }
                span.sub { "in the last day" }
            }
        }
    })
}

/// The same for who does not see it.
fn said(new: &[u64; HOURS], old: &[u64; HOURS]) -> String {
    let last = |uses: &[u64; HOURS]| match uses.iter().rev().position(|uses| *uses > 0) {
        None => "none".to_owned(),
        Some(0) => "the last within this hour".to_owned(),
        Some(hours) => format!("the last {hours} h ago"),
    };
    let told = |name: &str, uses: &[u64; HOURS]| format!("{name} {} ({})", count(uses.iter().sum()), last(uses));
    format!("Uses in the last 24 hours: {}, {}.", told("new secret", new), told("old secrets", old))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_shows() {
        let (mut new, mut old) = ([0; HOURS], [0; HOURS]);
        (new[HOURS - 1], old[HOURS - 3]) = (1200, 7);
        assert_eq!(
            said(&new, &old),
            "Uses in the last 24 hours: new secret 1,200 (the last within this hour), old secrets 7 (the last 2 h ago)."
        );
        assert!(of(&[], None).is_none());
    }
}
