//! TLS on our listeners: group F of the bad inputs, certificates that change, callers that show theirs.

mod certificates;
mod handshakes;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::support::PATIENCE;
use crate::support::http::{Method, token_request};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::tunnel;

const TLS: &str = "[proxy.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n";

/// A guard with a certificate of this authority.
fn guard(ca: &Ca) -> Setup {
    let pair = ca.issue(&[tunnel::NAME]);
    let guard = Sidecar::guard().client("c1", &["good-secret"]).config(TLS);
    guard.file("tls.crt", &pair.cert).file("tls.key", &pair.key)
}

type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Connects, with nothing said yet.
fn connect(address: SocketAddr, config: ClientConfig) -> Secured {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_write_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(tunnel::NAME).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
}

/// The status of a good request; why there is none, in words.
fn ask(stream: &mut Secured) -> Result<u16, String> {
    let request = token_request(Method::Basic, "c1", "good-secret", "");
    stream.write_all(&request).map_err(|why| why.to_string())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).map_err(|why| why.to_string())?;
    std::str::from_utf8(&head[9..]).unwrap().parse().map_err(|_| "no status".to_owned())
}
