//! What is taken over is what reading it again would have made.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::load::{Loaded, NotTaken, Taking};
use super::in_parts;
use crate::config::settings::Settings;
use crate::domain::clock::{Clock, Timestamp};
use crate::registry::diff::share_counts;
use crate::registry::{Snapshot, UpstreamIdentity};
use crate::source::file::{self, Patience};

/// A folder with a list.
struct Ground {
    folder: TempDir,
    settings: Settings,
    clock: Clock,
}

impl Ground {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("clients.toml");
        let text = format!("[upstream]\nurl = \"http://127.0.0.1:9\"\n[clients]\npath = \"{}\"\n", path.display());
        let settings = Settings::parse("relatch.toml", &text, &[], folder.path()).0.unwrap();
        Self { folder, settings, clock: Clock::start() }
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("clients.toml"), text).unwrap();
    }

    /// Has a secret file say something; long ago, so that nobody waits for it to be written.
    fn hold(&self, name: &str, value: &str) {
        let mut file = File::create(self.folder.path().join(name)).unwrap();
        file.write_all(value.as_bytes()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)).unwrap();
    }

    fn taking<'a>(&'a self, previous: Option<&'a Snapshot>) -> (Taking<'a>, Vec<file::Text>) {
        let (texts, problems) = file::read(&self.settings.clients.path, Patience::Whole);
        let seen = file::fingerprint(&texts, &problems);
        let (settings, clock) = (&self.settings, &self.clock);
        (Taking { texts: Vec::new(), problems, seen, settings, previous, known: &[], clock }, texts)
    }

    /// Part by part; nothing where the list is to be read as a whole.
    fn parts(&self, previous: Option<&Snapshot>) -> Option<Loaded> {
        let (taking, texts) = self.taking(previous);
        in_parts(&taking, texts).ok()
    }

    fn whole(&self, previous: Option<&Snapshot>) -> Result<Loaded, Vec<String>> {
        let (taking, texts) = self.taking(previous);
        taking.take_whole(texts, None).map_err(|not_taken| match not_taken {
            NotTaken::Refused(problems, _) => problems.errors.iter().map(ToString::to_string).collect(),
            NotTaken::Held(why, ..) => vec![why],
        })
    }
}

/// Everything that a list says and holds, cells by who they are.
fn told(loaded: &Loaded, before: &Snapshot, now: Timestamp) -> String {
    let list = &loaded.snapshot;
    share_counts(before, list);
    let mut text = format!("{} {:x} {:?} {:?}\n", list.generation, list.hash, list.guarded, list.texts);
    for (start, client) in list.starts() {
        let found = list.client(&client.key).is_some_and(|found| found.is_same(client));
        let (name, enabled, most, cells) =
            (&client.name, client.enabled, client.max_active, Arc::as_ptr(client.cells()));
        // Where its secrets changed, which of them works is to be found out anew.
        let old = before.client(&client.key).and_then(|old| old.upstream.as_ref());
        let is_known =
            |upstream: &UpstreamIdentity| old.is_some_and(|old| Arc::ptr_eq(&old.standing, &upstream.standing));
        let upstream =
            client.upstream.as_ref().map(|upstream| (&upstream.id, secrets_of(upstream), is_known(upstream)));
        let _ = writeln!(text, "{start:?} {:?} {found} {name} {enabled} {most} {cells:?} {upstream:?}", client.key);
        for (at, record) in client.records().iter().enumerate() {
            let slot = &client.slots()[at];
            let slot = (slot.record(), bool::from(slot.accepts(&record.identity(), now)));
            let window = (record.created(), record.not_before, record.expires, record.refused_until());
            let revoked = (record.revoked_at(), record.revoked_reason());
            let identity = *record.identity().bytes();
            let names = (&record.id, record.name(), record.status, &record.hint);
            // A secret that has just come has a cell of its own.
            let uses = Some(triomphe::Arc::as_ptr(&record.uses)).filter(|_| record.uses.uses() > 0);
            let _ = writeln!(text, "  {names:?} {identity:?} {window:?} {revoked:?} {slot:?} {uses:?}");
            let buried = list.buried(&client.key, |digest| *digest == record.identity());
            let _ = writeln!(text, "  {buried:?}");
        }
    }
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let names = (&loaded.seen.secrets, &loaded.seen.names);
    format!("{text}{warnings:#?}{names:?}")
}

fn secrets_of(upstream: &UpstreamIdentity) -> Vec<&str> {
    upstream.secrets.iter().map(|secret| std::str::from_utf8(secret.expose()).unwrap()).collect()
}

/// One client of a list that is being edited.
#[derive(Clone, Debug)]
struct Entry {
    number: u32,
    name: String,
    kind: u8,
    version: u8,
}

