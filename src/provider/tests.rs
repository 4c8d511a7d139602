use std::time::Duration;

use super::steps::{Asking, Begin, Came, Checked, Found, Next, Why, begin, checked, found};
use super::*;
use crate::attempt::Said;

const PATIENCE: Duration = Duration::from_secs(60);
const NOW: Duration = Duration::ZERO;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn okta(ids: &[(&str, Option<&str>)]) -> Vec<FarSecret> {
    let one = |(id, told): &(&str, Option<&str>)| FarSecret {
        id: Some((*id).to_owned()),
        active: true,
        created: None,
        secret: told.map(secret),
    };
    ids.iter().map(one).collect()
}

fn auth0(told: Option<&str>) -> Vec<FarSecret> {
    vec![FarSecret { active: true, secret: told.map(secret), ..FarSecret::default() }]
}

#[test]
fn each_provider_is_asked_as_its_sdks_ask() {
    use Ask::*;
    use Provider::*;
    for (provider, ask, wanted) in [
        (Auth0, Show, "GET /api/v2/clients/a%2Fb"),
        (Auth0, Make, "POST /api/v2/clients/a%2Fb/rotate-secret"),
        (Auth0, DropOlder, ""),
        (Auth0, Delete("x"), ""),
        (Okta, Show, "GET /api/v1/apps/a%2Fb/credentials/secrets"),
        (Okta, Make, "POST /api/v1/apps/a%2Fb/credentials/secrets {}"),
        (Okta, Deactivate("o/1"), "POST /api/v1/apps/a%2Fb/credentials/secrets/o%2F1/lifecycle/deactivate"),
        (Okta, Activate("o"), "POST /api/v1/apps/a%2Fb/credentials/secrets/o/lifecycle/activate"),
        (Okta, Delete("o"), "DELETE /api/v1/apps/a%2Fb/credentials/secrets/o"),
        (Okta, DropOlder, ""),
        (Hydra, Show, "GET /admin/clients/a%2Fb"),
        (Hydra, Make, "POST /admin/clients/a%2Fb/secrets/rotate"),
        (Hydra, DropOlder, "DELETE /admin/clients/a%2Fb/secrets/rotate"),
        (Hydra, Deactivate("x"), ""),
    ] {
        let call = provider.call("a/b", ask);
        let text = call.map(|Call { method, path, body }| {
            format!("{method} {path}{}", body.map(|body| format!(" {body}")).unwrap_or_default())
        });
        assert_eq!(text.unwrap_or_default(), wanted, "{provider:?} {ask:?}");
    }
}

