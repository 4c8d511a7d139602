//! A slow record from its first presentation to its end.

use super::*;
use crate::config::settings::kinds::BasicDecoding;
use crate::domain::oauth::AuthResult;
use crate::extract::form::Form;
use crate::extract::{Presented as P, Scratch, extract};
use crate::registry::Snapshot;
use crate::verify::tests::{NOW, snapshot, snapshot_after};
use crate::verify::{post_mortem, verify};

/// Of `s3cret-ä~%+`, made with Python's bcrypt.
const BCRYPT: &str = "$2b$04$euw8i5Fze7FTjFBmIGPMWOkfJZK0cQelJW7YGGoDx9pGnf99T3wpi";
const SECRET: &str = "s3cret-%C3%A4%7E%25%2B";
/// The same secret under another salt.
const OTHER_HASH: &str = "$2a$04$5GQwDO/T4D5gnK4SZutYC.9T.ffR5HDpgvXb6261Wz9zOjxy81242";

fn list(hash: &str, rest: &str) -> String {
    format!(
        "[[client]]\nid = \"c\"\nsecret = [{{ id = \"fast\", secret = \"one\" }}, {{ id = \"slow\", hash = \"{hash}\"{rest} }}]\n"
    )
}

fn decide(snapshot: &Snapshot, secret: &str, now: Timestamp) -> Verdict {
    let body = format!("client_id=c&client_secret={secret}");
    let form = Form::parse(body.as_bytes()).unwrap();
    let mut scratch = Scratch::default();
    let P::Secret(credentials) = extract(None, &form, BasicDecoding::Both, &mut scratch).unwrap() else { panic!() };
    verify(snapshot.tenancy(""), &credentials, now)
}

/// What comes of it at once: the record, the reason, or that it must be computed.
fn at_once(snapshot: &Snapshot, secret: &str) -> String {
    match decide(snapshot, secret, NOW) {
        Verdict::Verified(verified) => verified.record().unwrap().id.to_string(),
        Verdict::Denied(denied) => {
            let (result, record) = post_mortem(&denied, NOW);
            format!("{} {}", result.as_str(), record.map(|record| record.id.to_string()).unwrap_or_default())
        }
        Verdict::Slow(_) => "slow".to_owned(),
        Verdict::Ambiguous => "ambiguous".to_owned(),
    }
}

/// Computes it, whatever it takes.
fn prove(snapshot: &Snapshot, secret: &str) -> bool {
    let Verdict::Slow(pending) = decide(snapshot, secret, NOW) else { panic!("known at once") };
    let found = pending.work().run();
    matches!(conclude(*pending, &found), Verdict::Verified(verified) if verified.record_index() == 1)
}

#[test]
fn a_slow_record_is_computed_once_and_known_from_then_on() {
    let list = snapshot(&list(BCRYPT, ""));
    assert_eq!(at_once(&list, "one"), "fast");
    assert!(!prove(&list, "wrong"));
    assert_eq!(at_once(&list, SECRET), "slow", "a wrong one proves nothing");
    assert!(prove(&list, SECRET));
    assert!(matches!(decide(&list, SECRET, NOW), Verdict::Verified(found) if found.record_index() == 1));
    assert_eq!(at_once(&list, "wrong"), "invalid_secret ", "nothing is left to compute");
    assert_eq!(at_once(&list, "one"), "fast");
}

#[test]
fn what_stands_in_the_list_opens_nothing() {
    let list = snapshot(&list(BCRYPT, ""));
    for presented in [BCRYPT.replace('$', "%24").replace('/', "%2F"), "relatch+record%00".to_owned()] {
        assert!(!prove(&list, &presented), "{presented}");
    }
    assert!(prove(&list, SECRET));
    assert_eq!(at_once(&list, &BCRYPT.replace('$', "%24").replace('/', "%2F")), "invalid_secret ");
}

#[test]
fn a_proof_dies_with_its_record() {
    let first = snapshot(&list(BCRYPT, ""));
    assert!(prove(&first, SECRET));
    let is = |text: &str| at_once(&snapshot_after(text, Some(&first)), SECRET);
    let verified = |list: &Snapshot| matches!(decide(list, SECRET, NOW), Verdict::Verified(_));
    assert!(verified(&first));
    assert!(verified(&snapshot_after(&list(BCRYPT, ", name = \"renamed\""), Some(&first))), "taken over");
    assert_eq!(is(&list(BCRYPT, ", status = \"revoked\"")), "revoked_secret slow");
    assert_eq!(is(&list(BCRYPT, ", status = \"disabled\"")), "disabled_secret slow");
    assert_eq!(is(&list(BCRYPT, ", expires = \"2026-01-01T00:00:00Z\"")), "expired_secret slow");
    assert_eq!(is(&list(BCRYPT, "").replace("id = \"c\"", "id = \"c\"\nenabled = false")), "disabled_client slow");
    // Another secret under its id: nobody has proven that one.
    let edited = BCRYPT.replace("$04$euw8", "$04$euw9");
    assert!(!verified(&snapshot_after(&list(&edited, ""), Some(&first))));
    assert!(!prove(&snapshot_after(&list(&edited, ""), Some(&first)), SECRET));
    assert!(!verified(&snapshot_after(&list(OTHER_HASH, ""), Some(&first))), "the same secret, another hash");
    // Gone and back again: a new record.
    let gone = snapshot_after("[[client]]\nid = \"c\"\n", Some(&first));
    assert!(!verified(&snapshot_after(&list(BCRYPT, ""), Some(&gone))));
    // Under another client's id it proves nothing.
    let moved = snapshot_after(&list(BCRYPT, "").replace("id = \"c\"", "id = \"d\""), Some(&first));
    assert!(matches!(decide(&moved, SECRET, NOW), Verdict::Denied(denied) if denied.client.is_none()));
}

#[test]
fn a_window_that_is_not_open_is_not_computed() {
    let pending = snapshot(&list(BCRYPT, ", not_before = \"2030-01-01T00:00:00Z\""));
    assert_eq!(at_once(&pending, SECRET), "invalid_secret ");
    let list = snapshot(&list(BCRYPT, ", expires = \"2030-01-01T00:00:00Z\""));
    assert!(prove(&list, SECRET));
    let late = crate::config::values::timestamp("2030-01-01T00:00:00Z").unwrap();
    let Verdict::Denied(denied) = decide(&list, SECRET, late) else { panic!() };
    assert_eq!(post_mortem(&denied, late).0, AuthResult::ExpiredSecret);
}

#[test]
fn what_was_found_for_another_proves_nothing() {
    let list = snapshot(&list(BCRYPT, ""));
    let slow = |secret| match decide(&list, secret, NOW) {
        Verdict::Slow(pending) => *pending,
        _ => panic!("known at once"),
    };
    let (right, again, wrong) = (slow(SECRET), slow(SECRET), slow("wrong"));
    let found = right.work().run();
    assert!(matches!(conclude(wrong, &found), Verdict::Denied(_)));
    assert!(matches!(conclude(again, &found), Verdict::Verified(_)));
}

#[test]
fn a_hash_that_is_not_verified_hurts_no_other_record() {
    let list = snapshot(&list("$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6Wouq", ""));
    assert_eq!(at_once(&list, "one"), "fast");
    assert_eq!(at_once(&list, "two"), "invalid_secret ");
    let record = &list.clients[0].records()[1];
    assert_eq!(record.state(NOW).as_str(), "disabled");
}
