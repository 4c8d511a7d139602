//! Keycloak: a realm export, or several in a list, whose names are those of our tenants. The secret before the current one is kept among the attributes.

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

/// What the admin console's partial export writes in a secret's place.
const MASK: &str = "**********";

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let value = object::json(text)?;
    let one = std::slice::from_ref(&value);
    for realm in value.as_array().map_or(one, |realms| realms.as_slice()) {
        let name = Object::of(realm).map(|realm| realm.label("realm")).unwrap_or_default();
        for value in object::entries(realm, &[&["clients"]])? {
            match Object::of(value) {
                Some(client) => entry(client, &name, intake),
                None => intake.refuse("an entry", &Refused::new("is no object")),
            }
        }
    }
    Ok(())
}

fn entry(client: Object<'_>, realm: &str, intake: &mut Intake) {
    let id = client.label("clientId");
    let who = intake::client(&id);
    let mut draft = Draft { tenant: realm.to_owned(), ..Draft::new(id, client.label("name")) };
    let flags = ["publicClient", "bearerOnly"].map(|key| client.flag(key, false));
    match (client.flag("enabled", true), flags) {
        (Err(why), _) | (_, [Err(why), _] | [_, Err(why)]) => return intake.refuse(&who, &why),
        (_, [Ok(true), _]) => return intake.skip(&who, "is public"),
        (_, [_, Ok(true)]) => return intake.skip(&who, "only takes tokens and never asks for one"),
        (Ok(enabled), _) => draft.enabled = enabled,
    }
    // With another authenticator Keycloak does not accept the secret, though it keeps one.
    if !matches!(client.label("clientAuthenticatorType").as_str(), "" | "client-secret") {
        return intake.skip(&who, "does not authenticate with a secret");
    }
    draft.secrets.extend(current(client).transpose());
    draft.secrets.extend(client.object("attributes").and_then(|attributes| rotated(attributes).transpose()));
    intake.client(draft);
}

fn current(client: Object<'_>) -> Result<Option<DraftSecret>, Refused> {
    let Some(text) = client.text("secret")? else { return Ok(None) };
    let mut secret = DraftSecret::new("current".to_owned(), plain(text)?);
    if let Some(attributes) = client.object("attributes") {
        secret.created = attributes.made("client.secret.creation.time");
        secret.expires = attributes.end_seconds("client.secret.expiration.time")?;
    }
    Ok(Some(secret))
}

fn rotated(attributes: Object<'_>) -> Result<Option<DraftSecret>, Refused> {
    let Some(text) = attributes.text("client.secret.rotated")? else { return Ok(None) };
    Ok(Some(DraftSecret {
        created: attributes.made("client.secret.rotated.creation.time"),
        expires: attributes.end_seconds("client.secret.rotated.expiration.time")?,
        ..DraftSecret::new("rotated".to_owned(), plain(text)?)
    }))
}

fn plain(text: &str) -> Result<Stored, Refused> {
    if text == MASK {
        return Err(Refused::new("its secret is masked: export with `kc.sh export`, which writes secrets"));
    }
    if text.starts_with("${vault.") {
        return Err(Refused::new("its secret is a reference to a vault: add it with the secret itself"));
    }
    Ok(Stored::plain(text))
}
