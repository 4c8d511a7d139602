//! What a person wrote stays; what is asked for is there.

mod model;

use super::*;
use crate::config::clients::ClientList;
use crate::domain::ids::{ClientId, Tenant};

const HASH: &str = "$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
const CREATED: &str = "2026-11-21T00:00:00Z";

/// `billing`, or `shop/billing`.
fn client(name: &str) -> ClientKey {
    let (tenant, id) = name.split_once('/').unwrap_or(("", name));
    ClientKey { tenant: Tenant::parse(tenant).unwrap(), id: ClientId::parse(id).unwrap() }
}

fn secret(id: &str) -> NewSecret {
    NewSecret {
        id: SecretId::parse(id).unwrap(),
        name: String::new(),
        hash: HASH.to_owned(),
        hint: None,
        created: CREATED.to_owned(),
        not_before: None,
        expires: None,
    }
}

fn add(to: &str, id: &str) -> Edit {
    Edit::AddSecret { client: client(to), secret: secret(id) }
}

fn new_client(id: &str, secrets: &[&str]) -> Edit {
    let secrets = secrets.iter().map(|id| secret(id)).collect();
    Edit::AddClient(NewClient { key: client(id), name: String::new(), upstream_secret_files: Vec::new(), secrets })
}

fn set(of: &str, id: &str, key: &'static str, value: Option<&str>) -> Edit {
    let set = vec![(key, value.map(|text| Scalar::Text(text.to_owned())))];
    Edit::SetSecret { client: client(of), secret: SecretId::parse(id).unwrap(), set }
}

fn gone(of: &str, id: &str) -> Edit {
    Edit::RemoveSecret { client: client(of), secret: SecretId::parse(id).unwrap() }
}

/// `H` stands for a hash and `C` for a time of creation.
fn long(text: &str) -> String {
    text.replace("=H", &format!("= \"{HASH}\"")).replace("=C", &format!("= \"{CREATED}\""))
}

fn check(language: Language, before: &str, edits: &[Edit], after: &str) {
    for eol in ["\n", "\r\n"] {
        if eol == "\r\n" && !before.contains('\n') {
            continue;
        }
        let (before, after) = (long(before).replace('\n', eol), long(after).replace('\n', eol));
        let made = apply(&before, language, edits).unwrap();
        assert_eq!(made, after, "\n--- made\n{made}\n--- wanted\n{after}");
        let (_, problems) = ClientList::parse(Doc { name: "f", text: &made }, language, 0);
        assert!(problems.errors.is_empty(), "{problems:?}\n{made}");
    }
}

