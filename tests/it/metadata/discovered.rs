//! `relatch config check --discover`: what the server says of itself, held against the configuration.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use super::{OPENID, RFC_8414, document};
use crate::support::bytes::sha256_record;
use crate::support::process::{Process, Ran, relatch};
use crate::support::tls::{Ca, server};
use crate::support::upstream::{Answer, Upstream, nobody};
use crate::support::{PATIENCE, poll};

const CLIENTS: &str = "[[client]]\nid = \"c1\"\ntenant = \"shop\"\n";
const NO_TENANT: &str = "[[client]]\nid = \"c1\"\n";

/// Checks a configuration with this upstream and these endpoints.
#[track_caller]
fn check(dir: &Path, upstream: &str, endpoints: &str, clients: &str, arguments: &[&str]) -> Ran {
    let text = format!("[upstream]\nurl = \"{upstream}\"\n{endpoints}[clients]\npath = \"clients.toml\"\n");
    std::fs::write(dir.join("relatch.toml"), text).unwrap();
    let secret = format!("[[client.secret]]\nid = \"s1\"\nhash = \"{}\"\n", sha256_record(b"right-s3cr3t"));
    std::fs::write(dir.join("clients.toml"), format!("{clients}{secret}")).unwrap();
    let ran = relatch(dir, &[&["config", "check", "--discover"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.starts_with("config ok: 1 client, "), "{ran:?}");
    ran
}

/// From now on this is at the path, and nothing anywhere else.
fn serve(upstream: &Upstream, path: &'static str, body: &str) {
    let answer = Answer::json(200, body);
    upstream.answer_by(move |seen| if seen.target == path { answer.clone() } else { Answer::json(404, "{}") });
}

#[test]
fn endpoints_that_nothing_leads_to_are_named_with_the_lines_that_do() {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let more = json!({
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.test/token"},
    });
    serve(&upstream, OPENID, &document("https://as.test", &more));
    let endpoints = "[[endpoint]]\npath = \"/oauth/token\"\nupstream_path = \"/token\"\n";
    let ran = check(dir.path(), &upstream.url(), endpoints, NO_TENANT, &[]);
    let lines: Vec<_> = ran.out.lines().skip(1).collect();
    let found = format!("upstream: metadata of {} at {OPENID}, issuer https://as.test", upstream.url());
    let methods = "upstream: clients authenticate by client_secret_basic, private_key_jwt";
    assert_eq!(lines, [found.as_str(), methods]);
    for (member, path) in [("revocation_endpoint", "/revoke"), ("introspection_endpoint", "/introspect")] {
        let told = format!(
            "warning: upstream: no [[endpoint]] leads to {member} (https://as.test{path}); these lines do:\n\n\
             [[endpoint]]\npath = \"{path}\"\n"
        );
        assert!(ran.err.contains(&told), "{member}: {}", ran.err);
    }
    assert!(
        ran.err.contains("mtls_endpoint_aliases.token_endpoint (https://mtls.test/token): it is at another server")
    );
    assert!(ran.err.contains("takes private_key_jwt, and [[endpoint]] /oauth/token has auth = \"required\""));
    assert_eq!(ran.err.matches("warning: upstream: ").count(), 4, "{}", ran.err);
    let asked: Vec<_> = upstream.seen().iter().map(|seen| (seen.method.clone(), seen.target.clone())).collect();
    assert_eq!(asked, [("GET".to_owned(), RFC_8414.to_owned()), ("GET".to_owned(), OPENID.to_owned())]);
    assert!(upstream.seen().iter().all(|seen| seen.header("authorization").is_none()));

    // The lines, pasted, and signing clients passed: nothing is left to say but the other server.
    let pasted = format!(
        "{endpoints}auth = \"optional\"\n[[endpoint]]\npath = \"/revoke\"\n[[endpoint]]\npath = \"/introspect\"\n"
    );
    let ran = check(dir.path(), &upstream.url(), &pasted, NO_TENANT, &[]);
    assert_eq!(ran.err.matches("warning: ").count(), 1, "{}", ran.err);
}

#[test]
fn a_realms_document_is_found_by_the_tenant_of_a_client_and_by_the_issuers_name() {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let realm = "/realms/shop/.well-known/openid-configuration";
    let base = "https://login.test/realms/shop";
    serve(&upstream, realm, &document(&format!("{base}/protocol/openid-connect"), &json!({"issuer": base})));
    let endpoints = "[[endpoint]]\npath = \"/realms/{tenant}/protocol/openid-connect/token\"\n";
    let ran = check(dir.path(), &upstream.url(), endpoints, CLIENTS, &[]);
    assert!(ran.err.contains("path = \"/realms/{tenant}/protocol/openid-connect/revoke\""), "{}", ran.err);
    assert_eq!(upstream.seen().last().unwrap().target, realm);
    assert_eq!(upstream.count(), 2, "the likeliest first");

    // By name, where the list has no tenant to go by; the Host is the issuer's.
    let ran = check(dir.path(), &upstream.url(), endpoints, NO_TENANT, &["--issuer", base]);
    assert!(ran.out.contains(&format!("at {realm}, issuer {base}\n")), "{}", ran.out);
    assert_eq!(upstream.seen().last().unwrap().header("host"), Some("login.test"));
    for bad in ["shop", "ftp://a", "https://a?b"] {
        let ran = relatch(dir.path(), &["config", "check", "--discover", "--issuer", bad]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{bad}");
    }
}

#[test]
fn the_link_that_requests_take_is_asked_over_tls_and_a_unix_socket_too() {
    let (dir, ca, callers, upstream) = (tempfile::tempdir().unwrap(), Ca::new(), Ca::new(), Upstream::start());
    upstream.secure(server(&ca.issue(&["as.internal"]), &[&callers], &["http/1.1"]));
    serve(&upstream, RFC_8414, &document("https://as.test", &json!({})));
    let ours = callers.issue(&["relatch"]);
    for (name, text) in [("ca.pem", ca.pem()), ("c.pem", &ours.cert), ("c.key", &ours.key)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    // As a key should be: nothing is warned of but what the server says.
    std::fs::set_permissions(dir.path().join("c.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = "[upstream.tls]\nca = \"ca.pem\"\ncert = \"c.pem\"\nkey = \"c.key\"\nserver_name = \"as.internal\"\n\
               [[endpoint]]\npath = \"/token\"\n";
    let ran = check(dir.path(), &upstream.https(), tls, NO_TENANT, &[]);
    assert!(ran.err.contains("path = \"/revoke\""), "{ran:?}");
    // Another name than the certificate has: not a byte is asked.
    let before = upstream.count();
    let ran = check(dir.path(), &upstream.https(), &tls.replace("as.internal", "other"), NO_TENANT, &[]);
    assert!(ran.err.starts_with(&format!("upstream: no metadata of {} (no connection: ", upstream.https())), "{ran:?}");
    assert_eq!((ran.err.lines().count(), upstream.count()), (1, before), "{}", ran.err);

    let listener = UnixListener::bind(dir.path().join("as.sock")).unwrap();
    let body = document("https://as.test", &json!({}));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        _ = stream.read(&mut [0; 4096]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        _ = stream.write_all((head + &body).as_bytes());
    });
    let ran = check(dir.path(), "unix:as.sock", "[[endpoint]]\npath = \"/token\"\n", NO_TENANT, &[]);
    assert!(ran.out.contains("as.sock at /.well-known/oauth-authorization-server, issuer https://as.test"), "{ran:?}");
}

#[test]
fn each_of_several_servers_is_asked_and_the_lines_name_it() {
    let (dir, first, second) = (tempfile::tempdir().unwrap(), Upstream::start(), Upstream::start());
    serve(&first, OPENID, &document("https://one.test", &json!({})));
    serve(
        &second,
        OPENID,
        &document(
            "https://two.test",
            &json!({"mtls_endpoint_aliases": {"token_endpoint": format!("{}/token", first.url())}}),
        ),
    );
    let endpoints = format!(
        "[upstreams.two]\nurl = \"{}\"\n[[endpoint]]\npath = \"/token\"\n\
         [[endpoint]]\npath = \"/two/token\"\nupstream_path = \"/token\"\nupstream = \"two\"\n",
        second.url()
    );
    let ran = check(dir.path(), &first.url(), &endpoints, NO_TENANT, &[]);
    assert!(ran.out.contains("upstream: metadata of") && ran.out.contains("upstreams.two: metadata of"), "{}", ran.out);
    assert!(ran.err.contains("path = \"/revoke\"\nupstream = \"two\"\n"), "{}", ran.err);
    assert_eq!(ran.err.matches("warning: upstreams.two: ").count(), 2, "{}", ran.err);
    assert_eq!(ran.err.matches("warning: upstream: ").count(), 2, "{}", ran.err);
}

#[test]
fn a_server_without_metadata_is_told_in_one_line_and_is_no_error() {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let endpoints = "[[endpoint]]\npath = \"/oauth/token\"\n";
    let told = |url: &str, word: &str| {
        let ran = check(dir.path(), url, endpoints, NO_TENANT, &[]);
        assert_eq!((ran.err.lines().count(), ran.out.lines().count()), (1, 1), "{ran:?}");
        let begin = format!("upstream: no metadata of {url} (");
        assert!(ran.err.starts_with(&begin) && ran.err.contains(word), "{word}: {}", ran.err);
    };
    told(&format!("http://{}", nobody()), "no connection");
    let other = Upstream::start();
    for (answer, word) in [
        (Answer::json(404, "{}"), "4 paths asked, last /oauth/.well-known/openid-configuration: 404 Not Found"),
        (Answer::json(302, "{}").with("Location", &other.url()), "302 Found"),
        (Answer::json(200, "{}"), "200, and no JSON object with an issuer"),
        (Answer::json(200, r#"{"issuer":"a","issuer":"b"}"#), "200, and no JSON object with an issuer"),
        (Answer::json(200, &document("https://a", &json!({"x": "y".repeat(1 << 20)}))), "larger than"),
        (Answer::json(200, "{}\u{1b}[2J").with("X", "y"), "200, and no JSON object"),
        (Answer::Close, "no answer"),
    ] {
        upstream.answer(answer);
        told(&upstream.url(), word);
    }
    assert_eq!(other.count(), 0, "no redirect is followed");
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let text = format!("[upstream]\nurl = \"{url}\"\n{endpoints}[clients]\npath = \"clients.toml\"\n");
    std::fs::write(dir.path().join("relatch.toml"), text).unwrap();
    let asking = Process::start(dir.path(), &["config", "check", "--discover"], &[]);
    let told = format!("upstream: no metadata of {url} (nothing within 10 s)");
    poll(PATIENCE * 3, || asking.err().starts_with(&told).then_some(())).unwrap_or_else(|| panic!("{}", asking.err()));
    assert_eq!(asking.end().code, Some(0));
}
