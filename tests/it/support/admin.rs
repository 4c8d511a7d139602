//! The admin socket of a running sidecar: one request a connection, as the
//! commands ask.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{PATIENCE, bytes};

/// Where an instance takes commands.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    socket: PathBuf,
}

impl Admin {
    /// The default socket of the instance that is configured in `dir`.
    pub(crate) fn of(dir: &Path) -> Self {
        Self { socket: dir.join("relatch.sock") }
    }

    /// Asks; gives the answer's status and its JSON (null where there is none).
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).expect("the admin socket");
        stream.set_read_timeout(Some(PATIENCE * 6)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: relatch\r\nConnection: close\r\n");
        let kind = "Content-Type: application/json\r\n";
        let request = format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("a request to the admin socket");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer of the admin socket");
        let head_end = bytes::find(&answer, b"\r\n\r\n").expect("an answer with a head") + 4;
        let head = String::from_utf8_lossy(&answer[..head_end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "an answer of one piece: {head}");
        (status, serde_json::from_slice(&answer[head_end..]).unwrap_or_default())
    }

    /// Asks for what must be done.
    #[track_caller]
    pub(crate) fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}