#[test]
fn toml_keeps_what_people_wrote() {
    let toml = |before: &str, edits: &[Edit], after: &str| check(Language::Toml, before, edits, after);
    // A file of comments, one without anything, one without an end to its last line.
    toml("# a\n# b\n", &[new_client("x", &[])], "# a\n# b\n\n[[client]]\nid = \"x\"\n");
    toml(
        "",
        &[new_client("x", &["s"])],
        "[[client]]\nid = \"x\"\n\n[[client.secret]]\nid = \"s\"\nhash =H\ncreated =C\n",
    );
    toml(
        "[[client]]\nid = 'x'",
        &[add("x", "s"), new_client("y", &[])],
        "[[client]]\nid = 'x'\n\n[[client.secret]]\nid = \"s\"\nhash =H\ncreated =C\n\n[[client]]\nid = \"y\"",
    );
    // Behind its siblings, before the next client and `[end]`; the counts are right; nothing else moves.
    toml(
        "#:schema ./s.json\n[[client]]  # first\nid='a'\n  [[client.secret]]\n  id   = 's1' # old\n  hash =H\n# tail of s1\n\n\
         # second\n[[ \"client\" ]]\nid = \"b\"\n\n# the end\n[end]\nclients = 2 # c\nsecrets = 1\n# last words\n",
        &[add("a", "s2"), set("a", "s1", "status", Some("disabled")), new_client("c", &[])],
        "#:schema ./s.json\n[[client]]  # first\nid='a'\n  [[client.secret]]\n  id   = 's1' # old\n  hash =H\n  status = \"disabled\"\n\
         # tail of s1\n\n  [[client.secret]]\n  id = \"s2\"\n  hash =H\n  created =C\n\n\
         # second\n[[ \"client\" ]]\nid = \"b\"\n\n[[client]]\nid = \"c\"\n\n# the end\n[end]\nclients = 3 # c\nsecrets = 2\n# last words\n",
    );
    // A key is replaced, put behind the others, or taken out with its line.
    toml(
        "[[client]]\nid = 'a'\nupstream.method = 'same'\nupstream.secret_file = 'f' # f\n[[client.secret]]\n\"id\" = 's'\nstatus = 'active'  # on\nhash =H\n",
        &[
            Edit::SetClient { client: client("a"), key: "enabled", value: Some(Scalar::Bool(false)) },
            set("a", "s", "status", Some("re\"v")),
            set("a", "s", "status", Some("disabled")),
        ],
        "[[client]]\nid = 'a'\nupstream.method = 'same'\nupstream.secret_file = 'f' # f\nenabled = false\n[[client.secret]]\n\"id\" = 's'\nstatus = \"disabled\"  # on\nhash =H\n",
    );
    toml(
        "[[client]]\nid = 'a'\n[[client.secret]]\nid = 's'\nexpires = 2027-01-01T00:00:00Z # then\nhash =H\n",
        &[set("a", "s", "expires", None)],
        "[[client]]\nid = 'a'\n[[client.secret]]\nid = 's'\nhash =H\n",
    );
    // What goes takes its own comments along and no others.
    toml(
        "# top\n\n# of a\n[[client]]\nid = 'a'\n# of s\n[[client.secret]]\nid = 's'\nhash =H # h\n\n# free\n\n# of b\n[[client]]\nid = 'b'\n[client.upstream]\nsecret_file = 'x'\n\n[end]\nclients = 2\nsecrets = 1\n",
        &[Edit::RemoveClient(client("a"))],
        "# top\n\n# free\n\n# of b\n[[client]]\nid = 'b'\n[client.upstream]\nsecret_file = 'x'\n\n[end]\nclients = 1\nsecrets = 0\n",
    );
    toml(
        "[[client]]\nid = 'a'\n\n# s\n[[client.secret]]\nid = 's'\nhash =H\n\n# t\n[[client.secret]]\nid = 't'\nhash =H\n",
        &[gone("a", "t")],
        "[[client]]\nid = 'a'\n\n# s\n[[client.secret]]\nid = 's'\nhash =H\n",
    );
}

