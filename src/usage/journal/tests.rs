//! Whatever happens to the bytes, a journal says what it once said, or less.

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn state(bytes: &[u8]) -> State {
    match read(bytes).unwrap() {
        Found::Ours(state, _) => state,
        Found::Newer(_) | Found::Foreign => State::default(),
    }
}

fn entry(uses: u64, callers: &[(u8, u64)]) -> Entry {
    let caller = |&(host, seen): &(u8, u64)| Sighting {
        address: Source::from(std::net::IpAddr::from([10, 0, 0, host])),
        user_agent: "curl/8".into(),
        method: AuthMethod::Post,
        at: at(seen),
    };
    let from: Vec<Sighting> = callers.iter().map(caller).collect();
    let refused = Refusals { count: uses / 2, from: from.iter().take(1).cloned().collect() };
    let seen = Seen { last_used: Some(at(1000 + uses)), uses, from, refused, ..Seen::since(at(500)) };
    Entry { client: "billing \"\n{".into(), tenant: "shop".into(), secret: "sec_1".into(), seen, gone: None }
}

fn line(key: u8, entry: &Entry, extent: Extent) -> Vec<u8> {
    let mut out = Vec::new();
    write(&Key([key; 16]), entry.row(), extent, &mut out).unwrap();
    out
}

#[test]
fn a_line_reads_back() {
    let entry = Entry { gone: Some(at(9)), ..entry(7, &[(1, 900), (2, 800)]) };
    let bytes = [header().into_bytes(), line(1, &entry, Extent::Full)].concat();
    assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 2);
    assert_eq!(state(&bytes).entries[&Key([1; 16])], entry);
    let short = line(1, &entry, Extent::Short);
    assert!(short.len() < 150 && short.len() * 2 < bytes.len(), "{} of {}", short.len(), bytes.len());
}

#[test]
fn a_client_of_no_tenant_is_known_from_files_of_before_there_were_any() {
    use crate::config::clients::ClientList;
    use crate::config::tree::{Doc, Language};
    use crate::registry::build::{Ground, SecretFiles, build};
    let one = |rest: &str| format!("[[client]]\nid = \"c1\"\n{rest}[[client.secret]]\nid = \"s\"\nsecret = \"v\"\n");
    let text = one("") + &one("tenant = \"t\"\n");
    let list = ClientList::parse(Doc { name: "f", text: &text }, Language::Toml, 0).0.unwrap();
    let ground = Ground {
        files: &SecretFiles::new(),
        previous: None,
        forwards: false,
        endpoints: &[],
        keep_revoked: std::time::Duration::ZERO,
        now: Timestamp::MIN,
    };
    let list = build(list.clients, &ground, 0, Vec::new()).0.unwrap();
    let key = |at: usize| Key::of(&list.clients[at].key, &list.clients[at].records()[0]).to_string();
    // As the first version of the format has it.
    assert_eq!(key(0), "SX95nlQmPoygBA7056rtFQ");
    assert_ne!(key(1), key(0));
    let json = format!("{{\"key\":\"{}\",\"client\":\"c1\",\"secret\":\"s\",\"since\":5,\"uses\":3}}", key(0));
    let line = format!("relatch-state 1\n{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    let state = state(line.as_bytes());
    assert_eq!(state.seen(&list.clients[0].key, &list.clients[0].records()[0]).unwrap().uses, 3);
    assert!(state.seen(&list.clients[1].key, &list.clients[1].records()[0]).is_none());
}

#[test]
fn the_last_line_wins_but_never_backwards() {
    let lines = [
        line(1, &entry(9, &[(1, 900)]), Extent::Full),
        line(1, &entry(4, &[(2, 950)]), Extent::Full),
        line(1, &entry(6, &[]), Extent::Short),
    ];
    let bytes = [header().into_bytes(), lines.concat()].concat();
    let seen = &state(&bytes).entries[&Key([1; 16])].seen;
    assert_eq!((seen.uses, seen.last_used, seen.refused.count), (9, Some(at(1009)), 4));
    assert_eq!(seen.from.iter().map(|sighting| sighting.at.millis()).collect::<Vec<_>>(), [950, 900]);
}

#[test]
fn what_is_not_ours_is_told_from_what_was_damaged() {
    let good = line(1, &entry(1, &[]), Extent::Full);
    let with = |head: &str, rest: &[u8]| [head.as_bytes(), rest].concat();
    for (bytes, expected) in [
        (Vec::new(), "ours 0"),
        (with("relatch-", b""), "ours 1"),
        (with("relatch-state 1\n", b""), "ours 0"),
        (with("relatch-state 1\n", &good), "ours 0"),
        (with("relatch-state 1\n", b"garbage\n\xff\xfe\n"), "ours 2"),
        (with("relatch-state 1\n", &good[..good.len() - 1]), "ours 1"),
        (with("relXtch-state 1\n", &good), "ours 1"),
        (with("relatch-state 0\n", &good), "ours 1"),
        (with("relatch-state 2\n", &good), "newer 2"),
        (with("[[client]]\n", b"id = \"a\"\n"), "foreign"),
        (vec![0; 100_000], "foreign"),
        (vec![b'\n'; 5], "foreign"),
    ] {
        let found = match read(&*bytes).unwrap() {
            Found::Ours(_, damaged) => format!("ours {damaged}"),
            Found::Newer(version) => format!("newer {version}"),
            Found::Foreign => "foreign".to_owned(),
        };
        assert_eq!(found, expected, "{:?}", bytes.get(..40).unwrap_or(&bytes).escape_ascii().to_string());
    }
}

/// A journal as lines: of which key, how many uses, from whom, how much of it.
fn journals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = (0..3u8, 0..1000u64, prop::collection::vec((0..12u8, 0..5000u64), 0..9), any::<bool>());
    let line = line.prop_map(|(key, uses, callers, full)| {
        line_of(key, uses, &callers, if full { Extent::Full } else { Extent::Short })
    });
    prop::collection::vec(line, 0..12)
}

