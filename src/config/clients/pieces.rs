//! Long lists are read piece by piece, a few hundred clients at a time: a parser holds some fifty times the text that it
//! reads, and what it holds of one piece is still at hand for the next.
//!
//! A piece begins at a line that says `[[client]]`. Where that is no header but part of a longer string or list, the
//! piece before it has no end and is no TOML. Whatever is not in order in any piece has the text read as a whole: only
//! then is every problem told, in its place.
//!
//! Where a text is cut depends on what stands around the cut and on nothing far away: most pieces of a list that was edited
//! are, byte for byte, pieces of what it was before, and need not be read again.

use std::ops::Range;

use memchr::memmem;

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

/// The pieces of a text, and nothing else of it.
pub fn of(text: &str, language: Language) -> Vec<Range<usize>> {
    match language {
        Language::Toml => cut(text, PIECE),
        Language::Json => std::iter::once(0..text.len()).collect(),
    }
}

fn read_pieces(text: &str, pieces: &[Range<usize>], file: usize) -> Option<ClientList> {
    let mut whole = ClientList::default();
    for piece in pieces {
        // Behind `[end]` nothing may follow.
        if whole.end.is_some() {
            return None;
        }
        let list = read_piece(text, piece, Language::Toml, file)?;
        whole.end = list.end;
        whole.clients.extend(list.clients);
    }
    let counts = whole.counts();
    Some(whole).filter(|whole| whole.end.is_none_or(|said| said == counts))
}

/// What one piece says, `[end]` being what it says of the whole file; nothing where anything in it is not in order.
pub fn read_piece(text: &str, piece: &Range<usize>, language: Language, file: usize) -> Option<ClientList> {
    let reading = Reading::of(Doc { name: "", text: text.get(piece.clone())? });
    let node = reading.doc.parse(language, &mut reading.problems.borrow_mut())?;
    let Value::Table(entries) = &node.value else { return None };
    // In brackets it stands once: headers in another piece would be a second list.
    let in_brackets = |(key, span, _): &(String, Range<usize>, _)| key == "client" && !under_headers(&reading, span);
    if language == Language::Toml && entries.iter().any(in_brackets) {
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
    let clients = list.clients.into_iter().map(|client| client.shifted(piece.start)).collect();
    Some(ClientList { clients, ..list })
}

/// Whether a list stands under headers of its own, rather than in brackets.
fn under_headers(reading: &Reading<'_>, key: &Range<usize>) -> bool {
    reading.doc.text.get(..key.start).is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with("[["))
}

/// Pieces of at least this length and seldom more than twice of it, each but the first from a header on: of those
/// headers that it may end at, the one that the text behind it makes first in an order that has nothing to do with places.
fn cut(text: &str, length: usize) -> Vec<Range<usize>> {
    let header = memmem::Finder::new(HEADER);
    let headers = |from: usize| {
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        header.find_iter(rest).map(move |at| from + at + 1)
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(first) = headers(start + length).next() {
        let near = headers(first).take_while(|at| *at < start + 2 * length);
        let at = near.fold((first, order(text, first)), |best, at| {
            let order = order(text, at);
            if order < best.1 { (at, order) } else { best }
        });
        pieces.push(start..at.0);
        start = at.0;
    }
    pieces.push(start..text.len());
    pieces
}

/// How many bytes behind a header decide whether the text is cut there: enough for the id of a client.
const TELLING: usize = 96;

fn order(text: &str, at: usize) -> u32 {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    crc32fast::hash(rest.get(..TELLING).unwrap_or(rest))
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
    fn an_edit_moves_the_cuts_around_it_and_no_others() {
        let clients: Vec<String> = (0..2000).map(|number| client(&format!("c{number}"))).collect();
        let of =
            |text: &str| -> Vec<String> { cut(text, 4096).into_iter().map(|piece| text[piece].to_owned()).collect() };
        let before = of(&clients.concat());
        assert!(before.len() > 50, "{}", before.len());
        for at in [0, 700, 1999] {
            let mut edited = clients.clone();
            edited.insert(at, client("new"));
            let after = of(&edited.concat());
            let new = after.iter().filter(|piece| !before.contains(piece)).count();
            assert!(new <= 12, "{at}: {new} of {}", after.len());
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
