//! The metadata that a real server has, found and passed through.

use super::line::{Line, PATHS};
use super::server::{Kind, Server};
use crate::support::http::get;
use crate::support::process::relatch;

const OPENID: &str = "/.well-known/openid-configuration";

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_endpoints_of_oidc_provider_that_nothing_leads_to_are_found() {
    let (server, dir) = (Server::start(Kind::OidcProvider), tempfile::tempdir().unwrap());
    let [token, introspection, revocation] = server.paths();
    let url = format!("http://{}", server.address());
    let check = |paths: &[&str]| {
        let endpoints: String = paths.iter().map(|path| format!("[[endpoint]]\npath = \"{path}\"\n")).collect();
        let text = format!("[upstream]\nurl = \"{url}\"\n{endpoints}[clients]\npath = \"clients.toml\"\n");
        std::fs::write(dir.path().join("relatch.toml"), text).unwrap();
        std::fs::write(dir.path().join("clients.toml"), "").unwrap();
        let ran = relatch(dir.path(), &["config", "check", "--discover"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains(&format!("issuer {url}\n")), "{}", ran.out);
        assert!(ran.out.contains("clients authenticate by client_secret_basic, client_secret_post\n"), "{}", ran.out);
        ran.err
    };
    let told = check(&[token]);
    for path in [introspection, revocation] {
        assert!(
            told.contains(&format!("({url}{path}); these lines do:\n\n[[endpoint]]\npath = \"{path}\"\n")),
            "{told}"
        );
    }
    assert!(!told.contains("leads to token_endpoint"), "{told}");
    let told = check(&[token, introspection, revocation]);
    assert!(!told.contains(introspection) && !told.contains(revocation), "{told}");
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_document_of_oidc_provider_names_us() {
    let config = format!("metadata.paths = [\"{OPENID}\"]\nmetadata.base = \"https://login.test\"");
    let line = Line::start(Kind::OidcProvider, |setup| setup.config(&config));
    let reply = get(line.relatch.proxy(), OPENID);
    assert_eq!(reply.status, 200, "{reply:?}");
    let document = reply.json();
    let members = ["token_endpoint", "introspection_endpoint", "revocation_endpoint"];
    for (member, path) in members.into_iter().zip(PATHS) {
        assert_eq!(document[member], format!("https://login.test{path}"), "{document}");
    }
    assert_eq!(document["issuer"], format!("http://{}", line.server.address()));
    assert!(!document["jwks_uri"].as_str().unwrap().contains("login.test"), "{document}");
    line.finish(&[]);
}
