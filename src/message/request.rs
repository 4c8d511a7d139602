//! The head of a request (RFC 9112 section 3).

use std::ops::Range;

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode, Version};

use super::body::End;
use super::fields::{Fields, Lines};
use super::lines::{Reader, Stop, end_of_head, head};
use super::name::Name;
use super::target::Target;
use super::{Malformed, framing, lives_on};

/// The longest target, where heads may be larger.
const MOST_TARGET: usize = 65_534;

/// What a request asks, and how.
pub struct Request {
    /// The method.
    pub method: Method,
    /// What it asks for.
    pub target: Target,
    /// The version that it was sent in.
    pub version: Version,
    /// The fields as they came.
    pub fields: Fields,
}

/// A head.
pub struct Head {
    /// The request.
    pub request: Request,
    /// Where its body ends.
    pub end: End,
    /// Whether the caller keeps the connection.
    pub lives_on: bool,
    /// Whether the caller waits to be asked for the body (RFC 9110 section 10.1.1).
    pub waits: bool,
}

/// Why a head is not read: where a request ends cannot be told then, so that it is the last one of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none by the letter, or could be read in two ways.
    Malformed,
    /// It is too large, or has too many fields.
    TooLarge,
    /// Its target is too long.
    TargetTooLong,
}

impl Fault {
    /// What the caller is told.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Takes the head off the front of what came, `most` bytes at most; nothing while it is not all here. `seen` bytes of it were
/// looked through before, and are not again.
pub fn read(came: &mut BytesMut, seen: &mut usize, most: usize) -> Result<Option<Head>, Fault> {
    if *seen == 0 {
        skip_empty_lines(came);
        if matches!(&**came, [] | [b'\r']) {
            return Ok(None);
        }
    }
    if came.len() > most && end_of_head(came, *seen).is_none_or(|length| length > most) {
        return Err(Fault::TooLarge);
    }
    let read = head(came, seen, parts)
        .map_err(|stop| if stop == Stop::TooMany { Fault::TooLarge } else { Fault::Malformed })?;
    let Some((Parts { method, target, version, lines }, length)) = read else { return Ok(None) };
    let bytes = came.split_to(length).freeze();
    if target.len() > MOST_TARGET {
        return Err(Fault::TargetTooLong);
    }
    let method = Method::from_bytes(bytes.get(method).unwrap_or_default()).map_err(|_| Fault::Malformed)?;
    let target = Target::read(bytes.slice(target))?;
    let fields = Fields::over(bytes, lines);
    let end = end(version, &fields)?;
    let lives_on = lives_on(version, &fields);
    let waits = version == Version::HTTP_11
        && !end.is_over()
        && fields.get(Name::Expect).is_some_and(|expected| expected.eq_ignore_ascii_case(b"100-continue"));
    Ok(Some(Head { request: Request { method, target, version, fields }, end, lives_on, waits }))
}

/// Where the parts of a head stand.
struct Parts {
    method: Range<usize>,
    target: Range<usize>,
    version: Version,
    lines: Lines,
}

fn parts(reader: &mut Reader<'_>) -> Result<Parts, Stop> {
    let method = reader.token(b' ')?;
    let target = reader.visible(b' ')?;
    let version = reader.version()?;
    reader.line_end()?;
    Ok(Parts { method, target, version, lines: Lines::read(reader)? })
}

/// Some clients send an empty line behind a body (RFC 9112 section 2.2).
fn skip_empty_lines(came: &mut BytesMut) {
    loop {
        match &**came {
            [b'\r', b'\n', ..] => came.advance(2),
            [b'\n', ..] => came.advance(1),
            _ => return,
        }
    }
}

/// Where the body ends: at once, where nothing is said of it (RFC 9112 section 6.3). An older version knows no chunks, and who
/// takes them for none reads another request.
fn end(version: Version, fields: &Fields) -> Result<End, Malformed> {
    match framing(fields)? {
        Some(End::Chunked(_)) if version == Version::HTTP_10 => Err(Malformed),
        said => Ok(said.unwrap_or(End::after(0))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::MOST_FIELDS;
    use crate::message::lines::tests::{as_they_stand, heads};

    const MOST: usize = 16 << 10;

    /// What a head says, and what stands behind it, as text; nothing while it is not all here.
    fn told(came: &mut BytesMut, seen: &mut usize) -> Result<Option<String>, Fault> {
        Ok(read(came, seen, MOST)?.map(|head| {
            let Head { request, end, lives_on, waits } = head;
            let fields: Vec<_> = request.fields.iter().map(|field| (field.name, field.value.len())).collect();
            let what = (request.method, request.target.path().to_owned(), request.target.query().map(str::to_owned));
            format!(
                "{what:?} {:?} {fields:?} {end:?} {lives_on} {waits} {:?}",
                request.version,
                came.escape_ascii().to_string()
            )
        }))
    }

    fn whole(text: &[u8]) -> Result<Option<String>, Fault> {
        told(&mut BytesMut::from(text), &mut 0)
    }

    /// The same, read byte by byte.
    fn torn(text: &[u8]) -> Result<Option<String>, Fault> {
        let (mut came, mut seen) = (BytesMut::new(), 0);
        for (at, byte) in text.iter().enumerate() {
            came.extend_from_slice(&[*byte]);
            // What stands behind a head is there when it is read whole.
            let rest = &text[at + 1..];
            match read(&mut came, &mut seen, MOST)? {
                None => {}
                Some(_) => {
                    let mut all = BytesMut::from(&text[..=at]);
                    all.extend_from_slice(rest);
                    return told(&mut all, &mut 0);
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn a_head_says_one_thing() {
        for (text, path, end, lives_on, waits) in [
            ("POST /token HTTP/1.1\r\nHost: a\r\n\r\n", "/token", "Length(0)", true, false),
            ("POST /token HTTP/1.1\nHost: a\nContent-Length: 007\n\n", "/token", "Length(7)", true, false),
            ("\r\n\nGET / HTTP/1.1\r\n\r\n", "/", "Length(0)", true, false),
            ("POST /t HTTP/1.1\r\nTransfer-Encoding: cHUNKED\r\n\r\n", "/t", "Chunked(Size(0))", true, false),
            ("POST /t HTTP/1.1\r\nContent-Length: \t 3 \r\n\r\n", "/t", "Length(3)", true, false),
            ("POST /t HTTP/1.1\r\nContent_Length: 3\r\n\r\n", "/t", "Length(0)", true, false),
            (
                "POST /t HTTP/1.1\r\nConnection: x, CLOSE\r\nConnection: keep-alive\r\n\r\n",
                "/t",
                "Length(0)",
                false,
                false,
            ),
            ("POST /t HTTP/1.0\r\nContent-Length: 3\r\n\r\n", "/t", "Length(3)", false, false),
            ("POST /t HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/t", "Length(0)", true, false),
            ("POST /t HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n", "/t", "Length(3)", true, true),
            ("POST /t HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "/t", "Length(0)", true, false),
            ("POST /t HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "/t", "Length(3)", false, false),
            ("CONNECT h:443 HTTP/1.1\r\n\r\n", "", "Length(0)", true, false),
            ("post http://a.test/t HTTP/1.1\r\n\r\n", "/t", "Length(0)", true, false),
        ] {
            let head =
                read(&mut BytesMut::from(text), &mut 0, MOST).ok().flatten().unwrap_or_else(|| panic!("{text:?}"));
            let said = (head.request.target.path().to_owned(), format!("{:?}", head.end), head.lives_on, head.waits);
            assert_eq!(said, (path.to_owned(), end.to_owned(), lives_on, waits), "{text:?}");
            assert_eq!(whole(format!("{text}more").as_bytes()), torn(format!("{text}more").as_bytes()), "{text:?}");
            for cut in 0..text.trim_end().len() {
                assert_eq!(whole(&text.as_bytes()[..cut]), Ok(None), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_request() {
        for lines in [
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: banana",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
            "Content-Length:",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 5, 5",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length: 18446744073709551616",
            "Content-Length : 5",
            "Content-Length\t: 5",
            " X: 1",
            "X: 1\r\n 2",
            "X: 1\r\n\tContent-Length: 5",
            "X: 1\rY: 2",
            "X: 1\0",
            "X\0: 1",
            "X\u{e9}: 1",
            ": 1",
            "X",
            "X: \x7f",
        ] {
            let text = format!("POST /t HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            assert_eq!(whole(text.as_bytes()), Err(Fault::Malformed), "{text:?}");
            assert_eq!(torn(text.as_bytes()), Err(Fault::Malformed), "{text:?}");
        }
        for line in [
            "POST /t HTTP/1.2",
            "POST /t HTTP/2.0",
            "POST /t http/1.1",
            "POST /t HTTP/1.1 ",
            "POST /t HTTP/1.1 x",
            "POST /t",
            "POST  /t HTTP/1.1",
            " POST /t HTTP/1.1",
            "POST\t/t\tHTTP/1.1",
            "POST /t x HTTP/1.1",
            "POST /t\0 HTTP/1.1",
            "POST /t\x7f HTTP/1.1",
            "POST /t\x01 HTTP/1.1",
            "POST /t\u{f6} HTTP/1.1",
            "POST /t#x HTTP/1.1",
            "POST  HTTP/1.1",
            "PO(ST /t HTTP/1.1",
            "PO\rST /t HTTP/1.1",
            "HTTP/1.1 200 OK",
        ] {
            let text = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(whole(text.as_bytes()), Err(Fault::Malformed), "{text:?}");
            assert_eq!(torn(text.as_bytes()), Err(Fault::Malformed), "{text:?}");
        }
        let old = "POST /t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(whole(old.as_bytes()), Err(Fault::Malformed), "who takes it for no chunks reads another request");
    }

    #[test]
    fn a_head_is_bounded_and_whoever_begins_none_is_not_waited_for() {
        let of = |fields: String| format!("POST /t HTTP/1.1\r\n{fields}\r\n");
        for (text, expected) in [
            (of("X: 1\r\n".repeat(MOST_FIELDS)), None),
            (of("X: 1\r\n".repeat(MOST_FIELDS + 1)), Some(Fault::TooLarge)),
            (of(format!("X: {}\r\n", "x".repeat(MOST))), Some(Fault::TooLarge)),
            (format!("POST /t HTTP/1.1\r\nX: {}", "x".repeat(MOST)), Some(Fault::TooLarge)),
            ("\x16\x03\x01".to_owned(), Some(Fault::Malformed)),
            ("GET /token\r\n".to_owned(), Some(Fault::Malformed)),
            ("\0".to_owned(), Some(Fault::Malformed)),
            ("PRI * HTTP/2.0\r\n\r\n".to_owned(), Some(Fault::Malformed)),
        ] {
            assert_eq!(whole(text.as_bytes()).err(), expected, "{}", &text[..text.len().min(40)]);
        }
        let long = format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(MOST_TARGET));
        assert_eq!(read(&mut BytesMut::from(&*long), &mut 0, 1 << 20).err(), Some(Fault::TargetTooLong));
    }

    /// Method, target and fields as they stand, and where the head ends.
    type Parsed = (Vec<Vec<u8>>, usize);

    fn ours(text: &[u8]) -> Option<Parsed> {
        let mut reader = Reader::of(text);
        let parts = parts(&mut reader).ok()?;
        let fields = Fields::over(text.to_vec().into(), parts.lines);
        let start = [text[parts.method].to_vec(), text[parts.target].to_vec(), format!("{:?}", parts.version).into()];
        let fields = as_they_stand(fields.iter().map(|field| (field.written, field.value.bytes())));
        Some((start.into_iter().chain(fields).collect(), reader.at()))
    }

    fn theirs(text: &[u8]) -> Option<Parsed> {
        let mut lines = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut lines);
        let httparse::Status::Complete(length) = request.parse(text).ok()? else { return None };
        let target = request.path?.as_bytes();
        if !target.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let version = format!("HTTP/1.{}", request.version?);
        let start = [request.method?.as_bytes().to_vec(), target.to_vec(), version.into()];
        let fields = as_they_stand(request.headers.iter().map(|field| (field.name.as_bytes(), field.value)));
        Some((start.into_iter().chain(fields).collect(), length))
    }

    proptest! {
        #[test]
        fn where_a_read_ends_changes_nothing(
            line in "(POST|GET|\\PC{0,3}) (/t|\\PC{0,6})(\\?\\PC{0,3})? HTTP/1\\.[01]",
            fields in proptest::collection::vec(prop_oneof![
                "[ -~]{0,12}: ?[ -~\t]{0,12}",
                "(Content-Length|Transfer-Encoding|Connection|Expect): ?(5|chunked|close|100-continue|[ -~]{0,4})",
            ], 0..6),
            ending in prop_oneof![Just("\r\n"), Just("\n"), Just("\r")],
            behind in ".{0,8}",
        ) {
            let text = format!("{line}{ending}{}{ending}{behind}", fields.iter().map(|field| format!("{field}{ending}")).collect::<String>());
            match (whole(text.as_bytes()), torn(text.as_bytes())) {
                // One that is not whole may be known to be none at the first look.
                (Err(Fault::Malformed), Ok(None)) => prop_assert_eq!(end_of_head(text.trim_start_matches(['\r', '\n']).as_bytes(), 0), None),
                (whole, torn) => prop_assert_eq!(whole, torn),
            }
        }

        #[test]
        fn the_common_library_reads_the_same(
            text in heads("(POST|GET|[!-~]{1,4}|\\PC{0,3}) {1,2}(/t|\\PC{0,6})(\\?[!-~]{0,3})? HTTP/1\\.[012]"),
        ) {
            prop_assert_eq!(ours(&text), theirs(&text), "{}", text.escape_ascii());
        }

        #[test]
        fn anything_at_all_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _either = whole(&bytes);
            let _either = torn(&bytes);
        }
    }
}
