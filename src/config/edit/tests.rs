//! What a person wrote stays; what is asked for is there.

use proptest::prelude::*;

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

/// A list as data, and as the text that somebody might have written for it.
#[derive(Clone, Debug)]
struct Model {
    clients: Vec<NewClient>,
    /// Keys that were set: client, secret or none, key, value.
    set: Vec<(ClientKey, Option<SecretId>, &'static str, Scalar)>,
    end: bool,
}

impl Model {
    fn make(&mut self, edit: &Edit) {
        let set = &mut self.set;
        let clients = &mut self.clients;
        let mut secrets = |id: &ClientKey, change: &dyn Fn(&mut Vec<NewSecret>)| {
            change(&mut clients.iter_mut().find(|client| client.key == *id).unwrap().secrets);
        };
        let mut put = |id: &ClientKey, secret: Option<&SecretId>, key: &'static str, value: &Option<Scalar>| {
            set.retain(|(c, s, k, _)| (c, s.as_ref(), *k) != (id, secret, key));
            set.extend(value.clone().map(|value| (id.clone(), secret.cloned(), key, value)));
        };
        match edit {
            Edit::AddClient(new) => clients.push(new.clone()),
            Edit::RemoveClient(id) => clients.retain(|client| client.key != *id),
            Edit::SetClient { client, key, value } => put(client, None, key, value),
            Edit::SetUpstreamFiles { client, files } => {
                let client = clients.iter_mut().find(|one| one.key == *client).unwrap();
                client.upstream_secret_files = files.clone();
            }
            Edit::AddSecret { client: id, secret } => secrets(id, &|all| all.push(secret.clone())),
            Edit::SetSecret { client, secret, set } => {
                set.iter().for_each(|(key, value)| put(client, Some(secret), key, value));
            }
            Edit::RemoveSecret { client: id, secret } => secrets(id, &|all| all.retain(|one| one.id != *secret)),
        }
    }

    fn values(&self, client: &ClientKey, secret: Option<&SecretId>) -> Vec<(&'static str, Scalar)> {
        let mine = self.set.iter().filter(|(c, s, ..)| (c, s.as_ref()) == (client, secret));
        mine.map(|(.., key, value)| (*key, value.clone())).collect()
    }

    /// In one of the forms that a person may write, with comments from `notes` whose number names whose they are.
    fn toml(&self, form: Form, notes: &mut Vec<(ClientKey, Option<SecretId>)>) -> String {
        let mut text = "# top\n\n".to_owned();
        let mut note = |client: &ClientKey, secret: Option<&SecretId>| {
            notes.push((client.clone(), secret.cloned()));
            if form.notes { format!("# note {};", notes.len() - 1) } else { String::new() }
        };
        let line = |(key, value): &(&str, Scalar)| format!("{key} = {}", json(value));
        let gap = if form.gaps { "\n" } else { "" };
        if form.all_inline {
            text += "client = [ # open\n";
        }
        for client in &self.clients {
            let mut own = client.keys();
            own.extend(self.values(&client.key, None));
            let own: Vec<_> = own.iter().map(line).collect();
            let secrets: Vec<(&NewSecret, Vec<String>)> = client
                .secrets
                .iter()
                .map(|secret| {
                    let mut keys = secret.keys();
                    keys.extend(self.values(&client.key, Some(&secret.id)));
                    (secret, keys.iter().map(line).collect())
                })
                .collect();
            let upstream = match client.upstream_secret_files.as_slice() {
                [] => None,
                [one] => Some(format!("secret_file = {one:?}")),
                several => Some(format!("secret_files = {several:?}")),
            };
            if form.all_inline {
                let upstream = upstream.map(|files| format!(", upstream.{files}")).unwrap_or_default();
                let inner: Vec<_> = secrets.iter().map(|(_, keys)| format!("{{{}}}", keys.join(", "))).collect();
                text += &format!("{}\n  {{ {}{upstream}", note(&client.key, None), own.join(", "));
                text += &format!(", secret = [{}] }}, {}\n", inner.join(", "), note(&client.key, None));
                continue;
            }
            text += &format!("{gap}{}\n[[client]] {}\n", note(&client.key, None), note(&client.key, None));
            own.iter().for_each(|line| text += &format!("{line}\n"));
            if form.inline && !secrets.is_empty() {
                text += "secret = [\n";
                for (secret, keys) in &secrets {
                    text += &format!("  {}\n", note(&client.key, Some(&secret.id)));
                    text += &format!("  {{ {} }}, {}\n", keys.join(", "), note(&client.key, Some(&secret.id)));
                }
                text += "]\n";
            }
            upstream.inspect(|files| text += &format!("{gap}[client.upstream] # up\n{files}\n"));
            for (secret, keys) in secrets.iter().filter(|_| !form.inline) {
                text += &format!("{gap}{}\n[[client.secret]]\n", note(&client.key, Some(&secret.id)));
                keys.iter().for_each(|key| text += &format!("{key} {}\n", note(&client.key, Some(&secret.id))));
            }
            text += "\n# free\n\n";
        }
        if form.all_inline {
            text += "]\n";
        }
        if self.end {
            let secrets: usize = self.clients.iter().map(|client| client.secrets.len()).sum();
            text += &format!("[end]\nclients = {}\nsecrets = {secrets}\n", self.clients.len());
        }
        if form.open {
            text = text.trim_end().to_owned();
        }
        if form.crlf { text.replace('\n', "\r\n") } else { text }
    }
}

