//! `[proxy.tls]` and the like, `[upstream.tls]`: which files hold what a link is secured with.

use std::path::{Path, PathBuf};

use rustls_pki_types::ServerName;

use super::kinds::ClientCert;
use crate::config::reader::Section;
use crate::from_text;

/// TLS on a listener of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate and those that link it to a root, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Who signs the certificates of callers, PEM; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// With `client_ca`: whether a caller must have one.
    pub client_cert: ClientCert,
}

/// TLS towards a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Who signs the server's certificate, PEM; default: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have; default: the URL's host.
    pub server_name: Option<ServerName<'static>>,
}

from_text!(ServerName<'static>, "a host name or an address, such as \"as.internal\"", |text| {
    ServerName::try_from(text.to_owned()).ok()
});

impl ServerTls {
    /// Reads the `tls` table of a listener's section, where there is one.
    pub(super) fn read_in(section: &mut Section<'_, '_>, base: &Path) -> Option<Self> {
        section.section_if_given("tls", |section| {
            let cert: Option<String> = section.must("cert", "The certificate chain, PEM; read again when it changes");
            let key: Option<String> = section.must("key", "Its private key, PEM; read again when it changes");
            let client_ca: Option<String> =
                section.take("client_ca", "Who signs callers' certificates; without it none is asked for");
            let doc = "With client_ca: required, or optional (a caller without one is served too)";
            let client_cert = section.take("client_cert", doc);
            if client_cert.is_some() && client_ca.is_none() {
                section.error("client_cert", "goes with client_ca: name who signs the certificates of callers");
            }
            Some(Self {
                cert: base.join(cert?),
                key: base.join(key?),
                client_ca: client_ca.map(|path| base.join(path)),
                client_cert: client_cert.unwrap_or(ClientCert::Required),
            })
        })?
    }
}

impl ClientTls {
    /// Reads the `tls` table of a section, where there is one.
    pub(super) fn read_in(section: &mut Section<'_, '_>, base: &Path) -> Option<Self> {
        section.section_if_given("tls", |section| {
            let ca: Option<String> = section.take("ca", "Who signs the server's certificate; default: the system's");
            let cert: Option<String> = section.take("cert", "Our certificate chain, PEM; with key");
            let key: Option<String> = section.take("key", "Its private key, PEM; with cert");
            let server_name = section.take("server_name", "The name in the server's certificate; default: the URL's");
            if cert.is_some() != key.is_some() {
                section.error("", "cert and key go together: name both, or neither");
            }
            Self {
                ca: ca.map(|path| base.join(path)),
                identity: cert.zip(key).map(|(cert, key)| (base.join(cert), base.join(key))),
                server_name,
            }
        })
    }
}