fn digest(number: u32, version: u8, which: u8) -> String {
    use base64::Engine;
    let text = format!("{number} {version} {which}");
    let digest = crate::hash::sha256(text.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.bytes())
}

fn text(entries: &[Entry], end: bool) -> String {
    let mut text = String::new();
    let mut secrets = 0;
    for Entry { number, name, kind, version } in entries {
        let _ = write!(text, "[[client]]\nid = \"c{number}\"\nname = \"{name}\"\n");
        if *kind == 5 {
            text.push_str("[client.upstream]\nsecret_file = \"up\"\n");
        }
        for which in 0..=(kind % 2) {
            secrets += 1;
            let digest = digest(*number, if *kind == 6 { 0 } else { *version }, which);
            let _ = write!(text, "[[client.secret]]\nid = \"s{which}\"\n");
            match (kind, which) {
                (8, _) => text.push_str("secret_file = \"one\"\n"),
                _ => drop(writeln!(text, "hash = \"$sha256${digest}\"")),
            }
            match kind {
                // Of its two secrets the first one ends.
                7 if which == 0 => text.push_str("expires = 2190-01-01T00:00:00Z\n"),
                2 => text.push_str("expires = 2020-01-01T00:00:00Z\n"),
                3 => text.push_str("expires = 2190-01-01T00:00:00Z\nhint = \"abcd\"\n"),
                4 => text.push_str("status = \"revoked\"\nrevoked_reason = \"x\"\n"),
                _ => {}
            }
        }
    }
    if end {
        let _ = write!(text, "[end]\nclients = {}\nsecrets = {secrets}\n", entries.len());
    }
    text
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    // Long names, so that a few hundred clients are many parts.
    let entry = (0u8..20, 0u8..2).prop_map(|(kind, version)| (kind, version));
    proptest::collection::vec(entry, 150..400).prop_map(|kinds| {
        let one = |(number, (kind, version)): (u32, (u8, u8))| Entry {
            number,
            name: "n".repeat(300 + number as usize % 7),
            kind: if kind > 9 { 0 } else { kind },
            version,
        };
        (0..).zip(kinds).map(one).collect()
    })
}

/// Clients put in, taken out, moved and changed.
fn edits() -> impl Strategy<Value = Vec<(u8, u16, u8)>> {
    proptest::collection::vec((0u8..5, any::<u16>(), 0u8..9), 0..5)
}

