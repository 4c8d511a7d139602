//! Egress: a request that presents no secret and goes out with one of ours, because the operator opened a door on this
//! machine for it.

use std::sync::Arc;

use crate::config::settings::Endpoint;
use crate::registry::{Client, Tenancy, UpstreamIdentity};

/// Leave to go out with a client's upstream secret, where none was presented. Only [`Entrusted::at`] gives it.
pub struct Entrusted {
    client: Client,
    identity: Arc<UpstreamIdentity>,
}

/// Why a request is not entrusted with a secret.
pub enum NotEntrusted {
    /// Neither the endpoint nor the form names a client.
    Unnamed,
    /// The client is not on the list, or has no upstream secret.
    Unknown,
    /// The client is switched off.
    Disabled(Client),
    /// The form names another client than the endpoint.
    Divided,
}

impl Entrusted {
    /// For a request that presents nothing, at an endpoint of the egress direction. `said` is the form's client_id, which
    /// may, beside an endpoint's own client, be that client's id here or at the upstream.
    pub fn at(endpoint: &Endpoint, listed: Tenancy<'_>, said: Option<&[u8]>) -> Result<Self, NotEntrusted> {
        let named = endpoint.client.as_ref().map(|id| id.as_str().as_bytes());
        let id = named.or(said).filter(|_| endpoint.is_egress()).ok_or(NotEntrusted::Unnamed)?;
        let client = listed.client(id).ok_or(NotEntrusted::Unknown)?;
        let identity = client.upstream.clone().ok_or(NotEntrusted::Unknown)?;
        let agrees = |said: &[u8]| [&client.key.id, &identity.id].iter().any(|id| id.as_str().as_bytes() == said);
        if !said.is_none_or(|said| said == id || agrees(said)) {
            return Err(NotEntrusted::Divided);
        }
        if !client.enabled {
            return Err(NotEntrusted::Disabled(client.clone()));
        }
        Ok(Self { client: client.clone(), identity })
    }

    /// Whose secret goes out.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Who that is at the upstream.
    pub fn identity(&self) -> &UpstreamIdentity {
        &self.identity
    }
}

/// Whether an endpoint has anything to do with a client that proved itself: one of the egress direction sends nobody's
/// secret but those that are the upstream's own.
pub fn serves(endpoint: &Endpoint, client: &Client) -> bool {
    let its_own = endpoint.client.as_ref().is_none_or(|id| *id == client.key.id);
    !endpoint.is_egress() || (its_own && client.upstream.is_some())
}
