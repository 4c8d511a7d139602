//! The head of a request (RFC 9112 section 3).

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode, Version};

use super::body::End;
use super::fields::Fields;
use super::name::Name;
use super::target::Target;
use super::{MOST_FIELDS, Malformed, end_of_head, framing, lives_on};

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

impl From<httparse::Error> for Fault {
    fn from(error: httparse::Error) -> Self {
        if error == httparse::Error::TooManyHeaders { Self::TooLarge } else { Self::Malformed }
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
    let length = end_of_head(came, *seen);
    if length.unwrap_or(came.len()) > most {
        return Err(Fault::TooLarge);
    }
    let Some(length) = length else {
        // Whoever does not begin a request is not waited for.
        if *seen == 0 {
            let mut lines = [httparse::EMPTY_HEADER; MOST_FIELDS];
            httparse::Request::new(&mut lines).parse(came)?;
        }
        *seen = came.len();
        return Ok(None);
    };
    *seen = 0;
    let bytes = came.split_to(length).freeze();
    let mut lines = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut read = httparse::Request::new(&mut lines);
    if read.parse(&bytes)? != httparse::Status::Complete(length) {
        return Err(Fault::Malformed);
    }
    let (Some(method), Some(target), Some(version)) = (read.method, read.path, read.version) else {
        return Err(Fault::Malformed);
    };
    if target.len() > MOST_TARGET {
        return Err(Fault::TargetTooLong);
    }
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Fault::Malformed)?;
    let target = Target::read(bytes.slice_ref(target.as_bytes()))?;
    let fields = Fields::read(bytes.clone(), read.headers).ok_or(Fault::Malformed)?;
    let end = end(version, &fields)?;
    let lives_on = lives_on(version, &fields);
    let waits = version == Version::HTTP_11
        && !end.is_over()
        && fields.get(Name::Expect).is_some_and(|expected| expected.eq_ignore_ascii_case(b"100-continue"));
    Ok(Some(Head { request: Request { method, target, version, fields }, end, lives_on, waits }))
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
