//! The side that calls: whom we trust, and our own certificate where the server asks for one.

use std::path::PathBuf;

use rustls::ClientConfig;

use super::hot::{Hot, Made, Recipe};
use super::material::{Identity, Pem, Unusable, system_roots};
use super::provider;
use crate::config::settings::tls::ClientTls;

/// Makes the configuration towards one server.
pub struct Client {
    settings: ClientTls,
    protocols: &'static [&'static [u8]],
}

/// TLS towards one server.
pub type ClientSide = Hot<Client>;

/// Reads what a link to a server needs. `protocols` are those that we speak there, the preferred first.
pub fn link(settings: &ClientTls, protocols: &'static [&'static [u8]]) -> Result<ClientSide, Unusable> {
    Hot::read(Client { settings: settings.clone(), protocols })
}

impl Recipe for Client {
    type Config = ClientConfig;

    fn files(&self) -> Vec<PathBuf> {
        let ClientTls { ca, identity, .. } = &self.settings;
        let identity = identity.iter().flat_map(|(cert, key)| [cert, key]);
        identity.chain(ca).cloned().collect()
    }

    fn make(&self, files: &[Pem]) -> Result<Made<ClientConfig>, Unusable> {
        let (identity, ca) = match (&self.settings.identity, files) {
            (Some(_), [cert, key, rest @ ..]) => (Some((cert, Identity::of(cert, key)?)), rest.first()),
            (_, rest) => (None, rest.first()),
        };
        let roots = ca.map_or_else(system_roots, Pem::roots)?;
        let unusable = |error: rustls::Error| {
            let file = self.files().pop().unwrap_or_else(|| "system roots".into());
            Unusable { file, why: format!("cannot be used: {error}") }
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let (mut config, validity) = match identity {
            None => (builder.with_no_client_auth(), None),
            Some((cert, Identity { chain, key, validity })) => {
                let config = builder.with_client_auth_cert(chain, key);
                (
                    config.map_err(|error| cert.unusable(format!("cannot be used with its key: {error}")))?,
                    Some(validity),
                )
            }
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Made { config, validity })
    }
}
