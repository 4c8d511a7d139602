//! Whatever is asked for one after another, in every way that people write a list: the text says what the list as data says.

use proptest::prelude::*;

use super::*;

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
        let list = ClientList::parse(Doc { name: "f", text: &text }, Language::Toml, 0).0.unwrap();
        let start = |key: &ClientKey| list.clients.iter().find(|client| client.key == *key).map(|client| client.start.offset);
        let known = Known {
            starts: list.clients.iter().map(|client| client.start.offset).collect(),
            of: &start,
            secrets: list.clients.iter().map(|client| client.secrets.len()).sum(),
        };
        prop_assert_eq!(&apply_known(&text, Language::Toml, &made, &known).unwrap(), &result, "from\n{}\nby {:?}", text, made);
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