fn line_of(key: u8, uses: u64, callers: &[(u8, u64)], extent: Extent) -> Vec<u8> {
    line(key, &entry(uses, callers), extent)
}

/// What happens to a file: it is cut, bytes are changed, a piece is lost or comes twice.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Cut(usize),
    Change(usize, u8),
    Lose(usize, usize),
    Repeat(usize, usize),
}

fn damages() -> impl Strategy<Value = Damage> {
    let place = 0..6000usize;
    prop_oneof![
        place.clone().prop_map(Damage::Cut),
        (place.clone(), any::<u8>()).prop_map(|(at, to)| Damage::Change(at, to)),
        (place.clone(), 0..300usize).prop_map(|(at, length)| Damage::Lose(at, length)),
        (place, 0..300usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

fn damage(bytes: &mut Vec<u8>, damage: Damage) {
    let bound = |at: usize| at % (bytes.len() + 1);
    match damage {
        Damage::Cut(at) => bytes.truncate(bound(at)),
        Damage::Change(at, to) => {
            let at = bound(at);
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = to);
        }
        Damage::Lose(at, length) => {
            let from = bound(at);
            drop(bytes.drain(from..(from + length).min(bytes.len())));
        }
        Damage::Repeat(at, length) => {
            let from = bound(at);
            let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
            bytes.splice(from..from, piece);
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_journal_says_what_some_of_its_lines_said(
        lines in journals(),
        all in prop::collection::vec(damages(), 1..4),
    ) {
        let whole = |count: usize| [header().into_bytes(), lines[..count].concat()].concat();
        let mut bytes = whole(lines.len());
        all.into_iter().for_each(|one| damage(&mut bytes, one));
        for (key, found) in state(&bytes).entries {
            let prefixes = (0..=lines.len()).filter_map(|count| state(&whole(count)).entries.remove(&key));
            // Each line says a value of its own; what is kept is the greatest of those that are left.
            let said: Vec<Seen> = lines
                .iter()
                .filter_map(|line| parse(line))
                .filter(|(of, _)| *of == key)
                .map(|(_, entry)| entry.seen)
                .chain(prefixes.map(|entry| entry.seen))
                .collect();
            let seen = found.seen;
            prop_assert!(said.iter().any(|said| said.uses == seen.uses && said.last_used == seen.last_used));
            prop_assert!(said.iter().any(|said| said.tracking_since == seen.tracking_since));
            prop_assert!(said.iter().any(|said| said.refused.count == seen.refused.count));
            for sighting in &seen.from {
                prop_assert!(said.iter().any(|said| said.from.contains(sighting)));
            }
            prop_assert!(seen.from.len() <= MAX_SIGHTINGS);
        }
    }

    #[test]
    fn a_cut_journal_says_what_a_prefix_of_its_lines_said(lines in journals(), cut in 0..6000usize) {
        let whole = |count: usize| [header().into_bytes(), lines[..count].concat()].concat();
        let mut bytes = whole(lines.len());
        bytes.truncate(cut % (bytes.len() + 1));
        let found = state(&bytes);
        prop_assert!((0..=lines.len()).any(|count| state(&whole(count)).entries == found.entries));
    }

    #[test]
    fn anything_at_all_can_be_read(bytes: Vec<u8>, header_too: bool) {
        let head = if header_too { header().into_bytes() } else { Vec::new() };
        let _whatever_it_is = state(&[head, bytes].concat());
    }
}
