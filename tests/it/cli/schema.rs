//! `relatch config schema`: documents that an editor can use, and that accept
//! what relatch accepts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::process::relatch;

fn schema(arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let ran = relatch(dir.path(), &[&["config", "schema"], arguments].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn both_schemas_are_json_schema_documents() {
    assert_eq!(schema(&[]), schema(&["relatch"]));
    for (name, document) in [("relatch.toml", schema(&[])), ("clients.toml", schema(&["clients"]))] {
        assert_eq!(document["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!((&document["title"], &document["type"]), (&json!(name), &json!("object")));
        let mut faults = Vec::new();
        well_formed(&document, "", &mut faults);
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn the_files_of_init_are_valid_and_slips_are_not() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(relatch(dir.path(), &["init", "--upstream", "http://127.0.0.1:9"]).code, Some(0));
    let read = |name: &str| -> Value {
        let table: toml::Table = std::fs::read_to_string(dir.path().join(name)).unwrap().parse().unwrap();
        serde_json::to_value(table).unwrap()
    };
    let (settings, clients) = (schema(&[]), schema(&["clients"]));
    assert_eq!(faults(&settings, &read("relatch.toml")), Vec::<String>::new());
    assert_eq!(faults(&clients, &read("clients.toml")), Vec::<String>::new());

    let record = |more: Value| {
        let mut record = json!({"id": "s1", "hash": "$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"client": [{"id": "c1", "upstream": {"secret_files": ["a", "b"]}, "secret": [record]}]})
    };
    for good in [json!({}), record(json!({})), record(json!({"status": "revoked", "revoked_reason": "compromised"}))] {
        assert_eq!(faults(&clients, &good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        json!({"clients": []}),
        json!({"client": {}}),
        json!({"client": [{"name": "no id"}]}),
        record(json!({"statsu": "active"})),
        record(json!({"status": "gone"})),
        record(json!({"secret": ""})),
        record(json!({"id": 7})),
    ] {
        assert!(!faults(&clients, &bad).is_empty(), "accepted: {bad}");
    }
    let with = |section: &str, key: &str, value: Value| {
        let mut file = read("relatch.toml");
        file[section][key] = value;
        file
    };
    assert_eq!(faults(&settings, &with("clients", "max_shrink", json!(0.25))), Vec::<String>::new());
    assert_eq!(faults(&settings, &with("proxy", "listen", json!(["127.0.0.1:1", "[::1]:1"]))), Vec::<String>::new());
    for bad in [
        with("clients", "max_shrink", json!(2)),
        with("clients", "pth", json!("x")),
        with("upstream", "credential", json!("both")),
        with("proxy", "workers", json!(-1)),
        json!({"upstream": {}, "clients": {"path": "x"}}),
    ] {
        assert!(!faults(&settings, &bad).is_empty(), "accepted: {bad}");
    }
    assert!(!faults(&settings, &json!({})).is_empty(), "the two keys that must be there");
}

/// The keys that operators meet first are there, each with a word about it.
#[test]
fn every_documented_key_has_its_line() {
    let keys_of = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (settings, clients) = (schema(&[]), schema(&["clients"]));
    let sections = ["proxy", "upstream", "endpoint", "clients", "credentials", "limits", "throttle", "shutdown"];
    for section in sections.into_iter().chain(["telemetry", "log"]) {
        assert!(keys_of(&settings).contains(section), "{section}");
    }
    let client = &clients["properties"]["client"]["items"];
    for key in ["id", "name", "enabled", "max_active_secrets", "upstream", "secret"] {
        assert!(keys_of(client).contains(key), "{key}");
    }
    let record = &client["properties"]["secret"]["items"];
    let keys = ["id", "name", "status", "hash", "secret", "secret_file", "hint", "created", "not_before", "expires"];
    for key in keys.into_iter().chain(["revoked_at", "revoked_reason"]) {
        assert!(keys_of(record).contains(key), "{key}");
        let described = record["properties"][key]["description"].as_str();
        assert!(described.is_some_and(|text| !text.is_empty()), "{key} has no description");
    }
    assert_eq!(keys_of(&clients["properties"]["end"]), ["clients", "secrets"].map(str::to_owned).into());
}

/// What is no JSON Schema in a document, as far as these use it.
fn well_formed(schema: &Value, at: &str, faults: &mut Vec<String>) {
    if schema.is_boolean() {
        return;
    }
    let Some(object) = schema.as_object() else { return faults.push(format!("{at}: {schema} is no schema")) };
    for (key, value) in object {
        let at = format!("{at}/{key}");
        let fine = match key.as_str() {
            "$schema" | "title" | "description" | "format" => value.is_string(),
            "type" => ["object", "array", "string", "integer", "number", "boolean"].iter().any(|kind| value == kind),
            "minimum" | "maximum" => value.is_number(),
            "minLength" => value.is_u64(),
            "required" => value.as_array().is_some_and(|keys| {
                keys.iter().all(|key| key.as_str().is_some_and(|key| !schema["properties"][key].is_null()))
            }),
            "enum" => value.as_array().is_some_and(|words| !words.is_empty()),
            "properties" => value.as_object().is_some_and(|properties| {
                properties.iter().for_each(|(name, inner)| well_formed(inner, &format!("{at}/{name}"), faults));
                true
            }),
            "items" | "additionalProperties" => {
                well_formed(value, &at, faults);
                true
            }
            "anyOf" => value.as_array().is_some_and(|all| {
                all.iter().for_each(|inner| well_formed(inner, &at, faults));
                !all.is_empty()
            }),
            _ => false,
        };
        if !fine {
            faults.push(format!("{at}: {value}"));
        }
    }
}

/// Where a value does not satisfy a schema.
fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(truth) = schema.as_bool() {
        if !truth {
            found.push(format!("{at}: not allowed"));
        }
        return;
    }
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
    };
    if let Some(wanted) = schema["type"].as_str()
        && wanted != kind
        && (wanted, kind) != ("number", "integer")
    {
        return found.push(format!("{at}: {kind} in place of {wanted}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at}: not one of {}", schema["enum"]));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        found.push(format!("{at}: below {least}"));
    }
    if let (Some(most), Some(number)) = (schema["maximum"].as_f64(), value.as_f64())
        && number > most
    {
        found.push(format!("{at}: above {most}"));
    }
    if schema["minLength"].as_u64().zip(value.as_str()).is_some_and(|(least, text)| (text.len() as u64) < least) {
        found.push(format!("{at}: too short"));
    }
    if let Some(any) = schema["anyOf"].as_array()
        && !any.iter().any(|schema| faults(schema, value).is_empty())
    {
        found.push(format!("{at}: none of the alternatives"));
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        list.iter().enumerate().for_each(|(index, item)| check(items, item, &format!("{at}[{index}]"), found));
    }
    let Some(object) = value.as_object() else { return };
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(key) {
            found.push(format!("{at}: {key} is missing"));
        }
    }
    for (key, inner) in object {
        let at = format!("{at}.{key}");
        match schema["properties"].get(key) {
            Some(known) => check(known, inner, &at, found),
            None if schema["additionalProperties"] == json!(false) => found.push(format!("{at}: unknown")),
            None => {}
        }
    }
}
