//! Frames of HTTP/2 (RFC 9113 section 4), byte by byte, for a server that does
//! what no library would do.

use std::io::Read;

pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// What every receiver takes.
const LARGEST: usize = 16 * 1024;

/// A frame; on which stream is said when it is sent.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) payload: Vec<u8>,
    /// In place of the request's own.
    stream: Option<u32>,
    /// GOAWAY counts its last stream from the request's own.
    last: Option<i64>,
}

impl Frame {
    pub(super) fn new(kind: u8, flags: u8, payload: Vec<u8>) -> Self {
        Self { kind, flags, payload, stream: None, last: None }
    }

    /// Header fields, as literals that no table keeps.
    pub(super) fn headers(fields: &[(&str, &str)], ends: bool) -> Self {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            string(name, &mut block);
            string(value, &mut block);
        }
        Self::new(HEADERS, if ends { END_STREAM } else { 0 }, block)
    }

    pub(super) fn data(data: &[u8], ends: bool) -> Self {
        Self::new(DATA, u8::from(ends), data.to_vec())
    }

    pub(super) fn reset(code: u32) -> Self {
        Self::new(RST_STREAM, 0, code.to_be_bytes().to_vec())
    }

    /// The connection goes away; `last` is how far the last stream it took lies from the request's own.
    pub(super) fn goaway(last: i64, code: u32) -> Self {
        let mut frame = Self::new(GOAWAY, 0, code.to_be_bytes().to_vec());
        (frame.stream, frame.last) = (Some(0), Some(last));
        frame
    }

    pub(super) fn settings(pairs: &[(u16, u32)]) -> Self {
        let payload = pairs.iter().flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat());
        let mut frame = Self::new(SETTINGS, 0, payload.collect());
        frame.stream = Some(0);
        frame
    }

    /// As it goes out on a request's stream. A long block of fields is continued.
    pub(super) fn bytes(&self, request: u32) -> Vec<u8> {
        let stream = self.stream.unwrap_or(request);
        let mut payload = self.payload.clone();
        if let Some(last) = self.last {
            let last = u32::try_from(i64::from(request) + last).unwrap_or(0);
            payload = [&last.to_be_bytes()[..], &payload].concat();
        }
        let mut out = Vec::new();
        let mut pieces: Vec<&[u8]> = payload.chunks(LARGEST).collect();
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        let count = pieces.len();
        for (at, piece) in pieces.into_iter().enumerate() {
            let continues = self.kind == HEADERS || self.kind == PUSH_PROMISE;
            let kind = if at > 0 && continues { CONTINUATION } else { self.kind };
            let mut flags = if at > 0 && continues { 0 } else { self.flags };
            if self.kind == DATA && at + 1 < count {
                flags &= !END_STREAM;
            }
            if continues && at + 1 == count {
                flags |= END_HEADERS;
            }
            out.extend_from_slice(&(piece.len() as u32).to_be_bytes()[1..]);
            out.extend_from_slice(&[kind, flags]);
            out.extend_from_slice(&stream.to_be_bytes());
            out.extend_from_slice(piece);
        }
        out
    }

    /// The next one, and the stream that it is on.
    pub(super) fn read(from: &mut impl Read) -> Option<(Self, u32)> {
        let mut head = [0; 9];
        from.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some((Self::new(head[3], head[4], payload), stream))
    }
}

/// A string literal without Huffman coding (RFC 7541 section 5.2).
fn string(text: &str, out: &mut Vec<u8>) {
    let mut length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push((length % 128) as u8 | 128);
            length /= 128;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(text.as_bytes());
}
