//! Dex: the `staticClients` of its configuration, in YAML or JSON. Secrets stand there in the clear.

use super::object::{self, Object};
use super::{Draft, DraftSecret, Intake, Refused, Stored, intake};

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let value = object::yaml(text)?;
    for value in object::entries(&value, &[&["staticClients"]])? {
        match Object::of(value) {
            Some(client) => entry(client, intake),
            None => intake.refuse("an entry", &Refused::new("is no object")),
        }
    }
    Ok(())
}

fn entry(client: Object<'_>, intake: &mut Intake) {
    let name = client.label("name");
    let id = match client.text("id") {
        Ok(Some(id)) => id.to_owned(),
        Ok(None) if client.get("idEnv").is_some() => {
            let why = "its id comes from the environment (idEnv): write it out";
            return intake.refuse(&format!("the client named {name:?}"), &Refused::new(why));
        }
        Ok(None) => String::new(),
        Err(why) => return intake.refuse(&format!("the client named {name:?}"), &why),
    };
    match client.flag("public", false) {
        Ok(true) => return intake.skip(&intake::client(&id), "is public"),
        Ok(false) => {}
        Err(why) => return intake.refuse(&intake::client(&id), &why),
    }
    let mut draft = Draft::new(id, name);
    draft.secrets.extend(secret(client).transpose());
    intake.client(draft);
}

fn secret(client: Object<'_>) -> Result<Option<DraftSecret>, Refused> {
    if client.get("secretEnv").is_some() {
        return Err(Refused::new("its secret comes from the environment (secretEnv): write it out as secret"));
    }
    Ok(client.text("secret")?.map(|text| DraftSecret::new(String::new(), Stored::plain(text))))
}
