use super::*;
use crate::config::clients::ClientList;
use crate::config::tree::{Doc, Language};
use crate::domain::clock::Timestamp;

const HASH: &str = "$sha256$ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
const OTHER: &str = "$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

/// What comes out of a file: the list, as it is read again, and what was told.
fn import(from: Format, text: &str) -> (ClientList, String) {
    let mut intake = Intake::at(Timestamp::from_millis(1_795_224_600_000), None);
    read(from, text, &mut intake).unwrap_or_else(|error| panic!("{from:?}: {error:#}"));
    let toml = write::clients(&intake.clients);
    let (list, problems) = ClientList::parse(Doc { name: "f", text: &toml }, Language::Toml, 0);
    assert!(problems.errors.is_empty() && problems.warnings.is_empty(), "{problems:?}\n{toml}");
    (list.unwrap(), intake.told())
}

fn told(from: Format, text: &str) -> String {
    import(from, text).1
}

#[test]
fn an_id_can_become_nothing_but_that_id() {
    for id in
        ["a\"b", "a'b", "a\n[[client]]\nid = \"admin\"", "\u{7f}\u{1}\u{0}\t", "'''\"\"\"", "\\", "ü\u{202e}", "#", " "]
    {
        let text = serde_json::json!([{"client_id": id, "client_name": id, "client_secret": HASH}]).to_string();
        let (list, _) = import(Format::Hydra, &text);
        assert_eq!(list.clients.len(), 1, "{id:?}");
        assert_eq!((list.clients[0].key.id.as_str(), list.clients[0].name.as_str()), (id, id));
        let text = serde_json::json!([{"client_id": id, "client_secret": "canary"}]).to_string();
        assert_eq!(told(Format::Hydra, &text).lines().count(), 2, "{id:?} breaks the line");
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_named_and_the_others_come_in() {
    let text = format!(
        r#"[7, {{"client_id": "a", "client_secret": "canary"}}, {{"client_id": "", "client_secret": "{HASH}"}},
            {{"client_id": "b", "client_secret": 7}}, {{"client_id": "c"}},
            {{"client_id": "d", "client_secret": "{HASH}", "rotated_secrets": [7, "canary", "{OTHER}", "{HASH}"]}}]"#
    );
    let (list, told) = import(Format::Hydra, &text);
    assert_eq!(list.clients.len(), 1);
    let names: Vec<_> = list.clients[0].secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["current", "rotated 2"]);
    for line in [
        "refused: an entry: is no object",
        "refused: client \"a\": its hash is in no format",
        "refused: client \"\": its id is empty",
        "refused: client \"b\": client_secret is not text",
        "refused: client \"c\": has no secret",
        "refused: client \"d\", secret 2: is the same secret",
        "refused: client \"d\", secret 4: its hash is in no format",
        "refused: client \"d\", secret 5: rotated_secrets holds",
        "Imported 1 client, 2 secrets; 8 refused\n",
    ] {
        assert!(told.contains(line), "{line} is missing in:\n{told}");
    }
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn a_second_client_of_one_id_stays_out_save_for_lines_of_a_table() {
    let realm = |secret: &str| format!(r#"{{"clients": [{{"clientId": "a", "secret": "{secret}"}}]}}"#);
    let (list, told) = import(Format::Keycloak, &format!("[{}, {}]", realm("one"), realm("two")));
    assert_eq!((list.clients.len(), list.clients[0].secrets.len()), (1, 1));
    assert!(told.contains("client \"a\": stands in the file twice"), "{told}");
    let (list, told) = import(Format::Csv, "client_id,secret\na,one\nb,two\na,three\n");
    let secrets: Vec<_> = list.clients.iter().map(|client| client.secrets.len()).collect();
    assert_eq!(secrets, [2, 1]);
    assert_eq!(told, "Imported 2 clients, 3 secrets; 0 refused\n");
}

#[test]
fn realms_and_tenants_of_a_table_keep_their_clients_apart() {
    let keys = |list: &ClientList| list.clients.iter().map(|client| client.key.to_string()).collect::<Vec<_>>();
    let realm = |name: &str| format!(r#"{{"realm": "{name}", "clients": [{{"clientId": "a", "secret": "{name}"}}]}}"#);
    let two = format!("[{}, {}]", realm("one"), realm("two"));
    assert_eq!(keys(&import(Format::Keycloak, &two).0), ["a of tenant one", "a of tenant two"]);
    let (list, told) = import(Format::Keycloak, &realm("a shop"));
    assert!(list.clients.is_empty() && told.contains("give one with --tenant"), "{told}");
    let (list, _) = import(Format::Csv, "client_id,tenant,secret\na,t,one\na,,two\na,t,three\n");
    assert_eq!(keys(&list), ["a of tenant t", "a"]);
    assert_eq!(list.clients[0].secrets.len(), 2);
    for (given, expected) in [("", "a"), ("shop", "a of tenant shop")] {
        let mut intake = Intake::at(Timestamp::MIN, Tenant::parse(given));
        read(Format::Keycloak, &two, &mut intake).unwrap();
        assert_eq!(intake.clients.iter().map(|client| client.key.to_string()).collect::<Vec<_>>(), [expected]);
        assert!(intake.told().contains("stands in the file twice"), "all of them in one tenant");
    }
}

#[test]
fn a_client_keeps_eight_living_secrets_and_any_number_that_are_over() {
    let lines = |expires: &str| (0..10).map(|at| format!("a,{expires}{at},{expires}\n")).collect::<String>();
    let text = format!("client_id,secret,expires\n{}{}", lines("2020-01-01"), lines(""));
    let (list, told) = import(Format::Csv, &text.replace("2020-01-01\n", "2020-01-01T00:00:00Z\n"));
    assert_eq!((list.clients[0].secrets.len(), list.clients[0].max_active), (18, 8));
    assert!(told.contains("secret 19: a client can have 8 secrets") && told.contains("2 refused"), "{told}");
}

#[test]
fn an_end_that_cannot_be_read_refuses_and_a_beginning_is_left_out() {
    let text = |key: &str, at: &str| format!(r#"[{{"client_id": "a", "client_secret": "{{noop}}x", "{key}": {at}}}]"#);
    for at in ["\"canary\"", "7", "\"0001-01-01T00:00:00Z\""] {
        let told = told(Format::Spring, &text("client_secret_expires_at", at));
        assert!(told.contains("client_secret_expires_at is not") && !told.contains("canary"), "{told}");
        assert!(self::told(Format::Spring, &text("client_id_issued_at", at)).contains("; 0 refused"));
    }
    let (list, _) = import(Format::Spring, &text("client_secret_expires_at", "\"2031-01-01 00:00:00.5\""));
    assert_eq!(list.clients[0].secrets[0].expires, Some(Timestamp::from_millis(1_924_992_000_500)));
    let (list, told) = import(Format::Csv, "client_id,secret,not_before,expires\na,x,2031-01-01,2030-01-01\n");
    assert!(list.clients.is_empty() && told.contains("over before it comes"), "{told}");
}

#[test]
fn a_file_of_another_shape_is_told_by_its_place_and_never_quoted() {
    use Format::*;
    for (from, text, word) in [
        (Hydra, "{\"canary\": ", "line 1, column"),
        (Hydra, "{\"canary\": 1}", "under clients"),
        (Django, "{}", "is not a list"),
        (Duende, "{\"canary\": []}", "under Clients or IdentityServer.Clients"),
        (Spring, "canary", "line 1"),
        (Keycloak, "{}", "under clients"),
        (Dex, "a: [canary\nb: 'canary", "not valid YAML"),
        (Dex, "canary: 1", "under staticClients"),
        (Authelia, "a: &a [*a, canary]\nb: }", "not valid YAML"),
        (Authelia, "identity_providers: {oidc: canary}", "under identity_providers.oidc.clients"),
        (Csv, "", "must name client_id"),
        (Csv, "a,canary\n", "column 1"),
        (Csv, "client_id,canary\n", "column 2"),
        (Csv, "client_id,client_id\n", "twice"),
        (Csv, "client_id,name\n", "must name"),
    ] {
        let error = read(from, text, &mut Intake::at(Timestamp::MIN, None)).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(word) && !error.contains("canary"), "{from:?} {text:?}: {error}");
    }
}
