//! What relatch lets pass: the presented secret in forward mode, clients that are not listed yet, requests that present
//! no secret at all. In each case the caller is told what the server would have told him directly.

use super::caller::{self, Caller, Credentials, Endpoints, METHODS, Wish};
use super::identity::Identity;
use super::line::{Line, PATHS};
use super::secrets::{Phase, Rotating};
use super::server::Kind;
use crate::support::http::{Method, Reply, Wire};
use crate::support::{PATIENCE, bytes, form};

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_secret_that_is_forwarded_works_as_it_would_directly() {
    let clients = Rotating::all();
    let list: String = clients.iter().map(|client| client.entry(Phase::During, "")).collect();
    let line = Line::start(Kind::OidcProvider, |setup| setup.clients_text(&list));
    for client in &clients {
        line.server.client(client.id, &client.new);
    }
    // Both are active here; the server knows the new one alone.
    let pairs = clients.iter().flat_map(|client| [(client.id, &*client.new, true), (client.id, &*client.old, false)]);
    same_as_directly(&line, &pairs.collect::<Vec<_>>());

    let client = &clients[0];
    for method in METHODS {
        let with = |secret| Credentials { id: client.id, secret, method };
        let refused = passes_untouched(&line, &token_request(with(&client.old)));
        assert_eq!(refused.status, 401, "{refused:?}");
        let granted = exchange(line.relatch.proxy(), PATHS[0], &token_request(with(&client.new)));
        assert!(granted.json()["access_token"].is_string(), "{granted:?}");
    }
    let uses = "relatch_client_secret_uses_total";
    for secret in ["old", "new"] {
        line.relatch.wait_metric(uses, &[("client_id", client.id), ("secret_id", secret)], |uses| uses == 18.0);
    }
    line.finish(&[]);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_client_that_is_not_listed_yet_is_the_servers_business() {
    let [plain, hard, trap] = Rotating::all();
    let listed = Rotating { id: "listed", old: "listed-old-s3cr3t".to_owned(), new: "listed-new-s3cr3t".to_owned() };
    let identity = Identity::same(Kind::OidcProvider, "upstream-1");
    let line = Line::start(Kind::OidcProvider, |setup| {
        let setup = setup.config("clients.unknown = \"pass\"");
        identity.given_to(setup).clients_text(&listed.entry(Phase::During, &identity.section()))
    });
    line.server.client(&identity.id, &identity.secret);
    let unlisted = [&plain, &hard, &trap];
    for client in unlisted {
        line.server.client(client.id, &client.new);
    }
    let pairs = unlisted.into_iter().flat_map(|c| [(c.id, &*c.new, true), (c.id, &*c.old, false)]);
    same_as_directly(&line, &pairs.collect::<Vec<_>>());

    // Whoever is listed is ours: right secrets are replaced, wrong ones end here.
    for (method, caller) in METHODS.into_iter().flat_map(|method| caller::ALL.map(|caller| (method, caller))) {
        let before = line.tap.seen().len();
        for (secret, deliveries) in [("listed-old-s3cr3t", 1), ("wr0ng-s3cr3t", 0), ("listed-new-s3cr3t", 1)] {
            let told = caller.ask(&line.endpoints(), Credentials { id: "listed", secret, method }, Wish::Token);
            assert!(if deliveries == 1 { told.granted() } else { told.refused() }, "{caller:?}: {told:?}");
        }
        assert_eq!(line.tap.seen().len() - before, 2, "{caller:?}");
    }
    assert!(!line.relatch.metrics().contains(plain.id), "strangers choose no labels");
    line.finish(&[listed.old, listed.new, "wr0ng-s3cr3t".to_owned()]);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_request_without_a_secret_passes_untouched_where_that_is_allowed() {
    let client = Rotating::plain();
    let identity = Identity::same(Kind::OidcProvider, "upstream-1");
    let line = Line::start(Kind::OidcProvider, |setup| {
        let endpoint = "[[endpoint]]\npath = \"/oauth/token\"\nupstream_path = \"/token\"\nauth = \"optional\"";
        let list = client.entry(Phase::During, &identity.section());
        identity.given_to(setup).config(endpoint).clients_text(&list)
    });
    line.server.client(&identity.id, &identity.secret);
    line.server.client("browser", "a secret that a browser does not have");

    let code = "grant_type=authorization_code&code=xyz&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = format!("client_assertion_type={}&client_assertion=eyJh.eyJp.c2ln", form::encode(assertion_type));
    for form in [
        format!("{code}&client_id=browser"),
        format!("{code}&client_id=stranger&redirect_uri={}", form::encode("https://client.example/callback?a=b&c=d")),
        format!("{code}&client_id={}", client.id),
        format!("grant_type=client_credentials&{assertion}&client_id=browser"),
        format!("grant_type=client_credentials&{assertion}"),
        code.to_owned(),
    ] {
        passes_untouched(&line, &Request { authorization: None, form });
    }
    let preflight = "OPTIONS @ HTTP/1.1\r\nHost: as.test\r\nOrigin: https://app.test\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: dpop\r\n\r\n";
    let direct = send(line.server.address(), &preflight.replace('@', line.server.paths()[0]));
    let through = send(line.relatch.proxy(), &preflight.replace('@', PATHS[0]));
    assert_eq!(lines(&through), lines(&direct));

    // And whoever presents one is authenticated here all the same.
    let before = line.tap.seen().len();
    for method in METHODS {
        let told = |secret| {
            exchange(line.relatch.proxy(), PATHS[0], &token_request(Credentials { id: client.id, secret, method }))
        };
        assert!(told(&client.old).json()["access_token"].is_string());
        let refused = told("wr0ng-s3cr3t");
        let challenge = refused.header("www-authenticate").unwrap_or_default().to_owned();
        assert_eq!((refused.status, challenge.contains("realm=\"relatch\"")), (401, true), "{challenge}");
    }
    assert_eq!(line.tap.seen().len() - before, METHODS.len());
    line.finish(&[client.old, client.new]);
}

/// Everybody asks twice, here and directly, and is told the same. A `right` secret that a program cannot make the server
/// understand directly, it cannot here either: nothing was read, so nothing was mended.
#[track_caller]
fn same_as_directly(line: &Line, pairs: &[(&str, &str, bool)]) {
    let (through, direct) = (line.endpoints(), line.server.endpoints());
    let one = |caller: Caller| {
        let mut granted = 0;
        for (method, (id, secret, right)) in METHODS.into_iter().flat_map(|m| pairs.iter().map(move |pair| (m, *pair)))
        {
            let ask = |at: &Endpoints| caller.ask(at, Credentials { id, secret, method }, Wish::Token);
            let (through, direct) = (ask(&through), ask(&direct));
            let answer = |told: &caller::Told| (told.status, told.error.clone(), told.granted());
            assert_eq!(answer(&through), answer(&direct), "{caller:?} {method:?} {id:?} (right: {right}): {through:?}");
            assert!(through.status.is_some(), "{caller:?}: {through:?}");
            assert!(!through.granted() || right, "{caller:?} {method:?} {id:?}: a token for a wrong secret");
            granted += usize::from(through.granted());
        }
        // In the body everybody is understood, in Basic everybody with the plain secret.
        let most = if caller.writes_basic_raw() { 4 } else { 6 };
        assert_eq!(granted, most, "{caller:?}");
    };
    std::thread::scope(|scope| caller::ALL.map(|caller| scope.spawn(move || one(caller))).map(|t| t.join().unwrap()));
}

/// A request to a token endpoint, byte for byte.
struct Request {
    authorization: Option<String>,
    form: String,
}

fn token_request(with: Credentials<'_>) -> Request {
    let (id, secret) = (form::encode(with.id), form::encode(with.secret));
    let grant = "grant_type=client_credentials";
    match with.method {
        Method::Basic => Request { authorization: Some(bytes::basic(&id, &secret)), form: grant.to_owned() },
        Method::Post => Request { authorization: None, form: format!("{grant}&client_id={id}&client_secret={secret}") },
    }
}

/// Sends it both ways: the same goes in at the server, and the same comes out for the caller. Gives the answer.
#[track_caller]
fn passes_untouched(line: &Line, request: &Request) -> Reply {
    let before = line.tap.seen().len();
    let through = exchange(line.relatch.proxy(), PATHS[0], request);
    let seen = line.tap.seen();
    assert_eq!(seen.len() - before, 1, "{}", request.form);
    let seen = seen.last().unwrap();
    assert_eq!(seen.header("authorization"), request.authorization.as_deref());
    assert_eq!(String::from_utf8_lossy(&seen.body), request.form);
    let direct = exchange(line.server.address(), line.server.paths()[0], request);
    assert_eq!(lines(&through), lines(&direct), "{}", request.form);
    assert_eq!(through.body, direct.body, "{}", request.form);
    through
}

#[track_caller]
fn exchange(address: std::net::SocketAddr, path: &str, request: &Request) -> Reply {
    let authorization = request.authorization.iter().map(|value| format!("Authorization: {value}\r\n"));
    let authorization: String = authorization.collect();
    let (form, length) = (&request.form, request.form.len());
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: as.test\r\n{authorization}{kind}\r\nContent-Length: {length}\r\n\r\n");
    send(address, &format!("{head}{form}"))
}

#[track_caller]
fn send(address: std::net::SocketAddr, request: &str) -> Reply {
    let mut wire = Wire::connect(address);
    wire.send(request.as_bytes());
    wire.read_reply(false, PATIENCE).reply()
}

/// Status and header lines in order, but those of the connection and the clock.
fn lines(reply: &Reply) -> (u16, Vec<(String, String)>) {
    let passes = |(name, _): &&(String, String)| !["connection", "keep-alive", "date"].contains(&name.as_str());
    (reply.status, reply.headers.iter().filter(passes).cloned().collect())
}
