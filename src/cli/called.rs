//! A client as a command names it: its id, and its tenant where it has one.

use std::fmt;

use super::door::{encoded, path};
use crate::admin::object::{ClientObject, SecretObject};
use crate::admin::rotate::RotationObject;
use crate::admin::wish::Whose;
use crate::domain::ids::{ClientId, ClientKey, Tenant};
use crate::domain::spoken::argument;

/// The tenant of the clients that are meant.
#[derive(clap::Args, Clone)]
pub(super) struct OfTenant {
    /// The client's tenant, where the list has tenants
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    tenant: Option<Tenant>,
}

/// For commands that make a list of clients, or take one.
pub(super) fn tenant(text: &str) -> Result<Tenant, &'static str> {
    Tenant::parse(text).ok_or("a tenant is one segment of a path: up to 128 of A-Z a-z 0-9 . _ ~ -")
}

impl OfTenant {
    /// The client of that id.
    pub(super) fn client(&self, id: &str) -> Called {
        let tenant = self.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
        Called { tenant, id: id.to_owned() }
    }

    /// That of a client that there is.
    pub(super) fn of(client: &Called) -> Self {
        Self { tenant: Tenant::parse(&client.tenant) }
    }

    /// Whether a client is meant where no id is given: any, if no tenant is named.
    pub(super) fn means(&self, client: &ClientObject) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == client.tenant)
    }
}

/// A client by its names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Called {
    pub(super) tenant: String,
    pub(super) id: String,
}

impl Called {
    /// Whether this is its key.
    pub(super) fn is(&self, key: &ClientKey) -> bool {
        key.tenant.as_str() == self.tenant && key.id.as_str() == self.id
    }

    /// What tells it from every other, where the names can be those of one.
    pub(super) fn key(&self) -> Option<ClientKey> {
        Some(ClientKey { tenant: Tenant::parse(&self.tenant)?, id: ClientId::parse(&self.id)? })
    }

    /// Its path in the admin API, or that of something of it.
    pub(super) fn path(&self, rest: &[&str]) -> String {
        let segments: Vec<&str> = ["clients", &self.id].into_iter().chain(rest.iter().copied()).collect();
        let path = path(&segments);
        if self.tenant.is_empty() { path } else { format!("{path}?tenant={}", encoded(&self.tenant)) }
    }

    /// As the commands take it.
    pub(super) fn typed(&self) -> String {
        argument(&self.tenant, &self.id)
    }

    /// As a request names it.
    pub(super) fn whose(&self) -> Whose {
        Whose::of(&self.tenant, &self.id)
    }
}

/// For people: `billing`, or `billing of tenant master`.
impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.tenant.is_empty() { Ok(()) } else { write!(f, " of tenant {}", self.tenant) }
    }
}

impl From<&ClientObject> for Called {
    fn from(client: &ClientObject) -> Self {
        Self { tenant: client.tenant.clone(), id: client.id.clone() }
    }
}

impl From<&SecretObject> for Called {
    fn from(secret: &SecretObject) -> Self {
        Self { tenant: secret.tenant.clone(), id: secret.client_id.clone() }
    }
}

impl From<&RotationObject> for Called {
    fn from(rotation: &RotationObject) -> Self {
        Self { tenant: rotation.tenant.clone(), id: rotation.client_id.clone() }
    }
}