#[test]
fn answers_are_read_as_far_as_they_are_needed_and_no_further() {
    let made = |provider: Provider, body: &str| {
        provider.made(body.as_bytes()).map(|one| (one.id, one.secret.map(|s| s.expose().to_vec())))
    };
    let new = Some((None, Some(b"n".to_vec())));
    assert_eq!(made(Provider::Auth0, r#"{"client_id":"a","client_secret":"n","more":[1]}"#), new);
    assert_eq!(made(Provider::Hydra, r#"{"client_id":"a","client_secret":"n","jwks":{}}"#), new);
    let okta = r#"{"id":"ocs1","client_secret":"n","status":"ACTIVE","secret_hash":"h","_links":{}}"#;
    assert_eq!(made(Provider::Okta, okta), Some((Some("ocs1".to_owned()), Some(b"n".to_vec()))));
    for provider in [Provider::Auth0, Provider::Okta, Provider::Hydra] {
        for bad in ["", "{}", r#"{"id":"x","client_secret":""}"#, r#"{"id":"x","client_secret":7}"#, "<html>", "[]"] {
            assert_eq!(made(provider, bad), None, "{provider:?} {bad}");
        }
    }
    let list = r#"[{"id":"a","status":"ACTIVE","client_secret":"s","created":"c"},{"id":"b","status":"INACTIVE"}]"#;
    let shown = Provider::Okta.shown(list.as_bytes()).unwrap();
    let seen: Vec<_> = shown.iter().map(|one| (one.id.as_deref(), one.active, one.secret.is_some())).collect();
    assert_eq!(seen, [(Some("a"), true, true), (Some("b"), false, false)]);
    for (provider, body, words) in [
        (
            Provider::Auth0,
            r#"{"statusCode":403,"message":"Insufficient scope","errorCode":"insufficient_scope"}"#,
            "Insufficient scope (insufficient_scope)",
        ),
        (
            Provider::Okta,
            r#"{"errorSummary":"Api validation failed","errorCauses":[{"errorSummary":"at most 2"}]}"#,
            "Api validation failed (at most 2)",
        ),
        (Provider::Hydra, r#"{"error":"Not Found","status_code":404}"#, "Not Found"),
        (Provider::Hydra, "<html>", ""),
    ] {
        assert_eq!(provider.complaint(body.as_bytes()), words);
    }
}

#[test]
fn a_run_begins_with_what_the_far_end_has() {
    let known = [secret("old")];
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let begun = |provider, shown, before: Option<&[String]>| match begin(provider, shown, &known, before) {
        Begin::Make => "make".to_owned(),
        Begin::Take(one) => format!("take {}", String::from_utf8(one.secret.unwrap().expose().to_vec()).unwrap()),
        Begin::Hidden(id) => format!("hidden {id}"),
        Begin::Full(all) => format!("full {}", all.len()),
    };
    use Provider::*;
    assert_eq!(begun(Hydra, Vec::new(), None), "make");
    assert_eq!(begun(Auth0, auth0(Some("old")), None), "make");
    assert_eq!(begun(Auth0, auth0(None), None), "make");
    assert_eq!(begun(Auth0, auth0(Some("new")), None), "take new", "the far end has one that is not here");
    assert_eq!(begun(Okta, okta(&[("a", None)]), None), "make");
    assert_eq!(begun(Okta, okta(&[("a", None), ("b", Some("x"))]), None), "full 2");
    let before = ids(&["a"]);
    assert_eq!(begun(Okta, okta(&[("a", None)]), Some(&before)), "make");
    assert_eq!(begun(Okta, okta(&[("a", None), ("b", Some("x"))]), Some(&before)), "take x");
    assert_eq!(begun(Okta, okta(&[("a", None), ("b", None)]), Some(&before)), "hidden b");
    assert_eq!(begun(Okta, okta(&[("a", None), ("b", None)]), Some(&ids(&["a", "b"]))), "full 2");
}

#[test]
fn nothing_is_asked_twice_that_may_have_been_done_where_that_does_harm() {
    use Came::*;
    let wait = |seconds| Next::Again(Duration::from_secs(seconds));
    let soon = || Next::Again(Duration::from_millis(250));
    for provider in [Provider::Auth0, Provider::Okta, Provider::Hydra] {
        let after = |came| Asking::new(provider, PATIENCE).after(came, NOW);
        assert_eq!(after(Made), Next::Keep);
        assert_eq!(after(Refused), Next::Stop(Why::Refused));
        assert_eq!(after(Busy(Some(Duration::from_secs(7)))), wait(7));
        assert_eq!(after(Busy(Some(PATIENCE * 2))), Next::Stop(Why::Busy));
        assert_eq!(after(Busy(None)), soon());
        assert_eq!(after(Unsent), soon());
        assert_eq!(Asking::new(provider, PATIENCE).after(Unsent, PATIENCE), Next::Stop(Why::Unreachable));
    }
    for provider in [Provider::Auth0, Provider::Okta] {
        for came in [Failed, Lost] {
            assert_eq!(Asking::new(provider, PATIENCE).after(came, NOW), Next::Look, "{provider:?} {came:?}");
        }
        let looked = |came, found: &Found| {
            let mut asking = Asking::new(provider, PATIENCE);
            asking.after(came, NOW);
            asking.looked(found, NOW)
        };
        assert_eq!(looked(Lost, &Found::New(FarSecret::default())), Next::Keep);
        assert_eq!(looked(Lost, &Found::Unknown), Next::Stop(Why::Unknown));
        assert_eq!(looked(Failed, &Found::Unknown), Next::Stop(Why::Unknown), "never blindly");
        assert_eq!(looked(Lost, &Found::Hidden("b".to_owned())), Next::Stop(Why::Hidden("b".to_owned())));
        assert_eq!(looked(Lost, &Found::Same), Next::Stop(Why::Unchanged), "it may still be under way");
        assert_eq!(looked(Failed, &Found::Same), soon(), "it is over, and did nothing");
    }
    let mut hydra = Asking::new(Provider::Hydra, PATIENCE);
    assert_eq!([hydra.after(Lost, NOW), hydra.after(Failed, NOW)], [soon(), Next::Again(Duration::from_millis(500))]);
    assert_eq!(hydra.after(Lost, NOW), Next::Stop(Why::Unknown), "each may have cost one of five");
}

#[test]
fn a_look_tells_the_new_secret_from_the_old() {
    let known = [secret("old")];
    let look = |provider, shown| match found(provider, shown, &known, &["a".to_owned()]) {
        Found::New(_) => "new",
        Found::Hidden(_) => "hidden",
        Found::Same => "same",
        Found::Unknown => "unknown",
    };
    assert_eq!(look(Provider::Auth0, auth0(Some("old"))), "same");
    assert_eq!(look(Provider::Auth0, auth0(Some("new"))), "new");
    assert_eq!(look(Provider::Auth0, auth0(None)), "unknown");
    assert_eq!(look(Provider::Auth0, Vec::new()), "unknown");
    assert_eq!(look(Provider::Okta, okta(&[("a", None)])), "same");
    assert_eq!(look(Provider::Okta, okta(&[("a", None), ("b", None)])), "hidden");
    assert_eq!(look(Provider::Okta, okta(&[("b", Some("new")), ("a", None)])), "new");
    assert_eq!(look(Provider::Hydra, Vec::new()), "unknown");
}

#[test]
fn a_check_is_repeated_for_as_long_as_a_secret_may_need_to_be_known_everywhere() {
    for said in [Said::Refused, Said::Unclear] {
        let mut elapsed = NOW;
        let mut tries = 0;
        while let Checked::Again(wait) = checked(said, tries, elapsed, PATIENCE) {
            assert!(!wait.is_zero() && wait <= Duration::from_secs(8));
            (elapsed, tries) = (elapsed + wait, tries + 1);
        }
        assert!(elapsed <= PATIENCE && elapsed > PATIENCE / 2, "{elapsed:?}");
        assert_eq!(checked(said, tries, PATIENCE, PATIENCE), Checked::Bad);
    }
    assert_eq!(checked(Said::Accepted, 9, PATIENCE * 2, PATIENCE), Checked::Good);
}
