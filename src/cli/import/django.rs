//! Django OAuth Toolkit: what `manage.py dumpdata oauth2_provider.application` prints, also of a model of one's own.

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let value = object::json(text)?;
    for row in object::entries(&value, &[])? {
        // A dump may hold other models beside the applications: those have no client_id.
        if let Some(fields) = Object::of(row).and_then(|row| row.object("fields"))
            && fields.get("client_id").is_some()
        {
            entry(fields, intake);
        }
    }
    Ok(())
}

fn entry(fields: Object<'_>, intake: &mut Intake) {
    let id = fields.label("client_id");
    if fields.label("client_type") == "public" {
        return intake.skip(&intake::client(&id), "is public");
    }
    let mut draft = Draft::new(id, fields.label("name"));
    draft.secrets.extend(secret(fields).transpose());
    intake.client(draft);
}

fn secret(fields: Object<'_>) -> Result<Option<DraftSecret>, Refused> {
    let Some(text) = fields.text("client_secret")? else { return Ok(None) };
    let stored =
        if fields.flag("hash_client_secret", true)? { Stored::Hash(text.to_owned()) } else { Stored::plain(text) };
    Ok(Some(DraftSecret { created: fields.made("created"), ..DraftSecret::new(String::new(), stored) }))
}