#[test]
fn the_same_id_in_another_tenant_is_another_client() {
    let toml = |before: &str, edits: &[Edit], after: &str| check(Language::Toml, before, edits, after);
    let two = "[[client]]\nid = 'a'\n[[client]]\nid = 'a'\ntenant = 't'\n";
    toml(two, &[add("t/a", "s")], &format!("{two}\n[[client.secret]]\nid = \"s\"\nhash =H\ncreated =C\n"));
    toml(two, &[Edit::RemoveClient(client("a"))], "[[client]]\nid = 'a'\ntenant = 't'\n");
    toml(two, &[Edit::RemoveClient(client("t/a"))], "[[client]]\nid = 'a'\n");
    toml(two, &[new_client("u/a", &[])], &format!("{two}\n[[client]]\nid = \"a\"\ntenant = \"u\"\n"));
    toml(
        "client = [{ id = 'a', tenant = 't' }, { id = 'a', tenant = '' }]\n",
        &[Edit::RemoveClient(client("a"))],
        "client = [{ id = 'a', tenant = 't' }]\n",
    );
    let json = r#"{"client": [{"id": "a"}, {"id": "a", "tenant": "t"}]}"#;
    check(Language::Json, json, &[Edit::RemoveClient(client("t/a"))], r#"{"client":[{"id":"a"}]}"#);
    for (text, language) in [(two, Language::Toml), (json, Language::Json)] {
        assert_eq!(apply(text, language, &[new_client("t/a", &[])]), Err(EditError::ClientExists(client("t/a"))));
        assert_eq!(apply(text, language, &[add("u/a", "s")]), Err(EditError::NoClient(client("u/a"))));
    }
}

#[test]
fn toml_in_braces_keeps_its_layout() {
    let toml = |before: &str, edits: &[Edit], after: &str| check(Language::Toml, before, edits, after);
    let new = "{ id = \"n\", hash =H, created =C }";
    let a = "{ id = \"a\", hash =H }";
    let one = |secrets: &str| format!("[[client]]\nid = \"x\"\nsecret = {secrets}\n");
    for (before, after) in [
        ("[]".to_owned(), format!("[{new}]")),
        ("[\n]".to_owned(), format!("[\n  {new},\n]")),
        (format!("[{a}] # c"), format!("[{a}, {new}] # c")),
        (format!("[ {a}, ]"), format!("[ {a}, {new}, ]")),
        (format!("[\n   {a}, # c\n  # d\n]"), format!("[\n   {a}, # c\n   {new},\n  # d\n]")),
        (format!("[ # o\n\t{a} # c\n]"), format!("[ # o\n\t{a}, # c\n\t{new}\n]")),
        (format!("[\n  {a}]"), format!("[\n  {a},\n  {new}]")),
    ] {
        toml(&one(&before), &[add("x", "n")], &one(&after));
        let removed = apply(&long(&one(&after)), Language::Toml, &[gone("x", "n")]).unwrap();
        // Where it stood last without a comma, the one before it may keep its own.
        assert_eq!(removed.replace([',', ' ', '\n'], ""), long(&one(&before)).replace([',', ' ', '\n'], ""), "{after}");
    }
    toml(
        "client = []\n",
        &[new_client("x", &[]), add("x", "n")],
        &format!("client = [{{ id = \"x\", secret = [{new}] }}]\n"),
    );
    toml(
        "end = { clients = 0, secrets = 0 }\n",
        &[new_client("x", &[])],
        "client = [\n  { id = \"x\" },\n]\nend = { clients = 1, secrets = 0 }\n",
    );
    toml(
        "client = [\n  { id = 'a' }, # a\n  # of b\n  { id = 'b', upstream.secret_file = 'f', name = 'B' }, # b\n  { id = 'c' } # c\n]\n",
        &[
            Edit::SetClient { client: client("b"), key: "name", value: None },
            Edit::SetClient { client: client("b"), key: "enabled", value: Some(Scalar::Bool(true)) },
            Edit::RemoveClient(client("a")),
        ],
        "client = [\n  # of b\n  { id = 'b', upstream.secret_file = 'f', enabled = true }, # b\n  { id = 'c' } # c\n]\n",
    );
}

#[test]
fn the_upstreams_files_change_where_they_stand() {
    let two = [Edit::SetUpstreamFiles { client: client("a"), files: vec!["new".to_owned(), "o\"ld".to_owned()] }];
    for (before, after) in [
        (
            "[client.upstream] # up\nsecret_file = 'f' # f\n",
            "[client.upstream] # up\nsecret_files = [\"new\", \"o\\\"ld\"] # f\n",
        ),
        (
            "[client.upstream]\nsecret_files = [\n  'f', # f\n]\nid = 'b'\n",
            "[client.upstream]\nsecret_files = [\"new\", \"o\\\"ld\"]\nid = 'b'\n",
        ),
        (
            "upstream.id = 'b'\nupstream.secret_file = 'f'\n",
            "upstream.id = 'b'\nupstream.secret_files = [\"new\", \"o\\\"ld\"]\n",
        ),
        (
            "upstream = { secret_file = 'f', id = 'b' }\n",
            "upstream = { secret_files = [\"new\", \"o\\\"ld\"], id = 'b' }\n",
        ),
    ] {
        let edited = apply(&format!("[[client]]\nid = 'a'\n{before}"), Language::Toml, &two);
        assert_eq!(edited.unwrap(), format!("[[client]]\nid = 'a'\n{after}"));
    }
    let edited = apply(r#"{"client":[{"id":"a","upstream":{"id":"b","secret_file":"f"}}]}"#, Language::Json, &two);
    assert_eq!(edited.unwrap(), r#"{"client":[{"id":"a","upstream":{"id":"b","secret_files":["new","o\"ld"]}}]}"#);
    let refused = apply("[[client]]\nid = 'a'\n", Language::Toml, &two);
    assert_eq!(refused, Err(EditError::NoUpstream(client("a"))));
}

#[test]
fn json_keeps_its_indentation() {
    let json = |before: &str, edits: &[Edit], after: &str| check(Language::Json, before, edits, after);
    json("{}", &[new_client("x", &[])], "{\n  \"client\": [\n    {\n      \"id\": \"x\"\n    }\n  ]\n}");
    json(
        "{\"client\":[{\"id\":\"x\"}],\"end\":{\"clients\":1,\"secrets\":0}}\n",
        &[new_client("y", &[]), Edit::RemoveClient(client("x"))],
        "{\"client\":[{\"id\":\"y\"}],\"end\":{\"clients\":1,\"secrets\":0}}\n",
    );
    json(
        "{\n\t\"client\": [\n\t\t{\n\t\t\t\"id\": \"x\",\n\t\t\t\"name\": \"X\",\n\t\t\t\"enabled\": true\n\t\t}\n\t]\n}\n",
        &[Edit::SetClient { client: client("x"), key: "name", value: None }],
        "{\n\t\"client\": [\n\t\t{\n\t\t\t\"id\": \"x\",\n\t\t\t\"enabled\": true\n\t\t}\n\t]\n}\n",
    );
    json(
        "{\n  \"end\": {\n    \"clients\": 0,\n    \"secrets\": 0\n  }\n}\n",
        &[new_client("x", &[])],
        "{\n  \"client\": [\n    {\n      \"id\": \"x\"\n    }\n  ],\n  \"end\": {\n    \"clients\": 1,\n    \"secrets\": 0\n  }\n}\n",
    );
}

#[test]
fn of_a_list_that_was_read_only_the_lines_around_a_change_are_looked_at() {
    let clients = ["a", "b", "c", "d", "e"].map(|id| format!("# {id}\n[[client]]\nid = \"{id}\"\n\n")).concat();
    // Of no language at all: whoever reads it says so.
    let text = clients.replace("\"a\"", "\"a\" ?!") + "[end]\nclients = 5\nsecrets = 0\n";
    let at = |id: &str| text.find(&format!("[[client]]\nid = \"{id}\""));
    let starts = ["a", "b", "c", "d", "e"].map(|id| at(id).unwrap());
    let of = |key: &ClientKey| at(key.id.as_str());
    let known = Known { starts: starts.to_vec(), of: &of, secrets: 0 };
    let made = |edit: Edit| apply_known(&text, Language::Toml, &[edit], &known);
    let secret = format!("\n[[client.secret]]\nid = \"s\"\nhash = \"{HASH}\"\ncreated = \"{CREATED}\"\n");
    let (c, e) = ("id = \"c\"\n", "id = \"e\"\n");
    let ends = |text: &str, clients: u8, secrets: u8| {
        text.replace("clients = 5\nsecrets = 0", &format!("clients = {clients}\nsecrets = {secrets}"))
    };
    assert_eq!(made(add("c", "s")).unwrap(), ends(&text.replace(c, &format!("{c}{secret}")), 5, 1));
    assert_eq!(made(add("e", "s")).unwrap(), ends(&text.replace(e, &format!("{e}{secret}")), 5, 1));
    assert_eq!(
        made(Edit::RemoveClient(client("c"))).unwrap(),
        ends(&text.replace(&format!("# c\n[[client]]\n{c}\n"), ""), 4, 0)
    );
    assert_eq!(
        made(new_client("f", &[])).unwrap(),
        ends(&text.replace("[end]", "[[client]]\nid = \"f\"\n\n[end]"), 6, 0)
    );
    // Beside it, or where it is not known where something stands, it is read.
    for edit in [add("b", "s"), add("f", "s")] {
        assert!(matches!(made(edit), Err(EditError::Unreadable(_))));
    }
}

#[test]
fn what_cannot_be_done_is_told() {
    for (text, language) in
        [("[[client]]\nid = 'a'\n", Language::Toml), ("{\"client\":[{\"id\":\"a\"}]}", Language::Json)]
    {
        for (edit, error) in [
            (add("b", "s"), EditError::NoClient(client("b"))),
            (gone("a", "s"), EditError::NoSecret(client("a"), SecretId::parse("s").unwrap())),
            (new_client("a", &[]), EditError::ClientExists(client("a"))),
        ] {
            assert_eq!(apply(text, language, &[edit]), Err(error));
        }
        let cut = text.get(..text.len() - 3).unwrap();
        assert!(matches!(apply(cut, language, &[add("a", "s")]), Err(EditError::Unreadable(_))), "{cut}");
    }
}
