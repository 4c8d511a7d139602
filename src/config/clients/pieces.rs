//! Long lists are read piece by piece, a few hundred clients at a time: a parser holds some fifty times the text that it
//! reads, and what it holds of one piece is still at hand for the next.
//!
//! A piece begins at a line that says `[[client]]`. Where that is no header but part of a longer string or list, the
//! piece before it has no end and is no TOML. Whatever is not in order in any piece has the text read as a whole: only
//! then is every problem told, in its place.

use std::ops::Range;

use super::{ClientEntry, ClientList};
use crate::config::reader::{Reading, Section};
use crate::config::tree::{Doc, Language, Value};

/// What fits into the caches of a processor together with what a parser makes of it, and is long enough to be worth it.
const PIECE: usize = 32 << 10;
/// How a piece begins.
const HEADER: &str = "\n[[client]]";

/// The list; nothing where the text is short, or is to be read as a whole.
pub(super) fn read(text: &str, file: usize) -> Option<ClientList> {
    let pieces = cut(text, PIECE);
    if pieces.len() < 2 { None } else { read_pieces(text, &pieces, file) }
}

fn read_pieces(text: &str, pieces: &[Range<usize>], file: usize) -> Option<ClientList> {
    let mut whole = ClientList::default();
    for piece in pieces {
        // Behind `[end]` nothing may follow.
        if whole.end.is_some() {
            return None;
        }
        let reading = Reading::of(Doc { name: "", text: text.get(piece.clone())? });
        let node = reading.doc.parse(Language::Toml, &mut reading.problems.borrow_mut())?;
        let Value::Table(entries) = &node.value else { return None };
        // In brackets it stands once: headers in another piece would be a second list.
        if entries.iter().any(|(key, span, _)| key == "client" && !under_headers(&reading, span)) {
            return None;
        }
        let mut root = Section::root(&reading, &node);
        let list = ClientList::take(&mut root, file);
        root.finish();
        let end = root.offset("end");
        let problems = reading.problems.into_inner();
        let behind = |client: &ClientEntry| list.end.is_some() && client.spot.offset > end;
        if !problems.errors.is_empty() || !problems.warnings.is_empty() || list.clients.iter().any(behind) {
            return None;
        }
        whole.end = list.end;
        whole.clients.extend(list.clients.into_iter().map(|client| client.shifted(piece.start)));
    }
    let counts = whole.counts();
    Some(whole).filter(|whole| whole.end.is_none_or(|said| said == counts))
}

/// Whether a list stands under headers of its own, rather than in brackets.
fn under_headers(reading: &Reading<'_>, key: &Range<usize>) -> bool {
    reading.doc.text.get(..key.start).is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with("[["))
}

/// Pieces of about this length, each but the first from a header on.
fn cut(text: &str, length: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(at) = following(text, start + length) {
        pieces.push(start..at);
        start = at;
    }
    pieces.push(start..text.len());
    pieces
}

/// Where the first header behind a byte begins.
fn following(text: &str, mut from: usize) -> Option<usize> {
    while from < text.len() && !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..)?.find(HEADER).map(|at| from + at + 1)
}

impl ClientEntry {
    /// As it stands in a text that has so much before the piece.
    fn shifted(mut self, by: usize) -> Self {
        let secrets = self.secrets.iter_mut().map(|secret| &mut secret.spot);
        [&mut self.spot, &mut self.start].into_iter().chain(secrets).for_each(|spot| spot.offset += by);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Problems;

    /// The list as it is read as a whole.
    fn whole(text: &str) -> (Option<ClientList>, Problems) {
        let reading = Reading::of(Doc { name: "f", text });
        let node = reading.doc.parse(Language::Toml, &mut reading.problems.borrow_mut());
        let list = node.map(|node| {
            let mut root = Section::root(&reading, &node);
            let list = ClientList::read(&mut root, 0);
            root.finish();
            list
        });
        (list, reading.problems.into_inner())
    }

    fn client(id: &str) -> String {
        let hash = format!("$sha256${}", "A".repeat(43));
        format!(
            "# ours\n[[client]]\nname = \"n\"\nid = \"{id}\"\n[client.upstream]\nsecret_file = \"f\"\n\
             [[client.secret]]\nid = \"s\"\nhash = \"{hash}\"\n\n"
        )
    }

    #[test]
    fn what_is_read_in_pieces_is_what_is_read_as_a_whole() {
        let clients: String = ["a", "b", "c", "ö"].map(client).concat();
        let end = "[end]\nclients = 4\nsecrets = 4\n";
        for text in
            [clients.clone(), format!("\"$schema\" = \"x\"\n\n{clients}{end}"), (clients + end).replace('\n', "\r\n")]
        {
            let read = whole(&text).0.unwrap();
            for length in [1, 100, 300] {
                let pieces = cut(&text, length);
                assert!(pieces.len() > 1);
                let made = read_pieces(&text, &pieces, 0).unwrap();
                assert_eq!(format!("{:?}", made.clients), format!("{:?}", read.clients));
                assert_eq!(made.end, read.end);
            }
            for client in &read.clients {
                assert!(text[client.start.offset..].starts_with("[[client]]"), "{}", client.start.offset);
            }
        }
    }

    #[test]
    fn what_means_something_else_in_pieces_is_read_as_a_whole() {
        let (a, b) = (client("a"), client("b"));
        let end = "[end]\nclients = 1\nsecrets = 1\n";
        for text in [
            // A header that is none.
            format!("{a}[[client]]\nid = \"b\"\nname = '''\n[[client]]\nid = \"c\"\n'''\n"),
            format!("{a}[[client]]\nid = \"b\"\nname = [\n[[client]]\n]\n"),
            // What stands twice, or behind the end, or in brackets first.
            format!("{a}{end}{b}{end}"),
            format!("{a}{end}{b}"),
            format!("client = [{{ id = \"x\" }}]\n{a}{b}"),
            format!("[client]\nid = \"x\"\n{a}{b}"),
            format!("{a}[other]\n{b}[other]\n"),
            // What is wrong in itself, or worth a warning.
            format!("{a}{b}{end}"),
            format!("{a}{}", b.replace("id = \"b\"", "di = \"b\"")),
            format!("{a}{}", b.replace("hash = ", "secret = ")),
            format!("{a}[[client]]\nid = \"b"),
        ] {
            let pieces = cut(&text, 1);
            assert!(pieces.len() > 1, "{text}");
            assert!(read_pieces(&text, &pieces, 0).is_none(), "{text}");
        }
    }
}
