//! Walks a tree of values key by key: types are checked where they are taken, every problem is collected, unknown keys
//! get a suggestion, and the same walk over an empty tree writes the JSON Schema. One description, three uses.

use std::cell::RefCell;

use serde_json::{Map, Value as Json, json};

use super::problem::{Place, Problems};
pub use super::scalar::Size;
use super::tree::{Doc, Node, Value};

/// What a whole reading shares: the text, the problems found so far, the schema when one is being written.
pub struct Reading<'t> {
    /// The file being read.
    pub doc: Doc<'t>,
    /// What was found.
    pub problems: RefCell<Problems>,
    /// Keys whose value did not come from the file, and from which variable it came.
    pub overridden: Vec<(String, String)>,
    /// Whether what is read is written down too, defaults included, for [`Section::shown`]. Not for files with secrets.
    pub shows: bool,
}

impl<'t> Reading<'t> {
    /// A reading of `doc` with nothing found yet.
    pub fn of(doc: Doc<'t>) -> Self {
        Self { doc, problems: RefCell::default(), overridden: Vec::new(), shows: false }
    }
}

/// A value that can stand in a file as one scalar or list.
pub trait FromNode: Sized {
    /// What is expected, for messages: "a duration such as \"10s\"".
    const EXPECTED: &'static str;

    /// Reads it; the error, if any, replaces the default message. It must not quote the value of a secret.
    fn from_node(value: &Value) -> Result<Self, Option<String>>;

    /// Its JSON Schema.
    fn schema() -> Json;

    /// As a file would say it: of what can be a default. Null for the rest.
    fn shown(&self) -> Json {
        Json::Null
    }
}

/// One table of a file. Keys are taken by name; [`Section::finish`] reports those that nobody took.
pub struct Section<'r, 't> {
    reading: &'r Reading<'t>,
    path: String,
    span_start: usize,
    entries: &'r [(String, std::ops::Range<usize>, Node)],
    given: bool,
    known: Vec<&'static str>,
    schema: Option<Map<String, Json>>,
    shown: Map<String, Json>,
    required: Vec<&'static str>,
}

impl<'r, 't> Section<'r, 't> {
    /// The whole file.
    pub fn root(reading: &'r Reading<'t>, node: &'r Node) -> Self {
        Self::at(reading, String::new(), node, None)
    }

    /// An empty table that writes down what is asked of it.
    pub fn describing(reading: &'r Reading<'t>) -> Self {
        Self::empty(reading, String::new(), 0, Some(Map::new()))
    }

    fn at(reading: &'r Reading<'t>, path: String, node: &'r Node, schema: Option<Map<String, Json>>) -> Self {
        let empty = Self::empty(reading, path, node.span.start, schema);
        match &node.value {
            Value::Table(entries) => Self { entries, given: true, ..empty },
            other => {
                empty.error_at(node, "", format!("expected a table, found {}", other.kind()));
                empty
            }
        }
    }

    fn empty(reading: &'r Reading<'t>, path: String, span_start: usize, schema: Option<Map<String, Json>>) -> Self {
        Self {
            reading,
            path,
            span_start,
            entries: &[],
            given: false,
            known: Vec::new(),
            schema,
            shown: Map::new(),
            required: Vec::new(),
        }
    }

    /// Whether the table stands in the file.
    pub const fn given(&self) -> bool {
        self.given
    }

