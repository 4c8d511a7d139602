//! The rules about the list as a whole, from text to snapshot.

use super::*;
use crate::config::clients::ClientList;
use crate::config::tree::{Doc, Language};
use crate::registry::diff::{diff, shrinks, with_revocations};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn build_on(text: &str, previous: Option<&Snapshot>) -> (Option<Snapshot>, Findings) {
    let (list, problems) = ClientList::parse(Doc { name: "f", text }, Language::Toml, 0);
    let list = list.unwrap_or_else(|| panic!("{problems:?}\n{text}"));
    let files = SecretFiles::new();
    let keep_revoked = Duration::from_secs(86400);
    let ground = Ground { files: &files, previous, forwards: true, endpoints: &[], keep_revoked, now: NOW };
    build(list.clients, &ground, 7, Vec::new())
}

pub(crate) fn good(text: &str, previous: Option<&Snapshot>) -> Snapshot {
    let (snapshot, findings) = build_on(text, previous);
    snapshot.unwrap_or_else(|| panic!("{findings:?}\n{text}"))
}

pub(crate) fn client(id: &str, secrets: &[(&str, &str, &str)]) -> String {
    let secrets = secrets.iter().map(|(id, secret, rest)| {
        format!("[[client.secret]]\nid = \"{id}\"\nsecret = \"{secret}\"\n{}\n", rest.replace("; ", "\n"))
    });
    format!("[[client]]\nid = \"{id}\"\n{}", secrets.collect::<String>())
}

const REVOKED: &str = "status = \"revoked\"";

#[test]
fn a_list_that_breaks_a_rule_is_refused_whole() {
    let a = client("a", &[("s1", "one", "")]);
    let nine: String = client(
        "a",
        &[
            ("s1", "1", ""),
            ("s2", "2", ""),
            ("s3", "3", ""),
            ("s4", "4", ""),
            ("s5", "5", ""),
            ("s6", "6", ""),
            ("s7", "7", ""),
            ("s8", "8", ""),
            ("s9", "9", ""),
        ],
    );
    for (text, word) in [
        (format!("{a}{a}"), "stands in the list twice"),
        (format!("{}{}", client("a b", &[]), client("a%20b", &[])), "form-decoding"),
        (format!("{}{}", client("a+b", &[]), client("a%20b", &[])), "form-decoding"),
        (client("a", &[("s1", "one", ""), ("s1", "two", "")]), "stands twice"),
        (client("a", &[("s1", "one", ""), ("s2", "one", "")]), "are the same secret"),
        (client("a", &[("s1", "one", REVOKED), ("s2", "one", "")]), "are the same secret"),
        (nine, "8 is the most"),
    ] {
        let (snapshot, findings) = build_on(&text, None);
        assert!(snapshot.is_none(), "{text}");
        assert!(findings.errors.iter().any(|(_, e)| e.contains(word)), "{word}: {findings:?}");
    }
}

#[test]
fn what_is_odd_is_told_and_loads() {
    for (text, word) in [
        (client("a", &[]), "no active secret"),
        (format!("{}{}", client("a", &[("s1", "one", "")]), client("b", &[("s1", "one", "")])), "have the same secret"),
        (client("a", &[("s1", "1", ""), ("s2", "2", ""), ("s3", "3", "")]), "above its limit of 2"),
        (client("a", &[("s1", "1", ""), ("s2", "2", "")]), "no [client.upstream]"),
        (client("a", &[("s1", "1", "expires = 2020-01-01T00:00:00Z")]), "no active secret"),
    ] {
        let (snapshot, findings) = build_on(&text, None);
        assert!(snapshot.is_some(), "{text}");
        assert!(findings.warnings.iter().any(|(_, w)| w.contains(word)), "{word}: {findings:?}");
    }
}

#[test]
fn a_revoked_record_never_comes_back_to_life_by_a_reload() {
    let first = good(&client("a", &[("s1", "one", REVOKED), ("s2", "two", "")]), None);
    // Out of the list for one reload: still remembered.
    let second = good(&client("a", &[("s2", "two", "")]), Some(&first));
    for revived in [
        client("a", &[("s1", "one", ""), ("s2", "two", "")]),
        client("a", &[("s1", "another value under its id", ""), ("s2", "two", "")]),
        client("a", &[("s9", "one", ""), ("s2", "two", "")]),
        client("a", &[("s1", "one", "status = \"disabled\""), ("s2", "two", "")]),
    ] {
        for previous in [&first, &second] {
            let (snapshot, findings) = build_on(&revived, Some(previous));
            assert!(
                snapshot.is_none() && findings.errors[0].1.contains("come back to life"),
                "{revived}: {findings:?}"
            );
        }
    }
    // The same value is somebody else's business.
    good(&format!("{}{}", client("a", &[("s2", "two", "")]), client("b", &[("s1", "one", "")])), Some(&second));
}

