//! JSON Schema of the files, written by the code that reads them.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::clients::ClientList;
use super::reader::{Reading, Section};
use super::settings::Settings;
use super::tokens;
use super::tree::Doc;

/// The schema of `relatch.toml`.
pub fn settings() -> Json {
    titled("relatch.toml", |root| {
        Settings::read(root, Path::new(""));
    })
}

/// The schema of `clients.toml`.
pub fn clients() -> Json {
    titled("clients.toml", |root| {
        ClientList::read(root, 0);
    })
}

/// The schema of `admin-tokens.toml`.
pub fn tokens() -> Json {
    titled("admin-tokens.toml", |root| {
        tokens::read(root);
    })
}

fn titled(title: &str, read: impl FnOnce(&mut Section<'_, '_>)) -> Json {
    let reading = Reading::of(Doc { name: "", text: "" });
    let mut root = Section::describing(&reading);
    read(&mut root);
    let mut schema = root.finish();
    if let Json::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!(title));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_name_the_keys_and_what_must_be_there() {
        let settings = settings();
        assert_eq!(settings["properties"]["upstream"]["required"], json!(["url"]));
        assert_eq!(
            settings["properties"]["endpoint"]["items"]["properties"]["auth"]["enum"],
            json!(["required", "optional", "none"])
        );
        let secret = &clients()["properties"]["client"]["items"]["properties"]["secret"]["items"];
        assert_eq!(secret["required"], json!(["id"]));
        assert_eq!(secret["properties"]["status"]["enum"], json!(["active", "disabled", "revoked"]));
    }
}
