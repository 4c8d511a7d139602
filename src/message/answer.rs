//! The head of an answer (RFC 9112 section 4).

use bytes::BytesMut;
use http::{StatusCode, Version};

use super::body::End;
use super::fields::{Fields, Lines};
use super::lines::{Reader, Stop, end_of_head, head};
use super::{Malformed, framing, lives_on};

/// The largest head of an answer.
pub const MOST_HEAD: usize = 64 << 10;

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
    if came.len() > MOST_HEAD && end_of_head(came, *seen).is_none() {
        return Err(Malformed);
    }
    let read = head(came, seen, parts).map_err(|_| Malformed)?;
    let Some(((version, status, lines), length)) = read else { return Ok(None) };
    let fields = Fields::over(came.split_to(length).freeze(), lines);
    let end = end(status, &fields)?;
    let lives_on = lives_on(version, &fields) && !matches!(end, End::Close);
    Ok(Some(Head { status, fields, end, lives_on }))
}

fn parts(reader: &mut Reader<'_>) -> Result<(Version, StatusCode, Lines), Stop> {
    let version = reader.version()?;
    reader.exactly(b" ")?;
    let digits = [reader.byte()?, reader.byte()?, reader.byte()?];
    let status = StatusCode::from_bytes(&digits).map_err(|_| Stop::Malformed)?;
    reader.reason()?;
    Ok((version, status, Lines::read(reader)?))
}

/// Where the body ends. Some answers have none, whatever they say of it.
fn end(status: StatusCode, fields: &Fields) -> Result<End, Malformed> {
    let found = framing(fields)?.unwrap_or(End::Close);
    let has_none = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(if has_none { End::after(0) } else { found })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::MOST_FIELDS;
    use crate::message::lines::tests::{as_they_stand, heads};

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

    /// Status, fields and where the head ends.
    type Parsed = (u16, Vec<Vec<u8>>, usize);

    fn ours(text: &[u8]) -> Option<Parsed> {
        let mut reader = Reader::of(text);
        let (_, status, lines) = parts(&mut reader).ok()?;
        let fields = Fields::over(text.to_vec().into(), lines);
        let fields = as_they_stand(fields.iter().map(|field| (field.written, field.value.bytes())));
        Some((status.as_u16(), fields, reader.at()))
    }

    fn theirs(text: &[u8]) -> Option<Parsed> {
        let mut lines = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut answer = httparse::Response::new(&mut lines);
        let httparse::Status::Complete(length) = answer.parse(text).ok()? else { return None };
        let status = answer.code.filter(|code| *code >= 100)?;
        let fields = as_they_stand(answer.headers.iter().map(|field| (field.name.as_bytes(), field.value)));
        Some((status, fields, length))
    }

    proptest! {
        #[test]
        fn the_common_library_reads_the_same(text in heads("HTTP/1\\.[012] {1,2}([0-9]{2,4})( [ -~\\t]{0,8})?")) {
            prop_assert_eq!(ours(&text), theirs(&text), "{}", text.escape_ascii());
        }
    }
}