#[test]
fn counters_stay_with_the_same_secret_and_an_edited_one_starts_unused() {
    let first = good(&client("a", &[("s1", "one", ""), ("s2", "two", "")]), None);
    for record in first.clients[0].records() {
        record.uses.note(NOW);
    }
    let second = good(&client("a", &[("s2", "edited", ""), ("s1", "one", "name = \"x\"")]), Some(&first));
    let uses: Vec<_> = second.clients[0].records().iter().map(|r| (r.id.to_string(), r.uses.uses())).collect();
    assert_eq!(uses, [("s2".to_owned(), 0), ("s1".to_owned(), 1)]);
    assert_eq!(second.generation, 2);
    assert_eq!(diff(&first, &second).to_string(), "1 secrets changed: a/s2");
}

#[test]
fn a_list_that_lost_most_of_itself_is_noticed_and_its_revocations_stand() {
    let names = ["a", "b", "c", "d"];
    let all: String =
        names.iter().map(|n| client(n, &[("s1", &format!("{n}1"), ""), ("s2", &format!("{n}2"), "")])).collect();
    let first = good(&all, None);
    let half: String = names
        .iter()
        .take(2)
        .map(|n| client(n, &[("s1", &format!("{n}1"), ""), ("s2", &format!("{n}2"), "")]))
        .collect();
    assert_eq!(shrinks(&first, &good(&half, Some(&first)), 0.5, NOW), None);
    let death = format!("{REVOKED}; revoked_reason = \"compromised\"; revoked_at = 2026-11-01T00:00:00Z");
    let cut = client("a", &[("s1", "a1", &death), ("s2", "a2", "")]);
    let held = good(&cut, Some(&first));
    assert_eq!(shrinks(&first, &held, 0.5, NOW).as_deref(), Some("3 of 4 clients would be gone"));
    let thin: String = names.iter().map(|n| client(n, &[])).collect();
    assert_eq!(shrinks(&first, &good(&thin, Some(&first)), 0.5, NOW).as_deref(), Some("8 of 8 secrets would be gone"));
    assert!(shrinks(&first, &good("", Some(&first)), 0.5, NOW).is_some());

    let next = with_revocations(&first, &held, NOW).unwrap();
    assert_eq!((next.clients.len(), next.generation), (4, 2));
    let [dead, alive] = next.clients[0].records() else { panic!("two secrets") };
    assert_eq!((dead.status, alive.status), (SecretStatus::Revoked, SecretStatus::Active));
    assert_eq!((dead.revoked_reason(), dead.revoked_at().is_some()), (Some("compromised"), true));
    assert_eq!(diff(&first, &next).to_string(), "1 secrets revoked: a/s1");
    assert!(with_revocations(&next, &held, NOW).is_none());
    assert!(build_on(&all, Some(&next)).0.is_none(), "revoked by a held list, it stays so");
}

#[test]
fn what_is_known_of_upstream_secrets_holds_while_their_list_is_the_same() {
    let text = "[[client]]\nid = \"a\"\n[client.upstream]\nsecret_file = \"f\"\n";
    let load = |secret: &str, previous: Option<&Snapshot>| {
        let list = ClientList::parse(Doc { name: "f", text }, Language::Toml, 0).0.unwrap();
        let files = SecretFiles::from([((0, PathBuf::from("f")), Secret::new(secret.as_bytes().to_vec()))]);
        let ground =
            Ground { files: &files, previous, forwards: true, endpoints: &[], keep_revoked: Duration::ZERO, now: NOW };
        build(list.clients, &ground, 7, Vec::new()).0.unwrap()
    };
    let standing = |list: &Snapshot| list.tenancy("").client(b"a").unwrap().upstream.as_ref().unwrap().standing.clone();
    let first = load("one", None);
    let refused = standing(&first).begin(1, NOW).unwrap();
    standing(&first).exhausted(refused, NOW);
    let same = load("one", Some(&first));
    assert!(standing(&same).begin(1, NOW).is_err(), "refused, and known to be");
    let other = load("two", Some(&same));
    assert!(standing(&other).begin(1, NOW).is_ok(), "another secret is asked at once");
    assert!(diff(&first, &same).clients_changed.is_empty());
    assert_eq!(diff(&same, &other).to_string(), "1 clients changed: a");
}

/// The same client, of a tenant.
fn of(tenant: &str, client: &str) -> String {
    client.replacen("[[client]]\n", &format!("[[client]]\ntenant = \"{tenant}\"\n"), 1)
}

