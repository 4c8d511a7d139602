//! The server's own secret changes under relatch: the caller is not blamed for it, and where both the old and the new one
//! are at hand nobody notices.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::caller::{Caller, Credentials, METHODS, Told, Wish};
use super::line::Line;
use super::server::Kind;
use crate::support::http::Method;
use crate::support::{PATIENCE, poll};

const ID: &str = "my-client_1";
const CALLERS: &str = "callers-s3cr3t";

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn oidc_provider_refusing_our_secret_is_a_502_that_blames_no_caller() {
    refused(Kind::OidcProvider);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_authlib_server_refusing_our_secret_is_a_502_that_blames_no_caller() {
    refused(Kind::Authlib);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn no_request_fails_while_oidc_provider_goes_from_one_of_our_secrets_to_the_other() {
    fall_back(Kind::OidcProvider);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn no_request_fails_while_the_authlib_server_goes_from_one_of_our_secrets_to_the_other() {
    fall_back(Kind::Authlib);
}

#[track_caller]
fn refused(kind: Kind) {
    let line = start(kind, &["upstream-first"]);
    line.server.client(ID, "upstream-first");
    assert!(METHODS.into_iter().all(|method| ask(&line, method, Wish::Token).granted()));

    line.server.client(ID, "upstream-second");
    for method in METHODS {
        let told = ask(&line, method, Wish::Token);
        assert_eq!((told.status, told.error.as_deref()), (Some(502), Some("server_error")), "{told:?}");
    }
    rejected(&line, 2.0);
    let success = [("client_id", ID), ("result", "success")];
    line.relatch.wait_metric("relatch_client_authentications_total", &success, |count| count == 4.0);
    let logged = line.relatch.wait_log(|entry| entry["msg"] == "request" && entry["status"] == 502);
    assert_eq!(logged["client_id"], ID, "{logged}");

    // The operator mends it as secrets are mended: a new file in the place of the old one.
    let file = line.relatch.dir().join("my_client_1-1.secret");
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, "upstream-second\n").unwrap();
    std::fs::rename(&fresh, &file).unwrap();
    let mended = poll(PATIENCE * 2, || ask(&line, Method::Basic, Wish::Token).granted().then_some(()));
    assert!(mended.is_some(), "the new upstream secret was not taken up:\n{}", line.relatch.log());
    line.finish(&[CALLERS.to_owned()]);
}

#[track_caller]
fn fall_back(kind: Kind) {
    let line = start(kind, &["upstream-old", "upstream-new"]);
    line.server.client(ID, "upstream-old");

    let over = AtomicBool::new(false);
    let granted = METHODS.map(|_| AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (method, granted) in METHODS.into_iter().zip(&granted) {
            let (line, over) = (&line, &over);
            scope.spawn(move || {
                let _ended = SetOnDrop(over);
                while !over.load(Ordering::Relaxed) {
                    let told = ask(line, method, Wish::Token);
                    assert!(told.granted(), "{method:?}: {told:?}");
                    granted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _ended = SetOnDrop(&over);
        for secret in ["upstream-old", "upstream-new", "upstream-old", "upstream-new"] {
            line.server.client(ID, secret);
            // Each thread has seen the change before the next one: a request that lives through two may meet a wrong
            // secret twice.
            let marks = granted.each_ref().map(|granted| granted.load(Ordering::Relaxed) + 20);
            let gone_on = || granted.iter().zip(marks).all(|(granted, mark)| granted.load(Ordering::Relaxed) >= mark);
            let went_on = poll(PATIENCE, || (gone_on() || over.load(Ordering::Relaxed)).then_some(()));
            assert!(went_on.is_some(), "the requests stopped");
        }
    });
    rejected(&line, 0.0);

    // What was refused was not acted on: a one-use token is sent a second time and is good once.
    line.server.client(ID, "upstream-old");
    let token = line.server.refresh_token(ID);
    let told = ask(&line, Method::Basic, Wish::Refresh(&token));
    assert!(told.granted(), "{told:?}");
    let deliveries =
        line.tap.seen().iter().filter(|seen| seen.param("refresh_token").as_deref() == Some(&token)).count();
    assert_eq!(deliveries, 2, "refused with one secret, taken with the other");
    let told = ask(&line, Method::Basic, Wish::Refresh(&token));
    assert_eq!((told.status, told.error.as_deref()), (Some(400), Some("invalid_grant")), "{told:?}");

    line.server.client(ID, "upstream-third");
    let told = ask(&line, Method::Post, Wish::Token);
    assert_eq!((told.status, told.error.as_deref()), (Some(502), Some("server_error")), "{told:?}");
    rejected(&line, 1.0);
    line.finish(&[CALLERS.to_owned()]);
}

#[track_caller]
fn start(kind: Kind, upstream_secrets: &[&str]) -> Line {
    Line::start(kind, |setup| setup.client(ID, &[CALLERS]).replaced_by(upstream_secrets))
}

fn ask(line: &Line, method: Method, wish: Wish<'_>) -> Told {
    Caller::CrateOauth2.ask(&line.endpoints(), Credentials { id: ID, secret: CALLERS, method }, wish)
}

/// How often relatch stood there with no secret that the server takes.
#[track_caller]
fn rejected(line: &Line, times: f64) {
    let kind = [("kind", "credentials_rejected")];
    line.relatch.wait_metric("relatch_upstream_errors_total", &kind, |count| count == times);
}

/// Ends the others when one of them ends, however it does.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
