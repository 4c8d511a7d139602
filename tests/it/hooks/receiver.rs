//! A receiver of ours: takes requests one by one, checks what every delivery must be, and answers by script.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver as Incoming, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::ServerConfig;
use serde_json::Value;

use crate::support::tls;
use crate::support::{PATIENCE, bytes};

/// What is done with a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// This answer, as it stands.
    Raw(String),
    /// 204, a second later.
    Slow,
    /// No answer, for as long as the test runs.
    Hang,
    /// The connection is closed without one.
    Close,
}

impl Reply {
    pub(super) fn status(status: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    }

    pub(super) fn with(status: &str, header: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {status}\r\n{header}\r\nContent-Length: 0\r\n\r\n"))
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Heard {
    pub(super) fn header(&self, name: &str) -> &str {
        let mut found = self.head.lines().filter_map(|line| line.split_once(": "));
        found.find(|(key, _)| key.eq_ignore_ascii_case(name)).unwrap_or_else(|| panic!("{name} in {}", self.head)).1
    }

    pub(super) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether one of its signatures is of this key.
    pub(super) fn is_signed_with(&self, key: &str) -> bool {
        let key = STANDARD.decode(key.trim_start_matches("whsec_")).unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.body);
        let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|one| one == wanted)
    }
}

pub(super) struct Receiver {
    address: SocketAddr,
    heard: Incoming<Heard>,
    script: Arc<Mutex<Vec<Reply>>>,
    secure: bool,
}

impl Receiver {
    pub(super) fn start() -> Self {
        Self::listen(None)
    }

    /// With this certificate.
    pub(super) fn secure(config: Arc<ServerConfig>) -> Self {
        Self::listen(Some(config))
    }

    fn listen(config: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = channel();
        let script: Arc<Mutex<Vec<Reply>>> = Arc::default();
        let (replies, secure) = (Arc::clone(&script), config.is_some());
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let (sender, replies, config) = (sender.clone(), Arc::clone(&replies), config.clone());
                std::thread::spawn(move || {
                    _ = tcp.set_read_timeout(Some(PATIENCE));
                    match config {
                        None => serve(tcp, &sender, &replies),
                        Some(config) => {
                            let connection = rustls::ServerConnection::new(config).unwrap();
                            serve(rustls::StreamOwned::new(connection, tcp), &sender, &replies);
                        }
                    }
                });
            }
        });
        Self { address, heard, script, secure }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("{}://localhost:{}", if self.secure { "https" } else { "http" }, self.address.port())
    }

    /// What is done with the next requests; with those after, 204.
    pub(super) fn answer(&self, replies: &[Reply]) {
        *self.script.lock().unwrap() = replies.iter().rev().cloned().collect();
    }

    /// The next request.
    #[track_caller]
    pub(super) fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE * 3).expect("no web hook came")
    }

    /// Whether one comes within this time.
    pub(super) fn hears(&self, within: Duration) -> bool {
        self.heard.recv_timeout(within).is_ok()
    }
}

fn serve(mut stream: impl Read + Write, sender: &Sender<Heard>, script: &Mutex<Vec<Reply>>) {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    let heard = loop {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => read.extend_from_slice(&chunk[..count]),
            _ => return,
        }
        let Some(end) = bytes::find(&read, b"\r\n\r\n") else { continue };
        let heard = Heard { head: String::from_utf8(read[..end].to_vec()).unwrap(), body: read[end + 4..].to_vec() };
        let length: usize = heard.header("content-length").parse().unwrap();
        if heard.body.len() >= length {
            break heard;
        }
    };
    let reply = script.lock().unwrap().pop().unwrap_or_else(|| Reply::status("204 No Content"));
    _ = sender.send(heard);
    match reply {
        Reply::Raw(text) => _ = stream.write_all(text.as_bytes()),
        Reply::Close => {}
        Reply::Slow => {
            std::thread::sleep(Duration::from_secs(1));
            _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
        }
        Reply::Hang => std::thread::sleep(PATIENCE * 30),
    }
    _ = stream.flush();
}

/// A certificate for `localhost`, and who signed it.
pub(super) fn certified() -> (Arc<ServerConfig>, String) {
    let ca = tls::Ca::new();
    let config = tls::server(&ca.issue(&["localhost"]), &[], &["http/1.1"]);
    (config, ca.pem().to_owned())
}