#[test]
fn what_is_known_of_a_client_is_not_known_of_its_like_in_another_tenant() {
    let a = client("a", &[("s1", "one", ""), ("s2", "two", "")]);
    let first = good(&format!("{a}{}", of("t", &client("a", &[("s1", "one", REVOKED), ("s2", "three", "")]))), None);
    let client_of = |list: &Snapshot, tenant: &str| list.tenancy(tenant).client(b"a").unwrap().clone();
    assert_eq!(client_of(&first, "").key.to_string(), "a");
    assert_eq!(client_of(&first, "t").key.to_string(), "a of tenant t");
    assert!(first.tenancy("u").client(b"a").is_none() && first.has_tenants());
    client_of(&first, "t").records()[1].uses.note(NOW);
    // The one that was revoked in the tenant lives on without it, and comes back nowhere else.
    let second = good(&format!("{}{a}", of("t", &client("a", &[("s2", "three", "")]))), Some(&first));
    let uses = |tenant| client_of(&second, tenant).records().iter().map(|r| r.uses.uses()).collect::<Vec<_>>();
    assert_eq!((uses(""), uses("t")), (vec![0, 0], vec![1]));
    assert_eq!(diff(&first, &second).to_string(), "1 secrets removed: t/a/s1");
    let (revived, findings) = build_on(&of("t", &client("a", &[("s1", "one", "")])), Some(&second));
    assert!(revived.is_none() && findings.errors[0].1.contains("\"a\" of tenant \"t\""), "{findings:?}");
    let moved = good(&of("u", &client("a", &[("s1", "one", "")])), Some(&second));
    assert!(diff(&second, &moved).to_string().contains("1 clients added: u/a"));
    // What a held list revokes is revoked in its tenant.
    let held = good(&of("t", &client("a", &[("s2", "three", REVOKED)])), Some(&second));
    let next = with_revocations(&second, &held, NOW).unwrap();
    assert_eq!(diff(&second, &next).to_string(), "1 secrets revoked: t/a/s2");
}

#[test]
fn ids_must_differ_within_their_tenant() {
    let (a, b) = (client("a b", &[]), client("a%20b", &[]));
    good(&format!("{a}{}{}", of("t", &b), of("u", &a)), None);
    for text in [format!("{}{}", of("t", &a), of("t", &a)), format!("{}{}", of("t", &a), of("t", &b))] {
        let (snapshot, findings) = build_on(&text, None);
        assert!(snapshot.is_none() && findings.errors[0].1.contains("of tenant \"t\""), "{text}: {findings:?}");
    }
    let same = format!("{}{}", client("a", &[("s", "one", "")]), of("t", &client("a", &[("s", "one", "")])));
    let warnings = build_on(&same, None).1.warnings;
    assert!(warnings.iter().any(|(_, w)| w.contains("\"a\" and \"a\" of tenant \"t\" have the same")), "{warnings:?}");
}

#[test]
fn a_list_that_fits_no_endpoint_is_told() {
    use crate::config::settings::Settings;
    let plain = client("a", &[("s1", "one", "")]);
    let tenants = of("t", &plain);
    let (fixed, realms) = ("[[endpoint]]\npath = \"/t\"\n", "[[endpoint]]\npath = \"/r/{tenant}/t\"\n");
    let exact = "[[endpoint]]\npath = \"/r/t/t\"\n";
    let others = of("u", &plain);
    for (endpoints, list, words) in [
        (fixed.to_owned(), plain.clone(), &[][..]),
        (realms.to_owned(), tenants.clone(), &[]),
        ([fixed, realms].concat(), [&*plain, &tenants].concat(), &[]),
        (realms.to_owned(), String::new(), &[]),
        (fixed.to_owned(), [&*plain, &tenants].concat(), &["have a tenant, and no endpoint's"]),
        (
            realms.to_owned(),
            plain.clone(),
            &["have no tenant, and every endpoint's", "/r/{tenant}/t is for clients with"],
        ),
        ([fixed, realms].concat(), plain.clone(), &["/r/{tenant}/t is for clients with a tenant"]),
        ([exact, realms].concat(), [&*plain, &others].concat(), &[]),
        (
            [exact, realms].concat(),
            [&*plain, &others, &tenants].concat(),
            &["nobody can call /r/t/t as a client of tenant \"t\" (1 in the list): /r/t/t wins over /r/{tenant}/t"],
        ),
        (
            format!("{fixed}{realms}auth = \"none\"\nclient = \"a\"\n"),
            plain.clone(),
            &["no [client.upstream]", "is for"],
        ),
    ] {
        let text = format!("[upstream]\nurl = \"http://a:1\"\n[clients]\npath = \"c\"\n{endpoints}");
        let settings = Settings::parse("f", &text, &[], std::path::Path::new("")).0.unwrap();
        let parsed = ClientList::parse(Doc { name: "f", text: &list }, Language::Toml, 0).0.unwrap();
        let (files, keep_revoked) = (SecretFiles::new(), Duration::ZERO);
        let endpoints = &*settings.endpoints;
        let ground = Ground { files: &files, previous: None, forwards: false, endpoints, keep_revoked, now: NOW };
        let told = build(parsed.clients, &ground, 7, Vec::new()).1.warnings;
        let told: Vec<_> =
            told.into_iter().map(|(_, why)| why).filter(|why| !why.contains("the same secret")).collect();
        assert_eq!(told.len(), words.len(), "{text}{list}: {told:?}");
        assert!(words.iter().all(|word| told.iter().any(|why| why.contains(word))), "{text}{list}: {told:?}");
    }
}
