//! A thousand rotations with real client libraries among the callers: what holds for bytes on a wire holds for what
//! they make of an answer.

use super::caller::{Caller, Credentials, Endpoints, METHODS, Wish};
use crate::rotations::{Library, thousand};

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_thousand_rotations_fail_none_of_four_client_libraries() {
    let libraries = [Caller::OpenidClient, Caller::Oauth4webapi, Caller::Authlib, Caller::RequestsOauthlib];
    thousand(libraries.map(library).into());
}

/// By Basic and in the body, in turn.
fn library(caller: Caller) -> Library {
    Box::new(move |proxy| {
        let endpoints = Endpoints::at(proxy, ["/token"; 3]);
        let mut methods = METHODS.into_iter().cycle();
        Box::new(move |id, secret| {
            let method = methods.next().unwrap_or(METHODS[0]);
            let told = caller.ask(&endpoints, Credentials { id, secret, method }, Wish::Token);
            match (told.granted(), told.refused()) {
                (true, false) => Ok(200),
                (false, true) => Ok(401),
                _ => Err(format!("{caller:?} {method:?}: {told:?}")),
            }
        })
    })
}
