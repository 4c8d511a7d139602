//! Client lists in short: one line a client, written out as TOML or JSON.
//!
//! `"c1 s1=one s2=two,revoked"` is a client `c1` with two secrets. After a
//! secret stand, each behind a comma, its status, where it is kept (`plain`,
//! `file`; a digest otherwise) or any other key (`expires=2020-01-01T00:00:00Z`).
//! `+key=value` is a key of the client, `+upstream=FILE` its upstream secret.
//! `"end"` counts right, `"end 3 4"` says 3 clients and 4 secrets.

use serde_json::{Map, Value, json};

use crate::support::bytes;
use crate::support::toml_text;

/// The list of these lines, in the language that the file's name says.
pub(crate) fn written(lines: &[String], file: &str) -> String {
    let list = list(lines);
    if file.ends_with(".json") {
        return serde_json::to_string_pretty(&list).unwrap();
    }
    // `[end]` must be last, and the writer keeps the order of the keys.
    let mut table: toml::Table = serde_json::from_value(list).unwrap();
    let end = table.remove("end").and_then(|end| end.as_table().cloned());
    let end = end.map(|end| format!("\n[end]\n{}", toml_text::write(&end)));
    toml_text::write(&table) + &end.unwrap_or_default()
}

/// The list as JSON has it.
fn list(lines: &[String]) -> Value {
    let mut clients = Vec::new();
    let mut end = None;
    for line in lines {
        let mut words = line.split_whitespace();
        match words.next().expect("a client's id") {
            "end" => end = Some(words.map(|n| n.parse().unwrap()).collect::<Vec<usize>>()),
            id => clients.push(client(id, words)),
        }
    }
    let secrets = |client: &Value| client["secret"].as_array().map_or(0, Vec::len);
    let counted = vec![clients.len(), clients.iter().map(secrets).sum()];
    let mut list = json!({ "client": clients });
    if let Some(said) = end {
        let said = if said.is_empty() { counted } else { said };
        list["end"] = json!({ "clients": said[0], "secrets": said[1] });
    }
    list
}

fn client<'w>(id: &str, words: impl Iterator<Item = &'w str>) -> Value {
    let mut client = Map::new();
    client.insert("id".to_owned(), json!(id));
    let mut secrets = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{word} is no name=value"));
        match name.strip_prefix('+') {
            Some("upstream") => drop(client.insert("upstream".to_owned(), json!({ "secret_file": value }))),
            Some(key) => drop(client.insert(key.to_owned(), plain(value))),
            None => secrets.push(secret(name, value)),
        }
    }
    // A client without secrets is one that says nothing about them.
    if !secrets.is_empty() {
        client.insert("secret".to_owned(), json!(secrets));
    }
    Value::Object(client)
}

fn secret(id: &str, words: &str) -> Value {
    let mut words = words.split(',');
    let value = words.next().unwrap_or_default();
    let mut record = Map::new();
    record.insert("id".to_owned(), json!(id));
    let mut kept = ("hash", bytes::sha256_record(value.as_bytes()));
    for word in words {
        match word {
            "plain" => kept = ("secret", value.to_owned()),
            "file" => kept = ("secret_file", value.to_owned()),
            "active" | "disabled" | "revoked" => drop(record.insert("status".to_owned(), json!(word))),
            other => {
                let (key, value) = other.split_once('=').unwrap_or_else(|| panic!("{other} is no word for a secret"));
                record.insert(key.to_owned(), plain(value));
            }
        }
    }
    record.insert(kept.0.to_owned(), json!(kept.1));
    Value::Object(record)
}

/// A number or a truth where it is one, a string otherwise.
fn plain(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

/// Every word that is a secret by its ending: none of them may show.
pub(crate) fn canaries(text: &str) -> Vec<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    text.split(word).filter(|word| word.ends_with(MARK)).map(str::to_owned).collect()
}

/// Every secret of these tests ends so, and then it occurs nowhere by chance.
pub(crate) const MARK: &str = "-7Hq2";
