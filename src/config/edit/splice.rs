//! Cutting and pasting in a text, and what stands on its lines: blanks, comments, things.

use std::ops::Range;

/// What goes first where several things are pasted at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Part of an entry that is there.
    Inside,
    /// An entry at the end of a client.
    Secret,
    /// An entry at the end of the clients.
    Client,
    /// What takes text away or replaces it: what is pasted where it begins comes before it.
    Cut,
}

/// Changes to one text, made all at once.
pub(super) struct Splices<'t> {
    text: &'t str,
    /// How the text ends its lines.
    pub(super) eol: &'static str,
    changes: Vec<(Range<usize>, Rank, String)>,
}

impl<'t> Splices<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, eol: eol(text), changes: Vec::new() }
    }

    pub(super) fn paste(&mut self, at: usize, rank: Rank, text: String) {
        self.changes.push((at..at, rank, text));
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: String) {
        self.changes.push((range, Rank::Cut, text));
    }

    pub(super) fn cut(&mut self, range: Range<usize>) {
        self.replace(range, String::new());
    }

    /// Pastes whole lines at the start of a line, or behind a last line that has no end; that one stays without.
    pub(super) fn paste_lines(&mut self, at: usize, rank: Rank, lines: &str) {
        let open = at == self.text.len() && !self.text.is_empty() && !self.text.ends_with('\n');
        let lines = if open { format!("{}{}", self.eol, lines.trim_end()) } else { lines.to_owned() };
        self.paste(at, rank, lines);
    }

    /// Pastes an entry, with an empty line between it and what stands around it where `apart`.
    pub(super) fn paste_entry(&mut self, at: usize, rank: Rank, entry: &str, apart: bool) {
        let blank_before = self.text.get(..at).is_none_or(|before| {
            before.is_empty() || before.ends_with("\n\n") || before.ends_with("\n\r\n") || before == self.eol
        });
        let after = self.text.get(at..).unwrap_or_default();
        let blank_after = after.is_empty() || is_blank(after.lines().next().unwrap_or_default());
        let gap = |wanted: bool| if wanted && apart { self.eol } else { "" };
        let lines = format!("{}{entry}{}", gap(!blank_before), gap(!blank_after));
        self.paste_lines(at, rank, &lines);
    }

    /// Takes whole lines out, and with them the empty lines above where others stand below.
    pub(super) fn cut_entry(&mut self, lines: Range<usize>) {
        let (mut start, mut end) = (lines.start, lines.end);
        let next = |at: usize| at..line_end(self.text, at);
        let blank = |line: Range<usize>| self.text.get(line).is_some_and(is_blank);
        if end == self.text.len() || blank(next(end)) {
            while start > 0 && blank(line_start(self.text, start - 1)..start) {
                start = line_start(self.text, start - 1);
            }
        }
        if start == 0 {
            while end < self.text.len() && blank(next(end)) {
                end = line_end(self.text, end);
            }
        }
        self.cut(start..end);
    }

    /// The text with all changes made.
    pub(super) fn done(mut self) -> String {
        self.changes.sort_by_key(|(range, rank, _)| (range.start, *rank));
        let mut made = String::with_capacity(self.text.len() + self.changes.iter().map(|c| c.2.len()).sum::<usize>());
        let mut at = 0;
        for (range, _, text) in self.changes {
            made.push_str(self.text.get(at..range.start).unwrap_or_default());
            made.push_str(&text);
            // Two cuts may share the empty lines between them.
            at = range.end.max(at);
        }
        made.push_str(self.text.get(at..).unwrap_or_default());
        made
    }
}

/// How a text ends its lines: as it ends the first.
pub(super) fn eol(text: &str) -> &'static str {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    if first.ends_with("\r\n") { "\r\n" } else { "\n" }
}

/// Where the line of a byte begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// Where the line after that of a byte begins.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |newline| at + newline + 1)
}

/// The spaces before a byte, where it is the first on its line that is none.
pub(super) fn indent(text: &str, at: usize) -> Option<&str> {
    text.get(line_start(text, at)..at).filter(|before| is_blank(before))
}

/// Where the comment begins that stands directly above a line; the line itself where there is none. What is written for
/// programs (`#:schema`) belongs to the file.
pub(super) fn above(text: &str, line: usize) -> usize {
    let mut start = line;
    while start > 0 {
        let before = line_start(text, start - 1);
        let own = text.get(before..start).is_some_and(|line| is_comment(line) && !line.trim_start().starts_with("#:"));
        if !own {
            break;
        }
        start = before;
    }
    start
}

/// Where the comment ends that stands directly below a line, unless it stands directly above the next thing.
pub(super) fn below(text: &str, line: usize) -> usize {
    let mut end = line;
    while end < text.len() {
        let next = line_end(text, end);
        let Some(line_text) = text.get(end..next) else { break };
        if is_blank(line_text) {
            break;
        }
        if !is_comment(line_text) {
            return line;
        }
        end = next;
    }
    end
}

pub(super) fn is_blank(line: &str) -> bool {
    line.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}
