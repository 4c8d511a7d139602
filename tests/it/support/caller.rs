//! A caller that asks again and again over one connection, for tests that need
//! many answers rather than a close look at each.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::bytes;

/// One kept-alive connection.
pub(crate) struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Why there was no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Closed or reset before a byte of it.
    Closed,
    /// Ended in the middle.
    Broken,
    /// Not there in time.
    Late,
    /// No HTTP.
    Garbage,
}

/// How long an answer may take: beyond every deadline of the sidecar's own.
const PATIENCE: Duration = Duration::from_secs(40);

impl Caller {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and waits for the status of its whole answer. True beside it
    /// if the connection ends after it.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<(u16, bool), NoAnswer> {
        // Whoever closed before it was sent is found out by the answer that does not come.
        _ = self.stream.write_all(request);
        self.buffer.clear();
        let mut chunk = [0; 4096];
        loop {
            if let Some(answer) = self.whole() {
                return answer;
            }
            match self.stream.read(&mut chunk) {
                Ok(count @ 1..) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(NoAnswer::Late);
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                _ if self.buffer.is_empty() => return Err(NoAnswer::Closed),
                _ => return Err(NoAnswer::Broken),
            }
        }
    }

    /// The answer, once all of it is here. Nothing may follow it.
    fn whole(&self) -> Option<Result<(u16, bool), NoAnswer>> {
        let head_end = bytes::find(&self.buffer, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (Some(status), Some(length)) = (status, field("content-length:").and_then(|n| n.parse::<usize>().ok()))
        else {
            return Some(Err(NoAnswer::Garbage));
        };
        match self.buffer.len().checked_sub(head_end + length) {
            None => None,
            Some(0) => Some(Ok((status, field("connection:") == Some("close")))),
            Some(_) => Some(Err(NoAnswer::Garbage)),
        }
    }
}
