//! The first ten minutes of a user, typed into a shell, in front of a real token server.

use super::server::{Kind, Server};
use crate::support::console::{Console, KEYBOARD};

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_first_session_goes_as_it_is_told_in_front_of_oidc_provider() {
    session(Kind::OidcProvider);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_first_session_goes_as_it_is_told_in_front_of_the_authlib_server() {
    session(Kind::Authlib);
}

#[track_caller]
fn session(kind: Kind) {
    let server = Server::start(kind);
    server.client("billing", KEYBOARD);
    let [token, ..] = server.paths();
    let document = include_str!("session.md").replace("TOKENPATH", token);
    let faults = Console::open(&server.address().to_string()).follow(&document);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
