//! What the API says of itself: OpenAPI, made from the routes and the objects that they take and give. What holds for all
//! of them is added here once: who may call, which errors there are and in which shape, tags and conditions.

use std::sync::LazyLock;

use http::Method;
use serde_json::{Map, Value, json};

use super::etag::Tag;
use super::routes::documented;
use super::scope;

/// The description as it is served, with its tag.
pub(super) static DOCUMENT: LazyLock<(Tag, String)> = LazyLock::new(|| {
    let text = format!("{:#}\n", describe());
    (Tag::over(&text), text)
});

const ABOUT: &str = "Rotate the client secrets of a token endpoint while it is in use. Reached over a unix socket by the \
                     instance's own user, and at an address with a token of `relatch token add`. Every write goes to the \
                     client list, and is answered when it is in force. Times are RFC 3339; durations have a unit, such as \
                     `24h`.";

/// What an error answer stands for, and the operations that it can come from.
const ERRORS: [(&str, &str, Of); 12] = [
    ("400", "The request makes no sense, or a key of it is not known.", Of::All),
    ("401", "The token is missing, not known, or its time is over.", Of::All),
    ("403", "The token lacks the scope, or a page in a browser asks.", Of::All),
    ("404", "What is named is not there.", Of::All),
    ("408", "The body did not arrive in time.", Of::Writes),
    ("409", "A rule stands against it, or the list cannot be changed here. The message says what to do.", Of::Writes),
    ("412", "It is not as If-Match says any more.", Of::Conditional),
    ("413", "The body is larger than the admin API takes.", Of::All),
    ("415", "The body is not JSON.", Of::Writes),
    ("421", "The Host is not one of this instance.", Of::All),
    ("429", "Too many unknown tokens came from this address.", Of::All),
    ("500", "The machine failed.", Of::All),
];

/// Which operations something is said of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Writes,
    /// Those that change the list.
    Conditional,
}

fn describe() -> Value {
    let mut document = serde_json::to_value(documented().into_openapi()).unwrap_or_default();
    put(
        &mut document,
        "info",
        json!({
            "title": "relatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        }),
    );
    for (path, item) in members(&mut document, "paths") {
        let path = path.clone();
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(&path, &method.to_ascii_uppercase(), operation);
        }
    }
    let components = document["components"]["schemas"].take();
    for (_, item) in members(&mut document, "paths") {
        item.as_object_mut().into_iter().flatten().for_each(|(_, operation)| may_be_left_out(operation, &components));
    }
    put(&mut document["components"], "schemas", components);
    let responses: Map<String, Value> =
        ERRORS.iter().map(|(status, why, _)| ((*status).to_owned(), error(why))).collect();
    let components = &mut document["components"];
    put(components, "responses", Value::Object(responses));
    put(
        components,
        "securitySchemes",
        json!({"token": {
            "type": "http",
            "scheme": "bearer",
            "description": "`relatch token add NAME --scope SCOPE`. admin may do everything.",
        }}),
    );
    document
}

/// What holds for every operation.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let scope = Method::from_bytes(method.as_bytes()).map(|method| scope::needed(&method, path));
    let scope = scope.map_or("admin", |scope| scope.as_str());
    put(operation, "security", json!([{"token": [scope]}]));
    let is = |of: Of| match of {
        Of::All => true,
        Of::Writes => method != "GET",
        Of::Conditional => method != "GET" && path.starts_with("/api/v1/") && path != "/api/v1/log-level",
    };
    let unchanging = ["/api/v1/config", "/openapi.json"].contains(&path);
    if is(Of::Conditional) {
        condition(operation, "If-Match", "The change is wanted only while the ETag is one of these.");
    }
    if unchanging {
        condition(operation, "If-None-Match", "Answered 304 where the ETag is one of these.");
    }
    let tagged = path.contains("/clients");
    for (status, response) in members(operation, "responses") {
        if status != "204" && (tagged || unchanging) {
            let what =
                if unchanging { "Stands for what is shown." } else { "Stands for what is configured: not for uses." };
            header(response, "ETag", what);
        }
        if status == "201" {
            header(response, "Location", "Where it is.");
        }
    }
    let responses = &mut operation["responses"];
    for (status, ..) in ERRORS.iter().filter(|(.., of)| is(*of)) {
        put(responses, status, json!({"$ref": format!("#/components/responses/{status}")}));
    }
    if unchanging {
        put(responses, "304", json!({"description": "It is as it was."}));
    }
}

/// A body of which every key may be left out may be left out itself.
fn may_be_left_out(operation: &mut Value, components: &Value) {
    let body = &mut operation["requestBody"];
    let schema = body["content"]["application/json"]["schema"]["$ref"].as_str();
    let name = schema.and_then(|schema| schema.rsplit('/').next()).unwrap_or_default();
    let needed = !components[name]["required"].is_null();
    if body.is_object() {
        put(body, "required", needed.into());
    } else if let Some(operation) = operation.as_object_mut() {
        operation.remove("requestBody");
    }
}

fn error(why: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/FaultObject"});
    json!({"description": why, "content": {"application/json": {"schema": schema}}})
}

fn condition(operation: &mut Value, name: &str, why: &str) {
    let schema = json!({"type": "string"});
    let parameter = json!({"name": name, "in": "header", "required": false, "description": why, "schema": schema});
    if operation["parameters"].is_null() {
        put(operation, "parameters", json!([]));
    }
    operation["parameters"].as_array_mut().into_iter().for_each(|all| all.push(parameter.clone()));
}

fn header(response: &mut Value, name: &str, what: &str) {
    if response["headers"].is_null() {
        put(response, "headers", json!({}));
    }
    put(&mut response["headers"], name, json!({"description": what, "schema": {"type": "string"}}));
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn members<'v>(object: &'v mut Value, key: &str) -> impl Iterator<Item = (&'v String, &'v mut Value)> {
    object.get_mut(key).and_then(Value::as_object_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations() -> Vec<(String, String, Value)> {
        let document = describe();
        let paths = document["paths"].as_object().unwrap().clone();
        let of = |(path, item): (String, Value)| {
            let item = item.as_object().unwrap().clone();
            item.into_iter().map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        };
        paths.into_iter().flat_map(of).collect()
    }

    #[test]
    fn every_operation_has_a_scope_of_its_own_and_every_scope_an_operation() {
        let described: BTreeSet<_> = operations().into_iter().map(|(method, path, _)| (method, path)).collect();
        let scoped: BTreeSet<_> =
            scope::NEEDED.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(described, scoped);
        for (method, path, operation) in operations() {
            let scope = scope::needed(&Method::from_bytes(method.as_bytes()).unwrap(), &path);
            assert_eq!(operation["security"], json!([{"token": [scope.as_str()]}]), "{method} {path}");
        }
    }

    #[test]
    fn every_operation_tells_its_errors_in_the_one_shape() {
        let document = describe();
        for (method, path, operation) in operations() {
            for status in ["400", "401", "403", "421", "429", "500"] {
                let answer = &operation["responses"][status]["$ref"];
                assert_eq!(answer, &format!("#/components/responses/{status}"), "{method} {path}");
            }
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        }
        for (status, answer) in document["components"]["responses"].as_object().unwrap() {
            let schema = &answer["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/FaultObject", "{status}");
        }
        let fault = &document["components"]["schemas"]["FaultObject"]["properties"];
        assert!(fault["error"].is_object() && fault["message"].is_object() && fault["exit"].is_object(), "{fault}");
    }
}
