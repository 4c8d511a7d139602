//! Edits to a list that was read before: where its clients stand is known, so that only the lines around those that the
//! edits are about are looked at again, however long the list is.

use std::ops::Range;

use super::splice::{eol, line_start};
use super::toml::{self, Frame};
use super::{Edit, Known};

/// A stretch of a text, from one client's header to another's, and what is to be done there.
struct Stretch {
    /// Of these clients, the first and the last.
    clients: (usize, usize),
    /// Each with its number in the order that they were asked for.
    edits: Vec<(usize, Edit)>,
}

/// The text with the changes made, as [`toml::apply`] makes them of the whole text. Nothing where that must do it: the
/// clients stand under no headers, or an edit cannot be made.
pub(super) fn apply(text: &str, edits: &[Edit], known: &Known<'_>) -> Option<String> {
    let stretches = stretches(edits, known)?;
    let (last, others) = stretches.split_last()?;
    let eol = eol(text);
    let (mut clients, mut secrets) = (known.starts.len(), known.secrets);
    let mut made = Vec::with_capacity(stretches.len());
    for stretch in others {
        let range = stretch.range(text, known)?;
        let old = text.get(range.clone())?;
        let new = toml::apply(old, &stretch.in_order(), Frame { eol, outside: (0, 0) }).ok()?;
        let (before, after) = (toml::counts(old).ok()?, toml::counts(&new).ok()?);
        clients = (clients + after.0).checked_sub(before.0)?;
        secrets = (secrets + after.1).checked_sub(before.1)?;
        made.push((range, new));
    }
    // The counts of `[end]`, which stands last, take in what became of the others.
    let range = last.range(text, known)?;
    let old = text.get(range.clone())?;
    let own = toml::counts(old).ok()?;
    let outside = (clients.checked_sub(own.0)?, secrets.checked_sub(own.1)?);
    made.push((range, toml::apply(old, &last.in_order(), Frame { eol, outside }).ok()?));
    let mut whole = String::with_capacity(text.len() + made.iter().map(|(_, new)| new.len()).sum::<usize>());
    let mut at = 0;
    for (range, new) in made {
        whole += text.get(at..range.start)?;
        whole += &new;
        at = range.end;
    }
    whole += text.get(at..)?;
    Some(whole)
}

/// Each client's stretch has its neighbours too: blank lines and comments between two entries are looked at from both.
/// The last stretch ends with the text.
fn stretches(edits: &[Edit], known: &Known<'_>) -> Option<Vec<Stretch>> {
    let end = known.starts.len().checked_sub(1)?;
    let around = |at: usize| (at.saturating_sub(1), (at + 1).min(end));
    let mut wanted = vec![Stretch { clients: around(end), edits: Vec::new() }];
    for (number, edit) in edits.iter().enumerate() {
        let at = match (edit, (known.of)(edit.client())) {
            (Edit::AddClient(_), None) => end,
            (Edit::AddClient(_), Some(_)) | (_, None) => return None,
            (_, Some(start)) => known.starts.binary_search(&start).ok()?,
        };
        wanted.push(Stretch { clients: around(at), edits: vec![(number, edit.clone())] });
    }
    wanted.sort_by_key(|stretch| stretch.clients.0);
    let mut stretches: Vec<Stretch> = Vec::new();
    for next in wanted {
        match stretches.last_mut().filter(|last| next.clients.0 <= last.clients.1) {
            Some(last) => {
                last.clients.1 = last.clients.1.max(next.clients.1);
                last.edits.extend(next.edits);
            }
            None => stretches.push(next),
        }
    }
    Some(stretches)
}

impl Stretch {
    fn in_order(&self) -> Vec<Edit> {
        let mut edits = self.edits.clone();
        edits.sort_by_key(|(number, _)| *number);
        edits.into_iter().map(|(_, edit)| edit).collect()
    }

    /// Where it stands: up to the header of the client behind it, or to the end.
    fn range(&self, text: &str, known: &Known<'_>) -> Option<Range<usize>> {
        let header = |client: usize| {
            let start = line_start(text, *known.starts.get(client)?);
            text.get(start..)?.trim_start_matches([' ', '\t']).starts_with("[[").then_some(start)
        };
        let first = header(self.clients.0)?;
        let start = if self.clients.0 == 0 { 0 } else { first };
        let behind = self.clients.1 + 1;
        Some(start..if behind < known.starts.len() { header(behind)? } else { text.len() })
    }
}
