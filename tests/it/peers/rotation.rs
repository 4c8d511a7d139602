//! What the product is for: every program, with every secret, before, during and after a rotation, and a server that
//! notices nothing of it.

use super::caller::{self, Caller, Credentials, METHODS, Wish};
use super::identity::Identity;
use super::line::Line;
use super::secrets::{Phase, Rotating};
use super::server::Kind;

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn oidc_provider_never_notices_a_rotation() {
    rotate(Kind::OidcProvider);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_authlib_server_never_notices_a_rotation() {
    rotate(Kind::Authlib);
}

#[track_caller]
fn rotate(kind: Kind) {
    let clients = Rotating::all();
    // Each client is told to the server in another way, so that between them every way is gone.
    let identities = [Identity::same(kind, "upstream-1"), Identity::basic("upstream-2"), Identity::post("upstream-3")];
    let list = |phase: Phase| -> String {
        clients.iter().zip(&identities).map(|(client, identity)| client.entry(phase, &identity.section())).collect()
    };
    let callers_secrets: Vec<String> = clients.iter().flat_map(|c| [c.old.clone(), c.new.clone()]).collect();
    let line = Line::start(kind, |setup| {
        let setup = callers_secrets.iter().fold(setup, |setup, secret| setup.canary(secret));
        let setup = identities.iter().fold(setup, |setup, identity| identity.given_to(setup));
        setup.clients_text(&list(Phase::Before))
    });
    for identity in &identities {
        line.server.client(&identity.id, &identity.secret);
    }

    let mut surprises = Vec::new();
    for phase in [Phase::Before, Phase::During, Phase::After] {
        if phase != Phase::Before {
            line.rewrite(&list(phase));
        }
        surprises.extend(everybody(&line, &clients, phase));
    }
    assert!(surprises.is_empty(), "{} surprises:\n  {}", surprises.len(), surprises.join("\n  "));

    let each = (caller::ALL.len() * METHODS.len()) as f64;
    let granted = each * 4.0 * clients.len() as f64;
    let answers: Vec<_> = line.server.token_answers().into_iter().collect();
    assert_eq!(answers, [("200".to_owned(), granted as u64)], "all that the server ever answered");
    for client in &clients {
        counted(&line, client, each);
    }
    line.finish(&callers_secrets);
}

/// Everybody at once, each with every client, method and secret of it. Gives what was not as promised.
fn everybody(line: &Line, clients: &[Rotating], phase: Phase) -> Vec<String> {
    let one = |caller: Caller| {
        let mut surprises = Vec::new();
        for (client, method) in clients.iter().flat_map(|client| METHODS.map(|method| (client, method))) {
            for (name, secret, works) in client.secrets(phase) {
                let told = caller.ask(&line.endpoints(), Credentials { id: client.id, secret, method }, Wish::Token);
                if if works { !told.granted() } else { !told.refused() } {
                    let id = client.id;
                    surprises
                        .push(format!("{phase:?}: {caller:?} {method:?} {id:?} {name} (works: {works}): {told:?}"));
                }
            }
        }
        surprises
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = caller::ALL.into_iter().map(|caller| scope.spawn(move || one(caller))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// What the operator reads of it: how often each secret was used, who presents a dead one, who writes Basic raw.
#[track_caller]
fn counted(line: &Line, client: &Rotating, each: f64) {
    let wait = |name: &str, (key, value): (&str, &str), wanted: f64| {
        line.relatch.wait_metric(name, &[("client_id", client.id), (key, value)], |count| count == wanted);
    };
    for secret in ["old", "new"] {
        wait("relatch_client_secret_uses_total", ("secret_id", secret), each * 2.0);
    }
    let results = "relatch_client_authentications_total";
    wait(results, ("result", "success"), each * 4.0);
    wait(results, ("result", "revoked_secret"), each);
    wait(results, ("result", "invalid_secret"), each);
    let raw = caller::ALL.iter().filter(|caller| caller.writes_basic_raw()).count() as f64;
    // A plain secret says nothing about how it was written.
    let raw = if client.id == Rotating::plain().id { 0.0 } else { raw };
    let encodings = "relatch_basic_encoding_total";
    wait(encodings, ("encoding", "raw"), raw * 4.0);
    wait(encodings, ("encoding", "rfc6749"), (caller::ALL.len() as f64 - raw) * 4.0);
}
