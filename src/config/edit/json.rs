//! Edits to JSON: read, changed, and written with the indentation that it had.

use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value, json};

use super::{Edit, EditError, NewClient, NewSecret, Scalar};
use crate::domain::ids::{ClientKey, SecretId};

pub(super) fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let unreadable = |error: &dyn std::fmt::Display| EditError::Unreadable(error.to_string());
    let mut root: Map<String, Value> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let layout = Layout::of(text, root.is_empty());
    for edit in edits {
        make(&mut root, edit)?;
    }
    count(&mut root);
    layout.write(&root).map_err(|error| unreadable(&error))
}

fn make(root: &mut Map<String, Value>, edit: &Edit) -> Result<(), EditError> {
    match edit {
        Edit::AddClient(new) => {
            // `end` stays last.
            let clients = list(root, "client", root.keys().position(|key| key == "end"))?;
            if client_at(clients, &new.key).is_some() {
                return Err(EditError::ClientExists(new.key.clone()));
            }
            clients.push(client(new));
        }
        Edit::RemoveClient(id) => {
            let clients = list(root, "client", None)?;
            let at = client_at(clients, id).ok_or_else(|| EditError::NoClient(id.clone()))?;
            clients.remove(at);
        }
        Edit::SetClient { client, key, value } => set(find(root, client)?, key, value.as_ref()),
        Edit::SetUpstreamFiles { client, files } => {
            let upstream = find(root, client)?.get_mut("upstream").and_then(Value::as_object_mut);
            let upstream = upstream.ok_or_else(|| EditError::NoUpstream(client.clone()))?;
            set(upstream, "secret_file", None);
            set(upstream, "secret_files", Some(&Scalar::List(files.clone())));
        }
        Edit::AddSecret { client, secret: new } => list(find(root, client)?, "secret", None)?.push(secret(new)),
        Edit::SetSecret { client, secret, set: keys } => {
            let (secrets, at) = find_secret(root, client, secret)?;
            if let Some(object) = secrets.get_mut(at).and_then(Value::as_object_mut) {
                keys.iter().for_each(|(key, value)| set(object, key, value.as_ref()));
            }
        }
        Edit::RemoveSecret { client, secret } => {
            let (secrets, at) = find_secret(root, client, secret)?;
            secrets.remove(at);
        }
    }
    Ok(())
}

/// The list under a key; made where there is none.
fn list<'r>(
    object: &'r mut Map<String, Value>,
    key: &str,
    before: Option<usize>,
) -> Result<&'r mut Vec<Value>, EditError> {
    if !object.contains_key(key) {
        let at = before.unwrap_or(object.len());
        object.shift_insert(at, key.to_owned(), json!([]));
    }
    let list = object.get_mut(key).and_then(Value::as_array_mut);
    list.ok_or_else(|| EditError::Unreadable(format!("{key} is not a list")))
}

fn client_at(clients: &[Value], key: &ClientKey) -> Option<usize> {
    fn text<'c>(client: &'c Value, name: &str) -> &'c str {
        client.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    clients
        .iter()
        .position(|client| text(client, "id") == key.id.as_str() && text(client, "tenant") == key.tenant.as_str())
}

fn find<'r>(root: &'r mut Map<String, Value>, key: &ClientKey) -> Result<&'r mut Map<String, Value>, EditError> {
    let missing = || EditError::NoClient(key.clone());
    let clients = root.get_mut("client").and_then(Value::as_array_mut).ok_or_else(missing)?;
    let at = client_at(clients, key).ok_or_else(missing)?;
    clients.get_mut(at).and_then(Value::as_object_mut).ok_or_else(missing)
}

fn find_secret<'r>(
    root: &'r mut Map<String, Value>,
    client: &ClientKey,
    id: &SecretId,
) -> Result<(&'r mut Vec<Value>, usize), EditError> {
    let missing = || EditError::NoSecret(client.clone(), id.clone());
    let secrets = find(root, client)?.get_mut("secret").and_then(Value::as_array_mut).ok_or_else(missing)?;
    let named = |entry: &Value| entry.get("id").and_then(Value::as_str) == Some(id.as_str());
    let at = secrets.iter().position(named).ok_or_else(missing)?;
    Ok((secrets, at))
}

fn set(object: &mut Map<String, Value>, key: &str, value: Option<&Scalar>) {
    match value {
        Some(value) => drop(object.insert(key.to_owned(), scalar(value))),
        None => drop(object.shift_remove(key)),
    }
}

fn scalar(value: &Scalar) -> Value {
    match value {
        Scalar::Text(text) => json!(text),
        Scalar::Bool(bool) => json!(bool),
        Scalar::Number(number) => json!(number),
        Scalar::List(texts) => json!(texts),
    }
}

fn object(keys: Vec<(&'static str, Scalar)>) -> Map<String, Value> {
    keys.into_iter().map(|(key, value)| (key.to_owned(), scalar(&value))).collect()
}

fn secret(new: &NewSecret) -> Value {
    Value::Object(object(new.keys()))
}

fn client(new: &NewClient) -> Value {
    let mut made = object(new.keys());
    match new.upstream_secret_files.as_slice() {
        [] => {}
        [one] => drop(made.insert("upstream".to_owned(), json!({"secret_file": one}))),
        several => drop(made.insert("upstream".to_owned(), json!({"secret_files": several}))),
    }
    if !new.secrets.is_empty() {
        made.insert("secret".to_owned(), new.secrets.iter().map(secret).collect());
    }
    Value::Object(made)
}

/// Sets the counts of `end`, where it is there.
fn count(root: &mut Map<String, Value>) {
    let clients = root.get("client").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let secrets = clients.iter().filter_map(|client| client.get("secret")?.as_array()).map(Vec::len).sum::<usize>();
    let clients = clients.len();
    if let Some(end) = root.get_mut("end").and_then(Value::as_object_mut) {
        for (key, number) in [("clients", clients), ("secrets", secrets)] {
            if let Some(value) = end.get_mut(key) {
                *value = json!(number);
            }
        }
    }
}

/// How a text is laid out.
struct Layout<'t> {
    /// None: all on one line.
    indent: Option<&'t str>,
    crlf: bool,
    /// What stands behind the last bracket.
    tail: &'t str,
}

impl<'t> Layout<'t> {
    fn of(text: &'t str, empty: bool) -> Self {
        let body = text.trim_end();
        let spaces = |line: &'t str| line.get(..line.len() - line.trim_start_matches([' ', '\t']).len());
        let indent = body.lines().filter_map(spaces).find(|spaces| !spaces.is_empty());
        let one_line = !body.trim_start().contains('\n') && !empty;
        Self {
            indent: (!one_line).then(|| indent.unwrap_or("  ")),
            crlf: text.contains("\r\n"),
            tail: text.get(body.len()..).unwrap_or_default(),
        }
    }

    fn write(&self, root: &Map<String, Value>) -> Result<String, serde_json::Error> {
        let mut text = match self.indent {
            None => serde_json::to_string(root)?,
            Some(indent) => {
                let mut bytes = Vec::new();
                let formatter = PrettyFormatter::with_indent(indent.as_bytes());
                serde::Serialize::serialize(root, &mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
                String::from_utf8(bytes).map_err(serde::ser::Error::custom)?
            }
        };
        // No newline stands inside a JSON string.
        if self.crlf {
            text = text.replace('\n', "\r\n");
        }
        Ok(text + self.tail)
    }
}
