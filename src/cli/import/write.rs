//! Clients as TOML, to be appended to a list. Every text goes through the TOML library, so no id or name, whatever
//! stands in it, can become anything but that id or name.

use toml_edit::{ArrayOfTables, Datetime, DocumentMut, Item, Table, value};

use super::intake::{Client, Kept};
use crate::config::clients::MAX_ACTIVE;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;

/// The entries, after an empty line: the file they are appended to may end without one.
pub(super) fn clients(clients: &[Client]) -> String {
    if clients.is_empty() {
        return String::new();
    }
    let mut document = DocumentMut::new();
    let tables: ArrayOfTables = clients.iter().map(client).collect();
    document.insert("client", Item::ArrayOfTables(tables));
    format!("\n{}", document.to_string().trim_start())
}

fn client(client: &Client) -> Table {
    let mut table = Table::new();
    let ClientKey { tenant, id } = &client.key;
    table.insert("id", value(id.as_str()));
    if !tenant.is_empty() {
        table.insert("tenant", value(tenant.as_str()));
    }
    if !client.name.is_empty() {
        table.insert("name", value(&client.name));
    }
    if !client.enabled {
        table.insert("enabled", value(false));
    }
    if client.living > MAX_ACTIVE {
        table.insert("max_active_secrets", value(i64::try_from(client.living).unwrap_or(i64::MAX)));
    }
    table.insert("secret", Item::ArrayOfTables(client.secrets.iter().map(secret).collect()));
    table
}

fn secret(secret: &Kept) -> Table {
    let mut table = Table::new();
    table.insert("id", value(secret.id.as_str()));
    if !secret.name.is_empty() {
        table.insert("name", value(&secret.name));
    }
    table.insert("hash", value(&secret.hash));
    if let Some(hint) = &secret.hint {
        table.insert("hint", value(hint));
    }
    for (key, at) in [("created", secret.created), ("not_before", secret.not_before), ("expires", secret.expires)] {
        if let Some(at) = at {
            table.insert(key, time(at));
        }
    }
    table
}

/// A TOML date; as text where the year has no four digits, which the list's reader then names.
fn time(at: Timestamp) -> Item {
    let text = at.rfc3339().replace(".000Z", "Z");
    text.parse::<Datetime>().map_or_else(|_| value(text), value)
}
