//! Duende IdentityServer: its `Clients`, each with several `ClientSecrets`, as in appsettings.json or from its store.

use serde_json::Value;

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let value = object::json(text)?;
    for value in object::entries(&value, &[&["Clients"], &["IdentityServer", "Clients"]])? {
        match Object::of(value) {
            Some(client) => entry(client, intake),
            None => intake.refuse("an entry", &Refused::new("is no object")),
        }
    }
    Ok(())
}

fn entry(client: Object<'_>, intake: &mut Intake) {
    let id = client.label("ClientId");
    let who = intake::client(&id);
    let mut draft = Draft::new(id, client.label("ClientName"));
    match (client.flag("Enabled", true), client.flag("RequireClientSecret", true)) {
        (Err(why), _) | (_, Err(why)) => return intake.refuse(&who, &why),
        (_, Ok(false)) => return intake.skip(&who, "needs no secret"),
        (Ok(enabled), Ok(true)) => draft.enabled = enabled,
    }
    let secrets = match client.get("ClientSecrets") {
        None => &[],
        Some(Value::Array(secrets)) => secrets.as_slice(),
        Some(_) => return intake.refuse(&who, &Refused::new("ClientSecrets is not a list")),
    };
    let before = secrets.len();
    draft.secrets = secrets.iter().filter(|value| shared(value)).map(secret).collect();
    if before > draft.secrets.len() {
        let why = "certificates and keys are not secrets that relatch can check";
        intake.skip(&format!("{who}, {} of its secrets", before - draft.secrets.len()), why);
        if draft.secrets.is_empty() {
            return;
        }
    }
    intake.client(draft);
}

/// Whether this is a shared secret, as opposed to an X.509 thumbprint or a key.
fn shared(value: &Value) -> bool {
    Object::of(value).is_none_or(|secret| matches!(secret.label("Type").as_str(), "" | "SharedSecret"))
}

fn secret(value: &Value) -> Result<DraftSecret, Refused> {
    let secret = Object::of(value).ok_or_else(|| Refused::new("is no object"))?;
    let hash = secret.text("Value")?.ok_or_else(|| Refused::new("has no Value"))?;
    Ok(DraftSecret {
        created: secret.made("Created"),
        expires: secret.end("Expiration")?,
        ..DraftSecret::new(secret.label("Description"), Stored::Hash(hash.to_owned()))
    })
}
