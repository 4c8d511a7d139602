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

type Members = Map<String, Value>;

fn describe() -> Value {
    let mut document = serde_json::to_value(documented().into_openapi()).unwrap_or_default();
    document.as_object_mut().and_then(complete);
    document
}

/// Adds what holds for the whole.
fn complete(document: &mut Members) -> Option<()> {
    let info = json!({
        "title": "relatch",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document.insert("info".to_owned(), info);
    let components = table(document, "components")?;
    let error = |(status, why, _): &(&str, &str, Of)| ((*status).to_owned(), error(why));
    components.insert("responses".to_owned(), ERRORS.iter().map(error).collect());
    let scheme = json!({
        "type": "http",
        "scheme": "bearer",
        "description": "`relatch token add NAME --scope SCOPE`. admin may do everything.",
    });
    components.insert("securitySchemes".to_owned(), json!({"token": scheme}));
    let schemas = table(components, "schemas")?.clone();
    for (path, item) in table(document, "paths")? {
        for (method, operation) in item.as_object_mut()? {
            let operation = operation.as_object_mut()?;
            complete_operation(path, &method.to_ascii_uppercase(), operation)?;
            may_be_left_out(operation, &schemas);
        }
    }
    Some(())
}

/// Adds what holds for every operation.
fn complete_operation(path: &str, method: &str, operation: &mut Members) -> Option<()> {
    let scope = scope::needed(&Method::from_bytes(method.as_bytes()).ok()?, path);
    operation.insert("security".to_owned(), json!([{"token": [scope.as_str()]}]));
    let is = |of: Of| match of {
        Of::All => true,
        Of::Writes => method != "GET",
        // What changes the list.
        Of::Conditional => method != "GET" && (path.contains("/clients") || path == "/api/v1/rotate"),
    };
    let unchanging = ["/api/v1/config", "/openapi.json"].contains(&path);
    if is(Of::Conditional) {
        condition(operation, "If-Match", "The change is wanted only while the ETag is one of these.")?;
    }
    if unchanging {
        condition(operation, "If-None-Match", "Answered 304 where the ETag is one of these.")?;
    }
    let tagged = path.contains("/clients");
    let responses = table(operation, "responses")?;
    for (status, response) in responses.iter_mut() {
        let headers = table(response.as_object_mut()?, "headers")?;
        if status != "204" && (tagged || unchanging) {
            let what =
                if unchanging { "Stands for what is shown." } else { "Stands for what is configured: not for uses." };
            headers.insert("ETag".to_owned(), header(what));
        }
        if status == "201" && tagged {
            headers.insert("Location".to_owned(), header("Where it is."));
        }
    }
    for (status, ..) in ERRORS.iter().filter(|(.., of)| is(*of)) {
        responses.insert((*status).to_owned(), json!({"$ref": format!("#/components/responses/{status}")}));
    }
    if unchanging {
        responses.insert("304".to_owned(), json!({"description": "It is as it was."}));
    }
    Some(())
}

/// A body of which every key may be left out may be left out itself.
fn may_be_left_out(operation: &mut Members, schemas: &Members) -> Option<()> {
    let body = operation.get_mut("requestBody")?;
    let schema = body.pointer("/content/application~1json/schema/$ref")?.as_str()?;
    let needed = schemas.get(schema.rsplit('/').next()?)?.get("required").is_some();
    body.as_object_mut()?.insert("required".to_owned(), needed.into());
    Some(())
}

fn error(why: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/FaultObject"});
    json!({"description": why, "content": {"application/json": {"schema": schema}}})
}

fn header(what: &str) -> Value {
    json!({"description": what, "schema": {"type": "string"}})
}

fn condition(operation: &mut Members, name: &str, why: &str) -> Option<()> {
    let schema = json!({"type": "string"});
    let parameter = json!({"name": name, "in": "header", "required": false, "description": why, "schema": schema});
    operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut()?.push(parameter);
    Some(())
}

/// The object under a key, made where there is none.
fn table<'m>(members: &'m mut Members, key: &str) -> Option<&'m mut Members> {
    members.entry(key).or_insert_with(|| json!({})).as_object_mut()
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
