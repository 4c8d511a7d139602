//! The head of an answer (RFC 9112 section 4).

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{StatusCode, Version};

use super::body::End;
use super::fields::Fields;
use super::{MOST_FIELDS, Malformed, end_of_head, framing, lives_on};

/// The largest head of an answer.
pub const MOST_HEAD: usize = 64 << 10;

/// How every answer begins. Whoever says something else at first speaks another protocol, and is not waited for.
const VERSION: &[u8] = b"HTTP/1.";

/// A head.
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The fields as they came.
    pub fields: Fields,
    /// Where the body ends.
    pub end: End,
    /// Whether the connection may carry another exchange after this one.
    pub lives_on: bool,
}

/// Takes the head off the front of what came; nothing while it is not all here. `seen` bytes of it were looked through
/// before, and are not again.
pub fn read(came: &mut BytesMut, seen: &mut usize) -> Result<Option<Head>, Malformed> {
    let Some(length) = end_of_head(came, *seen) else {
        *seen = came.len();
        let may_become_one = came.len() <= MOST_HEAD && came.iter().zip(VERSION).all(|(byte, other)| byte == other);
        return if may_become_one { Ok(None) } else { Err(Malformed) };
    };
    *seen = 0;
    let bytes = came.split_to(length).freeze();
    let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut answer = httparse::Response::new(&mut []);
    let reader = httparse::ParserConfig::default();
    let parsed = reader.parse_response_with_uninit_headers(&mut answer, &bytes, &mut lines).map_err(|_| Malformed)?;
    if parsed != httparse::Status::Complete(length) {
        return Err(Malformed);
    }
    let version = if answer.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed)?;
    let fields = Fields::read(bytes.clone(), answer.headers).ok_or(Malformed)?;
    let end = end(status, &fields)?;
    let lives_on = lives_on(version, &fields) && !matches!(end, End::Close);
    Ok(Some(Head { status, fields, end, lives_on }))
}

/// Where the body ends. Some answers have none, whatever they say of it.
fn end(status: StatusCode, fields: &Fields) -> Result<End, Malformed> {
    let found = framing(fields)?.unwrap_or(End::Close);
    let has_none = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(if has_none { End::after(0) } else { found })
}
#[cfg(test)]
mod tests {
    use super::*;

    /// What the head says, as text; `None` while it is not all here.
    fn read(text: &str) -> Option<Result<String, ()>> {
        let mut came = BytesMut::from(text);
        let parsed = super::read(&mut came, &mut 0);
        let head = match parsed {
            Ok(None) => return None,
            Ok(Some(head)) => head,
            Err(_) => return Some(Err(())),
        };
        let rest = came.escape_ascii().to_string();
        Some(Ok(format!("{} {:?} {} {rest:?}", head.status.as_str(), head.end, head.lives_on)))
    }

    #[test]
    fn a_head_has_one_reading_or_is_none() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", r#"200 Length(2) true "{}""#),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", r#"200 Length(2) true "{}""#),
            ("HTTP/1.1 200\r\nContent-Length:0\r\n\r\n", r#"200 Length(0) true """#),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0", r#"200 Chunked(Size(0)) true "0""#),
            ("HTTP/1.1 200 OK\r\n\r\n", r#"200 Close false """#),
            ("HTTP/1.1 204 No\r\n\r\n", r#"204 Length(0) true """#),
            ("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", r#"304 Length(0) true """#),
            ("HTTP/1.1 100 Continue\r\n\r\n", r#"100 Length(0) true """#),
            ("HTTP/1.1 200 OK\r\nConnection: X, Close\r\nContent-Length: 0\r\n\r\n", r#"200 Length(0) false """#),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", r#"200 Length(0) false """#),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", r#"200 Length(0) true """#),
        ] {
            assert_eq!(read(text), Some(Ok(expected.to_owned())), "{text:?}");
            for cut in 0..text.find("\r\n\r\n").or_else(|| text.find("\n\n")).unwrap() {
                assert_eq!(read(&text[..cut]), None, "{text:?} cut at {cut}");
            }
        }
        for refused in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A: a\rb\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "SSH",
            "HTTP/2",
            "\r",
            "\n\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(read(refused), Some(Err(())), "{refused:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(MOST_FIELDS + 1));
        assert_eq!(read(&many), Some(Err(())));
        assert_eq!(read(&"x".repeat(MOST_HEAD + 1)), Some(Err(())));
    }

    #[test]
    fn where_a_read_ends_changes_nothing() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        let (mut came, mut seen) = (BytesMut::new(), 0);
        let mut heads = text.bytes().filter_map(|byte| {
            came.extend_from_slice(&[byte]);
            super::read(&mut came, &mut seen).unwrap()
        });
        assert!(
            heads.next().is_some_and(|head| head.status == 200 && head.fields.iter().count() == 1)
                && heads.next().is_none()
        );
    }
}
