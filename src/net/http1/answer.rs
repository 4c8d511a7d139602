//! An answer on its way to the caller: its head and as much of its body as is here in one write, then the rest as it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, Version};
use http_body::Body;

use super::date::Date;
use crate::message::fields::Fields;
use crate::message::name::Name;
use crate::net::service::Answer;
use crate::net::wire::Wire;

/// Room for most answers whole.
const ROOM: usize = 1 << 10;
/// As much waits to be sent before more of a body is asked for.
const MUCH: usize = 64 << 10;

/// What an answer must know of its request.
#[derive(Clone, Copy)]
pub struct Asked {
    /// The version that the caller speaks.
    pub version: Version,
    /// Whether it wants the head alone.
    pub head_alone: bool,
    /// Whether the connection may stay.
    pub stays: bool,
}

/// How the caller is told where a body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There is none.
    None,
    /// By its length, of which so much is to be sent.
    Length(u64),
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// An answer that is being sent.
pub struct Sending<B> {
    body: B,
    framing: Framing,
    is_over: bool,
    /// Whether the connection stays when it is.
    pub stays: bool,
}

/// The answer was not sent whole, and must not end as if it were.
pub(super) struct Broken;

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    /// Writes the head of an answer.
    pub fn begin(answer: Answer<B>, asked: Asked, date: &Date, out: &mut Vec<u8>) -> Self {
        let Answer { status, fields, body, closes } = answer;
        let framing = match body.size_hint().exact() {
            _ if asked.head_alone || has_no_body(status) => Framing::None,
            Some(length) => Framing::Length(length),
            None if asked.version == Version::HTTP_10 => Framing::Close,
            None => Framing::Chunked,
        };
        let stays = asked.stays && !closes && framing != Framing::Close;
        out.reserve(ROOM);
        // Whoever asked for the head alone learns how long the body would be.
        write_head(status, &fields, asked.head_alone, asked.version, out);
        match framing {
            Framing::Length(length) => {
                Name::ContentLength.line(itoa::Buffer::new().format(length).as_bytes(), out);
            }
            Framing::Chunked => Name::TransferEncoding.line(b"chunked", out),
            Framing::None | Framing::Close => {}
        }
        finish_head(!fields.has(Name::Date), asked.version, stays, date, out);
        Self { body, framing, is_over: framing == Framing::None, stays }
    }

    /// Sends what is here and asks for the rest, until all went out.
    pub(super) fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let mut waits = false;
            while !self.is_over && !waits && wire.out().len() < MUCH {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(frame) => self.take(frame, wire.out())?,
                    Poll::Pending => waits = true,
                }
            }
            ready!(wire.poll_send(cx)).map_err(|_| Broken)?;
            if self.is_over {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// Takes a piece of the body, or its end.
    fn take(
        &mut self,
        frame: Option<Result<http_body::Frame<Bytes>, B::Error>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let data = frame.transpose().map_err(|_| Broken)?.map(|frame| frame.into_data().unwrap_or_default());
        match (&mut self.framing, data) {
            (Framing::Length(left), Some(data)) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Broken)?;
                self.is_over = *left == 0;
                out.extend_from_slice(&data);
            }
            (Framing::Length(0) | Framing::None | Framing::Close, None) => self.is_over = true,
            (Framing::Length(_), None) => return Err(Broken),
            (Framing::Chunked, Some(data)) => write_chunk(&data, out),
            (Framing::Chunked, None) => {
                self.is_over = true;
                out.extend_from_slice(b"0\r\n\r\n");
            }
            (Framing::Close, Some(data)) => out.extend_from_slice(&data),
            (Framing::None, Some(_)) => {}
        }
        Ok(())
    }
}

/// An answer to what cannot be read as a request; the last one of its connection.
pub(super) fn refuse(status: StatusCode, date: &Date, out: &mut Vec<u8>) {
    write_head(status, &Fields::default(), false, Version::HTTP_11, out);
    Name::ContentLength.line(b"0", out);
    finish_head(true, Version::HTTP_11, false, date, out);
}

