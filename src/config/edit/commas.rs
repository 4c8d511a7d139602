//! A list of things with commas between them, as people write one: on one line, or on many with comments.

use std::ops::Range;

use super::splice::{Rank, Splices, above, indent, is_blank, line_end, line_start};

/// Where the things of an inline array or table stand.
pub(super) struct Commas<'t> {
    text: &'t str,
    /// Between the brackets.
    inner: Range<usize>,
    items: Vec<Range<usize>>,
}

impl<'t> Commas<'t> {
    /// `whole` holds the brackets too.
    pub(super) fn new(text: &'t str, whole: &Range<usize>, items: Vec<Range<usize>>) -> Self {
        Self { text, inner: whole.start + 1..whole.end.saturating_sub(1), items }
    }

    /// Adds one thing at the end, written as the last one is.
    pub(super) fn add(&self, item: &str, splices: &mut Splices<'_>) {
        let eol = splices.eol;
        let Some(last) = self.items.last() else { return self.add_first(item, splices) };
        let comma = self.comma_after(last);
        let Some(indent) = self.own_line(last) else {
            return splices.paste(last.end, Rank::Inside, format!(", {item}"));
        };
        let tail = comma.map_or(last.end, |comma| comma + 1);
        let end = if comma.is_some() { "," } else { "" };
        if comma.is_none() {
            splices.paste(last.end, Rank::Inside, ",".to_owned());
        }
        match self.rest_of_line(tail) {
            Some(next) => splices.paste(next, Rank::Inside, format!("{indent}{item}{end}{eol}")),
            None => splices.paste(tail, Rank::Inside, format!("{eol}{indent}{item}{end}")),
        }
    }

    fn add_first(&self, item: &str, splices: &mut Splices<'_>) {
        let inside = self.text.get(self.inner.clone()).unwrap_or_default();
        if inside.contains('\n') {
            let closing = line_start(self.text, self.inner.end);
            let indent = indent(self.text, self.inner.end).unwrap_or_default();
            splices.paste(closing, Rank::Inside, format!("{indent}  {item},{}", splices.eol));
        } else {
            splices.replace(self.inner.clone(), item.to_owned());
        }
    }

    /// Takes one thing out, with the comments above and behind it where it has its lines for itself.
    pub(super) fn remove(&self, index: usize, splices: &mut Splices<'_>) {
        let Some(item) = self.items.get(index) else { return };
        let comma = self.comma_after(item);
        let tail = comma.map_or(item.end, |comma| comma + 1);
        if self.own_line(item).is_some()
            && let Some(next) = self.rest_of_line(tail)
        {
            return splices.cut(above(self.text, line_start(self.text, item.start))..next);
        }
        if comma.is_some() {
            let after = self.text.get(tail..self.inner.end).unwrap_or_default();
            let spaces = if index + 1 < self.items.len() {
                after.len() - after.trim_start_matches([' ', '\t']).len()
            } else {
                0
            };
            return splices.cut(item.start..tail + spaces);
        }
        let before = index.checked_sub(1).and_then(|index| self.items.get(index));
        let comma = before.and_then(|before| self.comma_after(before));
        let start = comma.filter(|comma| !self.text.get(*comma..item.start).unwrap_or_default().contains('#'));
        splices.cut(start.unwrap_or(item.start)..item.end);
    }

    /// The indentation of a thing that stands first on its line, below the opening bracket.
    fn own_line(&self, item: &Range<usize>) -> Option<&'t str> {
        indent(self.text, item.start).filter(|_| line_start(self.text, item.start) > self.inner.start)
    }

    /// Where the next line begins, if nothing but a comment stands on this one from here on.
    fn rest_of_line(&self, at: usize) -> Option<usize> {
        let next = line_end(self.text, at);
        let rest = self.text.get(at..next)?;
        (next <= self.inner.end && (is_blank(rest) || rest.trim_start().starts_with('#'))).then_some(next)
    }

    /// The comma behind a thing: what stands between them is blank or comment.
    fn comma_after(&self, item: &Range<usize>) -> Option<usize> {
        let mut at = item.end;
        while let Some(rest) = self.text.get(at..self.inner.end) {
            at += rest.len() - rest.trim_start().len();
            match self.text.as_bytes().get(at).filter(|_| at < self.inner.end)? {
                b'#' => at = line_end(self.text, at),
                b',' => return Some(at),
                _ => return None,
            }
        }
        None
    }
}