    /// Whether the key stands in the file.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, ..)| name == key)
    }

    /// Byte offset of the table, or of a key in it, for problems that are found later.
    pub fn offset(&self, key: &str) -> usize {
        self.entries.iter().find(|(name, ..)| name == key).map_or(self.span_start, |(_, span, _)| span.start)
    }

    /// Takes a key that may be absent. `doc` is its line in the schema.
    pub fn take<T: FromNode>(&mut self, key: &'static str, doc: &str) -> Option<T> {
        self.describe(key, || with_doc(T::schema(), doc));
        let node = self.find(key)?;
        match T::from_node(&node.value) {
            Ok(value) => {
                self.show(key, || node.value.shown());
                Some(value)
            }
            Err(message) => {
                let message =
                    message.unwrap_or_else(|| format!("expected {}, found {}", T::EXPECTED, node.value.kind()));
                self.error_at(node, key, message);
                None
            }
        }
    }

    /// Takes a key that has a default.
    pub fn or<T: FromNode>(&mut self, key: &'static str, doc: &str, default: T) -> T {
        self.take(key, doc).unwrap_or_else(|| {
            self.show(key, || default.shown());
            default
        })
    }

    /// Takes a key that must be there.
    pub fn must<T: FromNode>(&mut self, key: &'static str, doc: &str) -> Option<T> {
        self.required.push(key);
        let missing = !self.has(key);
        let value = self.take(key, doc);
        if missing {
            self.error(key, format!("is missing: add {key} = ... ({})", T::EXPECTED));
        }
        value
    }

    /// Reads the table under a key, where there is one: what must stand in it is not missed where it is absent.
    pub fn section_if_given<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.has(key) {
            return Some(self.section(key, read));
        }
        self.known.push(key);
        if self.schema.is_some() {
            let mut described = Section::empty(self.reading, self.join(key), 0, Some(Map::new()));
            read(&mut described);
            let schema = described.finish();
            self.describe(key, || schema);
        }
        None
    }

    /// Reads the table under a key; an absent one reads as empty.
    pub fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let path = self.join(key);
        let describing = self.schema.is_some();
        let mut inner = match self.find(key) {
            Some(node) => Section::at(self.reading, path, node, None),
            None => Section::empty(self.reading, path, self.span_start, describing.then(Map::new)),
        };
        let value = read(&mut inner);
        let schema = inner.finish();
        let shown = inner.shown();
        self.show(key, || shown);
        if schema.get("required").is_some() {
            self.required.push(key);
        }
        self.describe(key, || schema);
        value
    }

    /// Reads each table of a list of tables.
    pub fn sections<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        if self.schema.is_some() {
            let mut item = Section::empty(self.reading, String::new(), 0, Some(Map::new()));
            read(&mut item);
            let schema = item.finish();
            self.describe(key, || json!({"type": "array", "items": schema}));
        }
        let Some(node) = self.find(key) else { return Vec::new() };
        let Value::Array(items) = &node.value else {
            self.error_at(node, key, format!("expected a list of tables ([[{key}]]), found {}", node.value.kind()));
            return Vec::new();
        };
        let path = self.join(key);
        let read_item = |(index, item)| {
            let mut inner = Section::at(self.reading, format!("{path}[{index}]"), item, None);
            let value = read(&mut inner);
            inner.finish();
            (value, inner.shown())
        };
        let (values, shown) = items.iter().enumerate().map(read_item).unzip();
        self.show(key, || Json::Array(shown));
        values
    }

    /// Reads each table of a table whose keys are names that the operator chose.
    pub fn named<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Self, &str) -> T) -> Vec<T> {
        if self.schema.is_some() {
            let mut item = Section::empty(self.reading, String::new(), 0, Some(Map::new()));
            read(&mut item, "");
            let schema = item.finish();
            self.describe(key, || json!({"type": "object", "additionalProperties": schema}));
        }
        let Some(node) = self.find(key) else { return Vec::new() };
        let Value::Table(entries) = &node.value else {
            self.error_at(node, key, format!("expected a table of tables ([{key}.NAME]), found {}", node.value.kind()));
            return Vec::new();
        };
        let path = self.join(key);
        let read_item = |(name, _, item): &'r (String, std::ops::Range<usize>, Node)| {
            let mut inner = Section::at(self.reading, format!("{path}.{name}"), item, None);
            let value = read(&mut inner, name);
            inner.finish();
            (value, (name.clone(), inner.shown()))
        };
        let (values, shown): (Vec<T>, Vec<(String, Json)>) = entries.iter().map(read_item).unzip();
        self.show(key, || shown.into_iter().collect());
        values
    }

    /// Reports a problem with a key of this table.
    pub fn error(&self, key: &str, message: impl Into<String>) {
        let place = self.place(key, self.offset(key));
        self.reading.problems.borrow_mut().error(place, self.join(key), message);
    }

    /// Reports what the operator should know about a key of this table.
    pub fn warn(&self, key: &str, message: impl Into<String>) {
        let place = self.place(key, self.offset(key));
        self.reading.problems.borrow_mut().warning(place, self.join(key), message);
    }

    /// Reports the keys that nobody took, and gives the schema of the table if one was written.
    pub fn finish(&mut self) -> Json {
        for (name, span, _) in self.entries.iter().filter(|(name, ..)| !self.known.contains(&name.as_str())) {
            let message = match nearest(name, self.known.iter().copied()) {
                Some(known) => format!("unknown key: did you mean {known}?"),
                _ if self.known.is_empty() => "unknown key".to_owned(),
                _ => format!("unknown key: known here are {}", self.known.join(", ")),
            };
            let place = self.place(name, span.start);
            self.reading.problems.borrow_mut().error(place, self.join(name), message);
        }
        let properties = self.schema.take().unwrap_or_default();
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        schema.insert("properties".to_owned(), Json::Object(properties));
        schema.insert("additionalProperties".to_owned(), json!(false));
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), json!(self.required));
        }
        Json::Object(schema)
    }

    /// What was read so far, defaults included, as a file would say it.
    pub fn shown(&mut self) -> Json {
        Json::Object(std::mem::take(&mut self.shown))
    }

    /// Writes down what a key stands for where nobody says anything.
    pub fn show(&mut self, key: &str, value: impl FnOnce() -> Json) {
        if self.reading.shows {
            let value = value();
            let says_nothing = value.is_null() || value.as_object().is_some_and(Map::is_empty);
            if !says_nothing {
                self.shown.insert(key.to_owned(), value);
            }
        }
    }

    fn find(&mut self, key: &'static str) -> Option<&'r Node> {
        self.known.push(key);
        self.entries.iter().find(|(name, ..)| name == key).map(|(.., node)| node)
    }

    fn describe(&mut self, key: &str, schema: impl FnOnce() -> Json) {
        if let Some(properties) = &mut self.schema {
            properties.insert(key.to_owned(), schema());
        }
    }

    fn join(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    /// Where a key's value stands: in the file, or in the environment.
    fn place(&self, key: &str, offset: usize) -> Place {
        let name = self.join(key);
        let variable = self.reading.overridden.iter().find(|(path, _)| *path == name);
        variable.map_or_else(
            || self.reading.doc.place(offset),
            |(_, variable)| Place::whole(format!("environment variable {variable}")),
        )
    }

    fn error_at(&self, node: &Node, key: &str, message: String) {
        let place = self.place(key, node.span.start);
        self.reading.problems.borrow_mut().error(place, self.join(key), message);
    }
}

/// The one of these that was probably meant, where one is near.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (strsim::jaro_winkler(known, name), known)).filter(|(score, _)| *score > 0.75);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

fn with_doc(mut schema: Json, doc: &str) -> Json {
    if let (Some(object), false) = (schema.as_object_mut(), doc.is_empty()) {
        object.insert("description".to_owned(), json!(doc));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Language;

    #[test]
    fn every_problem_is_told_at_once_with_its_place() {
        let text = "count = \"many\"\nlisten = \"x\"\n[inner]\nwait = \"10\"\nwiat = \"1s\"\n[[item]]\nid = 1\n";
        let reading = Reading::of(Doc { name: "f.toml", text });
        let node = reading.doc.parse(Language::Toml, &mut reading.problems.borrow_mut()).unwrap();
        let mut root = Section::root(&reading, &node);
        assert_eq!(root.or("count", "", 7usize), 7);
        root.section("inner", |inner| inner.take::<std::time::Duration>("wait", ""));
        root.sections("item", |item| item.must::<crate::domain::ids::SecretId>("id", ""));
        root.must::<String>("name", "");
        root.finish();
        let told: Vec<_> = reading.problems.borrow().errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f.toml:1:9: count: expected a whole number, 0 or more, found a string",
                "f.toml:4:8: inner.wait: expected a duration with a unit, such as \"10s\"",
                "f.toml:5:1: inner.wiat: unknown key: did you mean wait?",
                "f.toml:7:6: item[0].id: expected a secret id of 1 to 64 of [a-z0-9_], found a whole number",
                "f.toml:1:1: name: is missing: add name = ... (a string)",
                "f.toml:2:1: listen: unknown key: known here are count, inner, item, name",
            ]
        );
    }
}
