//! Authelia: the `identity_providers.oidc.clients` of its configuration.

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let value = object::yaml(text)?;
    for value in object::entries(&value, &[&["identity_providers", "oidc", "clients"]])? {
        match Object::of(value) {
            Some(client) => entry(client, intake),
            None => intake.refuse("an entry", &Refused::new("is no object")),
        }
    }
    Ok(())
}

fn entry(client: Object<'_>, intake: &mut Intake) {
    // The names of before 4.38 stand second.
    let label = |keys: [&str; 2]| keys.map(|key| client.label(key)).into_iter().find(|text| !text.is_empty());
    let id = label(["client_id", "id"]).unwrap_or_default();
    match client.flag("public", false) {
        Ok(true) => return intake.skip(&intake::client(&id), "is public"),
        Ok(false) => {}
        Err(why) => return intake.refuse(&intake::client(&id), &why),
    }
    let mut draft = Draft::new(id, label(["client_name", "description"]).unwrap_or_default());
    draft.secrets.extend(secret(client).transpose());
    intake.client(draft);
}

fn secret(client: Object<'_>) -> Result<Option<DraftSecret>, Refused> {
    let text = match client.text("client_secret")? {
        Some(text) => Some(text),
        None => client.text("secret")?,
    };
    let Some(text) = text else { return Ok(None) };
    if text.contains("{{") {
        return Err(Refused::new("its secret is a template, which Authelia fills in: write out what it gives"));
    }
    // Authelia takes for a hash what starts like one.
    let stored = match text.strip_prefix("$plaintext$") {
        Some(plain) => Stored::plain(plain),
        None if text.starts_with('$') => Stored::Hash(text.to_owned()),
        None => Stored::plain(text),
    };
    Ok(Some(DraftSecret::new(String::new(), stored)))
}