/// RFC 9110 section 6.4.1.
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The status and the fields, but for those that are the connection's to say.
fn write_head(status: StatusCode, fields: &Fields, with_length: bool, version: Version, out: &mut Vec<u8>) {
    if status == StatusCode::OK && version == Version::HTTP_11 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        let version: &[u8] = if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
        let reason = status.canonical_reason().unwrap_or_default();
        for part in [version, status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    for field in fields.iter() {
        match field.name {
            Name::ContentLength if !with_length => {}
            Name::Connection | Name::TransferEncoding => {}
            Name::Other => {
                for part in [field.written, b": ", &field.value, b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
            name => name.line(&field.value, out),
        }
    }
}

/// What becomes of the connection, where that is not what the version says anyway; and when this was.
fn finish_head(with_date: bool, version: Version, stays: bool, date: &Date, out: &mut Vec<u8>) {
    match (version, stays) {
        (Version::HTTP_10, true) => Name::Connection.line(b"keep-alive", out),
        (Version::HTTP_10, false) | (_, true) => {}
        (_, false) => Name::Connection.line(b"close", out),
    }
    if with_date {
        date.write(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// One that is empty would be the last.
fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::message::fields::Value;

    #[test]
    fn an_answer_is_framed_by_us_and_says_what_becomes_of_the_connection() {
        let asked = |version, head_alone, stays| Asked { version, head_alone, stays };
        for (status, asked, closes, expected) in [
            (200, asked(Version::HTTP_11, false, true), false, "HTTP/1.1 200 OK\r\n@content-length: 2\r\n\r\n"),
            (
                401,
                asked(Version::HTTP_11, false, true),
                true,
                "HTTP/1.1 401 Unauthorized\r\n@content-length: 2\r\nconnection: close\r\n\r\n",
            ),
            (
                200,
                asked(Version::HTTP_11, false, false),
                false,
                "HTTP/1.1 200 OK\r\n@content-length: 2\r\nconnection: close\r\n\r\n",
            ),
            (
                200,
                asked(Version::HTTP_10, false, true),
                false,
                "HTTP/1.0 200 OK\r\n@content-length: 2\r\nconnection: keep-alive\r\n\r\n",
            ),
            (200, asked(Version::HTTP_10, false, false), false, "HTTP/1.0 200 OK\r\n@content-length: 2\r\n\r\n"),
            (200, asked(Version::HTTP_11, true, true), false, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n@\r\n"),
            (204, asked(Version::HTTP_11, false, true), false, "HTTP/1.1 204 No Content\r\n@\r\n"),
            (599, asked(Version::HTTP_11, false, true), false, "HTTP/1.1 599 \r\n@content-length: 2\r\n\r\n"),
        ] {
            let said = [(Name::ContentLength, "9"), (Name::Connection, "x"), (Name::Pragma, "no-cache")];
            let fields = said.map(|(name, text)| (name, Value::of(text.as_bytes()).unwrap())).into_iter().collect();
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { status, fields, body: Full::new(Bytes::from_static(b"{}")), closes };
            let mut out = Vec::new();
            let sending = Sending::begin(answer, asked, &Date::default(), &mut out);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                expected.replace('@', "pragma: no-cache\r\n"),
                "{status} {}",
                sending.stays
            );
        }
        let mut out = Vec::new();
        refuse(StatusCode::BAD_REQUEST, &Date::default(), &mut out);
        assert_eq!(out, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }

    #[test]
    fn a_chunk_is_never_the_last_one_by_accident() {
        let mut out = Vec::new();
        write_chunk(b"", &mut out);
        write_chunk(&[b'x'; 17], &mut out);
        assert_eq!(out, b"11\r\nxxxxxxxxxxxxxxxxx\r\n");
    }
}
