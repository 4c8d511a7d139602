//! A way to a sidecar that speaks TLS for tests that write raw bytes: what goes in comes out at the other end, secured.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::tls::{Ca, Pair};

/// The name that its certificate must have.
pub(crate) const NAME: &str = "proxy.test";

/// Takes connections and carries them on through TLS. Ends when dropped.
pub(crate) struct Tunnel {
    entrance: SocketAddr,
    _ends_with_it: oneshot::Sender<()>,
}

/// A caller's side of TLS: trusts one root, and shows a certificate if it has one.
pub(crate) fn caller(root: &Ca, own: Option<&Pair>, protocols: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

impl Tunnel {
    /// To a sidecar's proxy listener.
    pub(crate) fn to(exit: SocketAddr, config: ClientConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let entrance = listener.local_addr().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let (ends_with_it, ended) = oneshot::channel::<()>();
        let accept = async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, exit, connector.clone()));
            }
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept => {}
                    _ = ended => {}
                }
            });
        });
        Self { entrance, _ends_with_it: ends_with_it }
    }

    /// Where to connect.
    pub(crate) fn entrance(&self) -> SocketAddr {
        self.entrance
    }
}

async fn carry(near: TcpStream, exit: SocketAddr, connector: TlsConnector) {
    let Ok(far) = TcpStream::connect(exit).await else { return };
    let _small_writes = (near.set_nodelay(true), far.set_nodelay(true));
    let name = ServerName::try_from(NAME).unwrap();
    let Ok(far) = connector.connect(name, far).await else { return };
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (split(near), split(far));
    // Each way ends for itself: an answer still comes where what was sent is no longer taken.
    let there = async {
        _ = copy(&mut near_in, &mut far_out).await;
        _ = far_out.shutdown().await;
    };
    let back = async {
        _ = copy(&mut far_in, &mut near_out).await;
        _ = near_out.shutdown().await;
    };
    tokio::select! {
        () = back => {}
        () = async { there.await; std::future::pending().await } => {}
    }
}
