//! TOML and JSON as one tree of values that know where they stand.
//!
//! Both parsers are libraries; what is ours is the common shape, so that a list means the same in either language, and
//! that the messages quote no line of the file (a line may hold a secret).

use std::collections::HashSet;
use std::ops::Range;

use jsonc_parser::ast;

use super::problem::{Place, Problems};

/// A value and the bytes of the file that it was written in.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands in the text.
    pub span: Range<usize>,
}

/// What both languages have in common; null is JSON's alone and nowhere allowed.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number of 64 bits.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// A TOML date or time, as written.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// Keys in the order of the file, each with its own place.
    Table(Vec<(String, Range<usize>, Node)>),
    /// JSON's null.
    Null,
}

impl Value {
    /// The kind's name, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Null => "null",
        }
    }

    /// As JSON, without what stands in a URL for nobody else: who calls, and what is asked.
    pub fn shown(&self) -> serde_json::Value {
        match self {
            Self::String(text) => redacted(text).into(),
            Self::Integer(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Bool(bool) => (*bool).into(),
            Self::Datetime(text) => text.as_str().into(),
            Self::Array(items) => items.iter().map(|item| item.value.shown()).collect(),
            Self::Table(entries) => entries.iter().map(|(key, _, node)| (key.clone(), node.value.shown())).collect(),
            Self::Null => serde_json::Value::Null,
        }
    }
}

fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, _)| (place, "?..."));
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let authority = authority.rsplit_once('@').map_or(authority.to_owned(), |(_, host)| format!("...@{host}"));
    format!("{scheme}://{authority}{path}{query}")
}

/// The languages a file can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `.toml`
    Toml,
    /// `.json`
    Json,
}

/// A file's name and text; turns byte offsets into lines and columns.
#[derive(Debug)]
pub struct Doc<'t> {
    /// The name that messages show.
    pub name: &'t str,
    /// The whole text.
    pub text: &'t str,
}

impl Doc<'_> {
    /// Line and column of a byte offset.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
        }
    }

    /// Parses the text; a syntax error is reported with its place and gives nothing.
    pub fn parse(&self, language: Language, problems: &mut Problems) -> Option<Node> {
        if self.text.starts_with('\u{feff}') {
            problems.error(self.place(0), "", "the file begins with a byte order mark: save it as plain UTF-8");
            return None;
        }
        let before = problems.errors.len();
        let root = match language {
            Language::Toml => self.parse_toml(problems),
            Language::Json => self.parse_json(problems),
        };
        root.filter(|_| problems.errors.len() == before)
    }

    fn parse_toml(&self, problems: &mut Problems) -> Option<Node> {
        let (table, errors) = toml::de::DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            problems.error(self.place(at), "", format!("not valid TOML: {}", error.message()));
        }
        let span = table.span();
        Some(Node { value: from_toml_table(table.into_inner()), span })
    }

    fn parse_json(&self, problems: &mut Problems) -> Option<Node> {
        let strict = jsonc_parser::ParseOptions {
            allow_comments: false,
            allow_loose_object_property_names: false,
            allow_trailing_commas: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        match jsonc_parser::parse_to_ast(self.text, &jsonc_parser::CollectOptions::default(), &strict) {
            Ok(parsed) => match parsed.value {
                Some(value) => Some(self.json_node(value, problems)),
                None => {
                    problems.error(self.place(0), "", "not valid JSON: the file is empty");
                    None
                }
            },
            Err(error) => {
                let message = format!("not valid JSON: {}", error.kind());
                problems.error(self.place(error.range().start), "", message);
                None
            }
        }
    }

    fn json_node(&self, value: ast::Value<'_>, problems: &mut Problems) -> Node {
        use jsonc_parser::common::Ranged;
        let span = value.range().start..value.range().end;
        let value = match value {
            ast::Value::StringLit(text) => Value::String(text.value.into_owned()),
            ast::Value::BooleanLit(bool) => Value::Bool(bool.value),
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::NumberLit(number) => number_from(number.value),
            ast::Value::Array(array) => {
                Value::Array(array.elements.into_iter().map(|item| self.json_node(item, problems)).collect())
            }
            ast::Value::Object(object) => {
                let mut entries: Vec<(String, Range<usize>, Node)> = Vec::with_capacity(object.properties.len());
                let mut seen = HashSet::with_capacity(object.properties.len());
                for property in object.properties {
                    let (start, end) = (property.name.range().start, property.name.range().end);
                    let name = property.name.into_string();
                    if !seen.insert(name.clone()) {
                        problems.error(self.place(start), name.clone(), "not valid JSON: the key stands here twice");
                    }
                    entries.push((name, start..end, self.json_node(property.value, problems)));
                }
                Value::Table(entries)
            }
        };
        Node { value, span }
    }
}

