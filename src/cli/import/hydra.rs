//! Ory Hydra: client objects as they stand in its database, as a list, as `{"clients": [...]}` or one object a line.

use serde_json::Value;

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|error| object::bad_json(&error))?;
    // One object may be a page of clients, or a client: a single line of JSON lines.
    if let [value] = values.as_slice()
        && !value.get("client_id").or_else(|| value.get("id")).is_some_and(Value::is_string)
    {
        object::entries(value, &[&["clients"]])?.iter().for_each(|value| entry(value, intake));
        return Ok(());
    }
    values.iter().for_each(|value| entry(value, intake));
    Ok(())
}

fn entry(value: &Value, intake: &mut Intake) {
    let Some(client) = Object::of(value) else {
        return intake.refuse("an entry", &Refused::new("is no object"));
    };
    let id = match client.label("client_id") {
        empty if empty.is_empty() => client.label("id"),
        id => id,
    };
    if client.label("token_endpoint_auth_method") == "none" {
        return intake.skip(&intake::client(&id), "is public");
    }
    let mut draft = Draft::new(id, client.label("client_name"));
    let current = client.text("client_secret").and_then(|secret| match secret {
        Some(secret) => Ok(Some(secret)),
        None => client.text("secret"),
    });
    let created = client.made("created_at");
    let expires = client.end_seconds("client_secret_expires_at");
    draft.secrets.extend(current.transpose().map(|hash| {
        let secret = DraftSecret::new("current".to_owned(), Stored::Hash(hash?.to_owned()));
        Ok(DraftSecret { created, expires: expires?, ..secret })
    }));
    match rotated(client) {
        Err(why) => draft.secrets.push(Err(why)),
        Ok(hashes) => draft.secrets.extend(hashes.iter().rev().enumerate().map(|(at, hash)| match hash {
            Value::String(hash) => Ok(DraftSecret::new(format!("rotated {}", at + 1), Stored::Hash(hash.clone()))),
            _ => Err(Refused::new("rotated_secrets holds what is not text")),
        })),
    }
    intake.client(draft);
}

/// The secrets before the current one, oldest first. In the database the list is a text with JSON in it.
fn rotated(client: Object<'_>) -> Result<Vec<Value>, Refused> {
    let unfit = || Refused::new("rotated_secrets is not a list");
    match client.get("rotated_secrets") {
        None => Ok(Vec::new()),
        Some(Value::Array(hashes)) => Ok(hashes.clone()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| unfit()),
        Some(_) => Err(unfit()),
    }
}
