//! Spring Authorization Server: rows of `oauth2_registered_client`, as the database prints them as JSON.

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let value = object::json(text)?;
    for value in object::entries(&value, &[])? {
        match Object::of(value) {
            Some(client) => entry(client, intake),
            None => intake.refuse("an entry", &Refused::new("is no object")),
        }
    }
    Ok(())
}

fn entry(client: Object<'_>, intake: &mut Intake) {
    let id = client.label("client_id");
    let mut draft = Draft::new(id, client.label("client_name"));
    draft.secrets.extend(secret(client).transpose());
    let methods = client.label("client_authentication_methods");
    // "none" is a public client; one whose only methods are keys has no secret either.
    if draft.secrets.is_empty() && !methods.is_empty() && !methods.contains("client_secret") {
        return intake.skip(&intake::client(&draft.id), "does not authenticate with a secret");
    }
    intake.client(draft);
}

fn secret(client: Object<'_>) -> Result<Option<DraftSecret>, Refused> {
    let Some(text) = client.text("client_secret")? else { return Ok(None) };
    let stored = match text.strip_prefix("{noop}") {
        Some(plain) => Stored::plain(plain),
        None => Stored::Hash(text.to_owned()),
    };
    Ok(Some(DraftSecret {
        created: client.made("client_id_issued_at"),
        expires: client.end("client_secret_expires_at")?,
        ..DraftSecret::new(String::new(), stored)
    }))
}