fn from_toml_table(table: toml::de::DeTable<'_>) -> Value {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let key_span = key.span();
            (key.into_inner().into_owned(), key_span, from_toml(value))
        })
        .collect();
    // The library keeps a table in the order of its keys; messages should come in the order of the lines.
    entries.sort_by_key(|(_, span, _)| span.start);
    Value::Table(entries)
}

fn from_toml(node: toml::Spanned<toml::de::DeValue<'_>>) -> Node {
    use toml::de::DeValue;
    let span = node.span();
    let value = match node.into_inner() {
        DeValue::String(string) => Value::String(string.into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| Value::Float(f64::NAN), Value::Integer)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(bool) => Value::Bool(bool),
        DeValue::Datetime(date) => Value::Datetime(date.to_string()),
        DeValue::Array(array) => Value::Array(array.into_iter().map(from_toml).collect()),
        DeValue::Table(table) => from_toml_table(table),
    };
    Node { value, span }
}

fn number_from(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::Float(text.parse().unwrap_or(f64::NAN)), Value::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, language: Language) -> (Option<Node>, Vec<String>) {
        let mut problems = Problems::default();
        let root = Doc { name: "f", text }.parse(language, &mut problems);
        (root, problems.errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_two_languages_give_one_tree() {
        fn bare(node: Node) -> String {
            match node.value {
                Value::Table(entries) => {
                    let inner: Vec<_> = entries.into_iter().map(|(k, _, v)| format!("{k}={}", bare(v))).collect();
                    format!("{{{}}}", inner.join(","))
                }
                Value::Array(items) => format!("[{}]", items.into_iter().map(bare).collect::<Vec<_>>().join(",")),
                other => format!("{other:?}"),
            }
        }
        let toml = parse("b = 1\na = [true, \"x\\n\"]\n[[c]]\nd = 1.5\n", Language::Toml).0.unwrap();
        let json = parse(r#"{"b":1,"a":[true,"x\n"],"c":[{"d":1.5}]}"#, Language::Json).0.unwrap();
        assert_eq!(bare(toml), bare(json));
    }

    #[test]
    fn syntax_errors_have_a_place_and_quote_nothing() {
        for (text, language, place) in [
            ("a = 1\nsecret = \"canary\n", Language::Toml, "f:2:"),
            ("{\"a\": 1,\n \"secret\": \"canary}", Language::Json, "f:2:"),
            ("{\"a\": 1, \"a\": 2}", Language::Json, "f:1:10: a: not valid JSON: the key stands here twice"),
            ("{\"a\": 1,}", Language::Json, "f:1:"),
            ("", Language::Json, "f:1:1"),
            ("\u{feff}a = 1", Language::Toml, "f:1:1: the file begins with a byte order mark"),
            ("a = 1\na = 2\n", Language::Toml, "f:2:1"),
        ] {
            let (root, errors) = parse(text, language);
            assert!(root.is_none(), "{text}");
            assert!(errors[0].starts_with(place), "{text}: {errors:?}");
            assert!(!errors.concat().contains("canary"), "{errors:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_harm() {
        let deep = 100_000;
        assert!(parse(&"[".repeat(deep), Language::Json).0.is_none());
        assert!(parse(&format!("a = {}", "[".repeat(deep)), Language::Toml).0.is_none());
    }
}