fn edit(entries: &mut Vec<Entry>, edits: &[(u8, u16, u8)]) {
    for (number, (what, at, kind)) in (1000..).zip(edits) {
        let at = usize::from(*at) % entries.len();
        match what {
            0 => entries.insert(at, Entry { number, name: String::new(), kind: *kind, version: 0 }),
            1 => drop(entries.remove(at)),
            2 => entries[at].kind = *kind,
            3 => entries[at].version ^= 1,
            _ => entries.rotate_left(at),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_list_that_takes_over_what_did_not_change_is_the_list_built_from_nothing(
        list in entries(), first in edits(), second in edits(), end: bool, up in 1usize..4, one in 1usize..4,
    ) {
        let ground = Ground::new();
        let mut list = list;
        let mut previous: Option<Snapshot> = None;
        for (turn, edits) in [&[][..], &first, &second].into_iter().enumerate() {
            edit(&mut list, edits);
            // Files that say something else from some turn on.
            ground.hold("up", &format!("upstream-secret-{}", turn >= up));
            ground.hold("one", &format!("secret-of-a-file-{}", turn >= one));
            ground.write(&text(&list, end));
            let now = ground.clock.now();
            let whole = ground.whole(previous.as_ref());
            let parts = ground.parts(previous.as_ref());
            match (whole, parts) {
                (Ok(whole), Some(parts)) => {
                    if let Some(previous) = &previous {
                        prop_assert_eq!(told(&parts, previous, now), told(&whole, previous, now));
                    }
                    parts.snapshot.clients.iter().flat_map(|client| client.records()).for_each(|record| record.uses.note(now));
                    previous = Some(parts.snapshot);
                }
                // Two clients with one file have one secret: that is told by the whole.
                (Ok(whole), None) => {
                    prop_assert!(whole.warnings.iter().any(|warning| warning.to_string().contains("same secret")));
                    previous = Some(whole.snapshot);
                }
                (Err(_), None) => {}
                (Err(errors), Some(_)) => prop_assert!(false, "taken in spite of {errors:?}"),
            }
        }
    }
}

/// Many clients, of kind 0.
fn plain(count: u32) -> Vec<Entry> {
    (0..count).map(|number| Entry { number, name: "n".repeat(300), kind: 0, version: 0 }).collect()
}

#[test]
fn most_of_a_list_that_was_edited_is_taken_over() {
    let ground = Ground::new();
    let mut list = plain(2000);
    ground.write(&text(&list, true));
    let before = ground.parts(None).unwrap().snapshot;
    for (at, kind) in [(0, 0), (1000, 4), (2000, 3)] {
        let mut edited = list.clone();
        edited.insert(at, Entry { number: 9999, name: String::new(), kind, version: 0 });
        ground.write(&text(&edited, true));
        let after = ground.parts(Some(&before)).unwrap().snapshot;
        let old = |client: &&crate::registry::Client| before.client(&client.key).is_some_and(|old| old.is_same(client));
        let taken = after.clients.iter().filter(old).count();
        assert!(taken > 1000, "{at}: {taken}");
    }
    // What a part says is taken over, and not what stands where it stood.
    list[1000].version = 1;
    ground.write(&text(&list, true));
    let after = ground.parts(Some(&before)).unwrap().snapshot;
    assert_ne!(after.clients[1000].records()[0].identity(), before.clients[1000].records()[0].identity());
}

#[test]
fn what_names_a_file_is_taken_over_for_as_long_as_the_file_holds_what_it_held() {
    let ground = Ground::new();
    let mut list = plain(1000);
    list.iter_mut().for_each(|entry| entry.kind = 5);
    ground.hold("up", "upstream-secret");
    ground.write(&text(&list, true));
    let before = ground.parts(None).unwrap().snapshot;
    list[500].version = 1;
    ground.write(&text(&list, true));
    let taken = |after: &Snapshot| {
        let same = |(old, new): &(&crate::registry::Client, &crate::registry::Client)| old.is_same(new);
        before.clients.iter().zip(&after.clients).filter(same).count()
    };
    let after = ground.parts(Some(&before)).unwrap();
    assert!((500..1000).contains(&taken(&after.snapshot)), "{}", taken(&after.snapshot));
    assert_eq!(after.seen.secrets.len(), 1, "what was not read again is watched all the same");
    ground.hold("up", "another");
    let after = ground.parts(Some(&before)).unwrap().snapshot;
    assert_eq!(taken(&after), 0);
    assert!(after.clients.iter().all(|client| secrets_of(client.upstream.as_ref().unwrap()) == ["another"]));
    fs::remove_file(ground.folder.path().join("up")).unwrap();
    assert!(ground.parts(Some(&before)).is_none());
    assert!(ground.whole(Some(&before)).err().unwrap()[0].contains("up"));
}

#[test]
fn what_two_clients_must_not_share_is_found_though_one_of_them_was_taken_over() {
    let ground = Ground::new();
    let list = plain(1000);
    ground.write(&text(&list, false));
    let before = ground.parts(None).unwrap().snapshot;
    let of = |id: &str, digest: &str| {
        format!("[[client]]\nid = \"{id}\"\n[[client.secret]]\nid = \"s\"\nhash = \"$sha256${digest}\"\n")
    };
    for (more, word) in [
        (of("c5", &digest(7777, 0, 0)), "stands in the list twice"),
        (of("%63500", &digest(7777, 0, 0)), "form-decoding"),
        (format!("{}{}", of("a+b", &digest(1, 1, 0)), of("a%20b", &digest(2, 1, 0))), "form-decoding"),
    ] {
        ground.write(&format!("{}{more}", text(&list, false)));
        assert!(ground.parts(Some(&before)).is_none(), "{more}");
        let errors = ground.whole(Some(&before)).err().unwrap();
        assert!(errors.iter().any(|error| error.contains(word)), "{errors:?}");
    }
    ground.write(&format!("{}{}", text(&list, false), of("x", &digest(500, 0, 0))));
    assert!(ground.parts(Some(&before)).is_none());
    let warnings = ground.whole(Some(&before)).ok().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.to_string().contains("have the same secret")), "{warnings:?}");
}

#[test]
fn an_end_that_has_come_is_seen_though_the_text_is_the_same() {
    // So many without an active secret that no more is told of any: nothing but the end itself is a reason to read again.
    let (ground, mut list) = (Ground::new(), plain(600));
    list.iter_mut().take(200).for_each(|entry| entry.kind = 4);
    list[500].kind = 7;
    ground.write(&text(&list, false));
    let before = ground.parts(None).unwrap().snapshot;
    ground.clock.pass(Duration::from_secs(200 * 366 * 86400));
    let (parts, whole) = (ground.parts(Some(&before)).unwrap(), ground.whole(Some(&before)).ok().unwrap());
    let taken = |at: usize| parts.snapshot.clients[at].is_same(&before.clients[at]);
    assert!(taken(300) && !taken(500));
    assert_eq!(told(&parts, &before, ground.clock.now()), told(&whole, &before, ground.clock.now()));
}