fn json(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => serde_json::json!(text).to_string(),
        Scalar::Bool(bool) => bool.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::List(texts) => serde_json::json!(texts).to_string(),
    }
}

#[derive(Clone, Copy, Debug)]
struct Form {
    gaps: bool,
    notes: bool,
    inline: bool,
    all_inline: bool,
    open: bool,
    crlf: bool,
}

/// What a list says, without where.
fn says(text: &str, language: Language) -> Vec<String> {
    let (list, problems) = ClientList::parse(Doc { name: "f", text }, language, 0);
    assert!(problems.errors.is_empty(), "{problems:?}\n{text}");
    let list = list.unwrap();
    let mut said = vec![format!("{:?}", list.end)];
    for client in list.clients {
        let files = client.upstream.map(|upstream| upstream.secret_files);
        said.push(format!("{} {} {} {files:?}", client.key, client.name, client.enabled));
        said.extend(client.secrets.into_iter().map(|s| {
            format!(
                "  {} {} {:?} {:?} {:?} {:?} {:?} {:?}",
                s.id, s.name, s.status, s.hint, s.created, s.not_before, s.expires, s.refused_until
            )
        }));
    }
    said
}

/// Choices that a model and its edits are made of.
fn choose(dice: &mut impl FnMut(u32) -> u32, model: &Model, count: &mut u32) -> Option<Edit> {
    *count += 1;
    let texts = ["", "Ä \"q\" \\ # x", "plain", "a\tb\nc", "[x]"];
    let text = |dice: &mut dyn FnMut(u32) -> u32| texts[dice(5) as usize].to_owned();
    let fresh = |dice: &mut dyn FnMut(u32) -> u32, count: u32| NewSecret {
        name: text(dice),
        hint: (dice(2) == 0).then(|| "abcd".to_owned()),
        not_before: (dice(4) == 0).then(|| CREATED.to_owned()),
        ..secret(&format!("s{count}"))
    };
    let pick =
        if model.clients.is_empty() { None } else { model.clients.get(dice(model.clients.len() as u32) as usize) };
    let one = pick
        .and_then(|c| if c.secrets.is_empty() { None } else { c.secrets.get(dice(c.secrets.len() as u32) as usize) });
    let later = Scalar::Text("2099-01-01T00:00:00Z".to_owned());
    Some(match (dice(8), pick, one) {
        (0 | 1, ..) | (_, None, _) => Edit::AddClient(NewClient {
            // The same id now and then, in another tenant.
            key: client(&format!(
                "{}c{}\"{}",
                ["/", "t/"][*count as usize % 2],
                *count / 2,
                texts[*count as usize / 2 % 5]
            )),
            name: text(dice),
            upstream_secret_files: if dice(2) == 0 { vec!["up # file".to_owned()] } else { Vec::new() },
            secrets: (0..dice(3)).map(|n| fresh(dice, *count * 10 + n)).collect(),
        }),
        (2, Some(c), _) => Edit::RemoveClient(c.key.clone()),
        (3, Some(c), _) => {
            let value = (dice(2) == 0).then_some(Scalar::Bool(dice(2) == 0));
            Edit::SetClient { client: c.key.clone(), key: "enabled", value }
        }
        (4, Some(c), _) if !c.upstream_secret_files.is_empty() => Edit::SetUpstreamFiles {
            client: c.key.clone(),
            files: (0..=dice(2)).map(|number| format!("up {number}")).collect(),
        },
        (4 | 5, Some(c), _) | (_, Some(c), None) => {
            Edit::AddSecret { client: c.key.clone(), secret: fresh(dice, *count + 1000) }
        }
        (6, Some(c), Some(s)) => Edit::RemoveSecret { client: c.key.clone(), secret: s.id.clone() },
        (_, Some(c), Some(s)) => {
            let status = ["active", "disabled", "revoked"][dice(3) as usize];
            let set = vec![
                ("status", Some(Scalar::Text(status.to_owned()))),
                ("expires", (dice(2) == 0).then(|| later.clone())),
                ("refused_until", (dice(2) == 0).then_some(later)),
            ];
            Edit::SetSecret { client: c.key.clone(), secret: s.id.clone(), set }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edits_do_to_the_text_what_they_do_to_the_list(
        seeds in prop::collection::vec(any::<u32>(), 400),
        before in 0_u32..8,
        edits in 0_usize..8,
        flags in any::<[bool; 7]>(),
    ) {
        let [gaps, notes, inline, all_inline, open, crlf, end] = flags;
        let form = Form { gaps, notes, inline, all_inline, open, crlf };
        let mut seeds = seeds.into_iter().cycle();
        let mut dice = |below: u32| seeds.next().unwrap() % below;
        let mut model = Model { clients: Vec::new(), set: Vec::new(), end };
        let mut count = 0;
        for _ in 0..before {
            let edit = choose(&mut dice, &model, &mut count).unwrap();
            model.make(&edit);
        }
        let mut owners = Vec::new();
        let text = model.toml(form, &mut owners);
        let plain = Form { gaps: true, notes: false, inline: false, all_inline: false, open: false, crlf: false };
        prop_assert_eq!(says(&text, Language::Toml), says(&model.toml(plain, &mut Vec::new()), Language::Toml), "{}", &text);
        prop_assert_eq!(&apply(&text, Language::Toml, &[]).unwrap(), &text);
        let as_json = {
            let list: serde_json::Value = toml_edit_to_json(&text);
            serde_json::to_string_pretty(&list).unwrap()
        };
        let (mut made, mut removed) = (Vec::new(), Vec::new());
        for _ in 0..edits {
            let edit = choose(&mut dice, &model, &mut count).unwrap();
            match &edit {
                Edit::RemoveClient(id) => removed.push((id.clone(), None)),
                Edit::RemoveSecret { client, secret } => removed.push((client.clone(), Some(secret.clone()))),
                // A key that is taken out takes the comment on its line along.
                Edit::SetSecret { client, secret, .. } if !inline => removed.push((client.clone(), Some(secret.clone()))),
                _ => {}
            }
            model.make(&edit);
            made.push(edit);
        }
        let wanted = says(&model.toml(plain, &mut Vec::new()), Language::Toml);
        let result = apply(&text, Language::Toml, &made).unwrap();
        prop_assert_eq!(says(&result, Language::Toml), wanted.clone(), "--- from\n{}\n--- by {:?}\n{}", text, made, result);
        for (number, (client, secret)) in owners.iter().enumerate() {
            let gone = removed.iter().any(|(c, s)| c == client && (s.is_none() || s == secret));
            let note = format!("# note {number};");
            prop_assert!(!text.contains(&note) || gone || result.contains(&note), "{note} of {text}\n---\n{result}");
        }
        prop_assert!(result.contains("# top") && result.matches("# free").count() == text.matches("# free").count(), "{made:?}\n{text}\n---\n{result}");
        prop_assert_eq!(result.matches("\r\n").count(), if text.contains("\r\n") { result.matches('\n').count() } else { 0 });
        prop_assert!(made.is_empty() || result.ends_with('\n') == text.ends_with('\n'), "{:?} {:?}", text, result);
        let result = apply(&as_json, Language::Json, &made).unwrap();
        prop_assert_eq!(says(&result, Language::Json), wanted, "{}", result);
    }
}

/// The same list in the other language.
fn toml_edit_to_json(text: &str) -> serde_json::Value {
    use crate::config::tree::{Node, Value};
    fn json(node: Node) -> serde_json::Value {
        match node.value {
            Value::String(text) | Value::Datetime(text) => text.into(),
            Value::Integer(number) => number.into(),
            Value::Float(number) => number.into(),
            Value::Bool(bool) => bool.into(),
            Value::Null => serde_json::Value::Null,
            Value::Array(items) => items.into_iter().map(json).collect(),
            Value::Table(entries) => entries.into_iter().map(|(key, _, node)| (key, json(node))).collect(),
        }
    }
    json(Doc { name: "f", text }.parse(Language::Toml, &mut Problems::default()).unwrap())
}
