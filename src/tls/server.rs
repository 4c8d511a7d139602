//! The side that is called: our certificate, and what we ask of a caller's.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};

use super::hot::{Hot, Made, Recipe};
use super::material::{Identity, Pem, Unusable};
use super::provider;
use crate::config::settings::kinds::ClientCert;
use crate::config::settings::tls::ServerTls;

/// Makes the configuration of one listener.
pub struct Server {
    settings: ServerTls,
    protocols: &'static [&'static [u8]],
    /// One for as long as the listener stands: a renewed certificate does not cost every caller a full handshake.
    tickets: Arc<dyn ProducesTickets>,
}

/// TLS of one listener.
pub type ServerSide = Hot<Server>;

/// Reads what a listener needs. `protocols` are those that it speaks, the preferred first.
pub fn listener(settings: &ServerTls, protocols: &'static [&'static [u8]]) -> Result<ServerSide, Unusable> {
    let tickets = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| {
        Unusable::new(&settings.cert, format!("cannot be used: no key for session tickets could be made ({error})"))
    })?;
    Hot::read(Server { settings: settings.clone(), protocols, tickets })
}

impl Recipe for Server {
    type Config = ServerConfig;

    fn files(&self) -> Vec<PathBuf> {
        let ServerTls { cert, key, client_ca, .. } = &self.settings;
        [cert, key].into_iter().chain(client_ca).cloned().collect()
    }

    fn make(&self, files: &[Pem]) -> Result<Made<ServerConfig>, Unusable> {
        let [cert, key, client_ca @ ..] = files else { return Err(Unusable::new(&self.settings.cert, "was not read")) };
        let identity = Identity::of(cert, key)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| cert.unusable(format!("cannot be used: {error}")))?;
        let builder = match client_ca.first() {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()?), provider());
                let verifier = match self.settings.client_cert {
                    ClientCert::Required => verifier,
                    ClientCert::Optional => verifier.allow_unauthenticated(),
                };
                let built = verifier.build().map_err(|error| ca.unusable(format!("cannot be used: {error}")))?;
                builder.with_client_cert_verifier(built)
            }
        };
        let mut config = builder
            .with_single_cert(identity.chain, identity.key)
            .map_err(|error| cert.unusable(format!("cannot be used with {}: {error}", self.settings.key.display())))?;
        // Ours are the suites that are fast and safe on this machine.
        config.ignore_client_order = true;
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        if self.settings.client_ca.is_none() {
            config.ticketer = self.tickets.clone();
            // A caller keeps one connection or a few: one ticket serves the next.
            config.send_tls13_tickets = 1;
        } else {
            // Who comes back is checked anew: its certificate may have been withdrawn with its root.
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Made { config, validity: Some(identity.validity) })
    }
}
