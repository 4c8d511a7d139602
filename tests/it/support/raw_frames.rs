//! The caller's side of HTTP/2, frame by frame: what no library would send.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{PATIENCE, bytes};

/// What every connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types of RFC 9113 section 6.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// ENHANCE_YOUR_CALM.
pub(crate) const CALM: u32 = 11;

/// One frame as it came.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered with this status, the body whole.
    Answered(u16),
    /// The stream was reset, for this reason.
    Reset(u32),
    /// The connection was ended by a GOAWAY, for this reason.
    GoAway(u32),
    /// The connection was closed and nothing said.
    Closed,
    /// Nothing happened in time.
    Silence,
}

/// The bytes of one frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals, never indexed, never squeezed (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Latin-1, as the corpus has it: a field may hold any byte.
            let text: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
            integer(text.len(), &mut block);
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        return out.push(u8::try_from(value).unwrap());
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// The fields of a good request, but for its body.
pub(crate) fn good(authorization: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/token"),
        (":authority", "proxy.test"),
        ("authorization", authorization),
        ("content-type", "application/x-www-form-urlencoded"),
    ]
}

/// The body of the good request.
pub(crate) const FORM: &[u8] = b"grant_type=client_credentials";

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    pending: Vec<u8>,
    ended: bool,
}

impl Raw {
    /// Connects and begins as a caller must, with these settings.
    #[track_caller]
    pub(crate) fn begin(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        let mut raw = Self::connect(address);
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat());
        raw
    }

    /// Connects; nothing is sent.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect to the proxy");
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, pending: Vec::new(), ended: false }
    }

    /// Sends bytes; false once the other end takes no more.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a good request whole.
    pub(crate) fn ask(&mut self, stream: u32, id: &str, secret: &str) -> bool {
        let basic = bytes::basic(id, secret);
        let head = frame(HEADERS, END_HEADERS, stream, &block(&good(&basic)));
        self.send(&[head, frame(DATA, END_STREAM, stream, FORM)].concat())
    }

    /// The next frame; nothing at the end, or when none comes in time.
    pub(crate) fn next(&mut self, within: Duration) -> Option<Frame> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(head) = self.pending.get(..9) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if self.pending.len() >= 9 + length {
                    let (kind, flags) = (head[3], head[4]);
                    let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff;
                    let payload = self.pending[9..9 + length].to_vec();
                    self.pending.drain(..9 + length);
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ended || left.is_zero() {
                return None;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.ended = true,
            }
        }
    }

    /// Whether the other end has closed, once everything it sent was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What becomes of the request on a stream, or of the whole connection.
    pub(crate) fn fate(&mut self, stream: u32, within: Duration) -> Fate {
        let deadline = Instant::now() + within;
        let mut status = None;
        while let Some(frame) = self.next(deadline.saturating_duration_since(Instant::now())) {
            let reason = |at: usize| frame.payload.get(at..at + 4).map(|b| u32::from_be_bytes(b.try_into().unwrap()));
            match frame.kind {
                RST_STREAM if frame.stream == stream && status.is_none() => return Fate::Reset(reason(0).unwrap()),
                // A graceful one lets the request finish.
                GOAWAY if reason(4) != Some(0) => return Fate::GoAway(reason(4).unwrap()),
                HEADERS if frame.stream == stream => status = status.or_else(|| self::status(&frame.payload)),
                _ => {}
            }
            if let (Some(status), true) = (status, frame.stream == stream && frame.flags & END_STREAM != 0)
                && matches!(frame.kind, DATA | HEADERS)
            {
                return Fate::Answered(status);
            }
        }
        if self.ended { Fate::Closed } else { Fate::Silence }
    }

    /// Reads until the end of the connection; the last GOAWAY's reason on the way.
    pub(crate) fn end(&mut self, within: Duration) -> Fate {
        let deadline = Instant::now() + within;
        let mut told = None;
        while let Some(frame) = self.next(deadline.saturating_duration_since(Instant::now())) {
            if frame.kind == GOAWAY {
                told = frame.payload.get(4..8).map(|b| u32::from_be_bytes(b.try_into().unwrap()));
            }
        }
        match told {
            _ if !self.ended => Fate::Silence,
            Some(reason) => Fate::GoAway(reason),
            None => Fate::Closed,
        }
    }
}

/// The status that a header block begins with: indexed, or a literal under the name's index (RFC 7541 appendix A).
fn status(block: &[u8]) -> Option<u16> {
    // A change of the table's size may stand before it.
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    match *block.get(at)? {
        indexed @ 0x88..=0x8e => Some([200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)]),
        0x08 | 0x18 | 0x48 => {
            let (head, text) = (block.get(at + 1)?, block.get(at + 2..)?);
            if head & 0x80 == 0 {
                return std::str::from_utf8(text.get(..3)?).ok()?.parse().ok();
            }
            // Squeezed: each digit has five or six bits (RFC 7541 appendix B).
            let bits: String = text.iter().take(usize::from(head & 0x7f)).map(|b| format!("{b:08b}")).collect();
            let (mut rest, mut digits) = (bits.as_str(), String::new());
            while digits.len() < 3 {
                let (length, digit) = match rest.get(..5)? {
                    "00000" => (5, '0'),
                    "00001" => (5, '1'),
                    "00010" => (5, '2'),
                    _ => (6, char::from(b'3' + u8::from_str_radix(rest.get(..6)?, 2).ok()?.checked_sub(0b01_1001)?)),
                };
                digits.push(digit);
                rest = rest.get(length..)?;
            }
            digits.parse().ok()
        }
        _ => None,
    }
}
