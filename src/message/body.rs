//! Where the body of a message ends (RFC 9112 sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};

use super::Malformed;

/// A line of a chunk's size with what may stand behind it, or of a trailer.
const MOST_LINE: usize = 1 << 10;
/// What may stand behind the sizes of all chunks.
const MOST_BESIDE: usize = 16 << 10;
/// Lines behind the last chunk.
const MOST_TRAILERS: u8 = 100;

/// What tells where a body ends, as far as it has come.
#[derive(Debug)]
pub enum End {
    /// Its length: so many bytes are to come.
    Length(u64),
    /// Each chunk tells its own.
    Chunked(Chunks),
    /// The end of the connection.
    Close,
}

/// A body in chunks.
pub struct Chunks {
    next: Chunk,
    /// Bytes that stood behind sizes.
    beside: usize,
}

/// What is expected next of it.
#[derive(Debug)]
enum Chunk {
    /// A line with a size; so many of its bytes were looked through.
    Size(usize),
    /// So many bytes of a chunk.
    Data(u64),
    /// The end of the line behind them.
    Break,
    /// Lines of trailers, so many up to now, or the empty one.
    Trailers(u8),
    /// Nothing more.
    Over,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of the body.
    Data(Bytes),
    /// More must come.
    More,
    /// That was all.
    Over,
}

impl End {
    /// After so many bytes.
    pub const fn after(length: u64) -> Self {
        Self::Length(length)
    }

    /// In chunks.
    pub const fn chunked() -> Self {
        Self::Chunked(Chunks { next: Chunk::Size(0), beside: 0 })
    }

    /// Whether all of it was taken.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks { next: Chunk::Over, .. }))
    }

    /// How much is to come, where that is known.
    pub const fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(Chunks { next: Chunk::Over, .. }) => Some(0),
            Self::Chunked(_) | Self::Close => None,
        }
    }

    /// Takes what it can of what came.
    pub fn take(&mut self, came: &mut BytesMut) -> Result<Piece, Malformed> {
        match self {
            Self::Length(left) => Ok(up_to(left, came)),
            Self::Close if came.is_empty() => Ok(Piece::More),
            Self::Close => Ok(Piece::Data(came.split().freeze())),
            Self::Chunked(chunks) => chunks.take(came),
        }
    }
}

/// Takes up to so many bytes.
fn up_to(left: &mut u64, came: &mut BytesMut) -> Piece {
    if *left == 0 {
        return Piece::Over;
    }
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
    if taken == 0 {
        return Piece::More;
    }
    *left -= taken as u64;
    Piece::Data(came.split_to(taken).freeze())
}

impl Chunks {
    fn take(&mut self, came: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match &mut self.next {
                Chunk::Size(seen) => {
                    let Some(line) = line(came, seen)? else { return Ok(Piece::More) };
                    let (size, beside) = size(&line).ok_or(Malformed)?;
                    self.beside += beside;
                    self.next = match size {
                        _ if self.beside > MOST_BESIDE => return Err(Malformed),
                        0 => Chunk::Trailers(0),
                        size => Chunk::Data(size),
                    };
                }
                Chunk::Data(0) => self.next = Chunk::Break,
                Chunk::Data(left) => return Ok(up_to(left, came)),
                Chunk::Break => match &**came {
                    [b'\r', b'\n', ..] => {
                        came.advance(2);
                        self.next = Chunk::Size(0);
                    }
                    [] | [b'\r'] => return Ok(Piece::More),
                    _ => return Err(Malformed),
                },
                Chunk::Trailers(lines) => {
                    let Some(line) = line(came, &mut 0)? else { return Ok(Piece::More) };
                    *lines += 1;
                    if line.is_empty() {
                        self.next = Chunk::Over;
                    } else if *lines > MOST_TRAILERS {
                        return Err(Malformed);
                    }
                }
                Chunk::Over => return Ok(Piece::Over),
            }
        }
    }
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.next.fmt(f)
    }
}

/// Takes a line that ends with CRLF, without that; nothing while it is not all here.
fn line(came: &mut BytesMut, seen: &mut usize) -> Result<Option<BytesMut>, Malformed> {
    let Some(at) = memchr::memchr(b'\n', came.get(*seen..).unwrap_or_default()).map(|at| *seen + at) else {
        *seen = came.len();
        return if came.len() > MOST_LINE { Err(Malformed) } else { Ok(None) };
    };
    let mut line = came.split_to(at + 1);
    let text = line.strip_suffix(b"\r\n").map(<[u8]>::len).filter(|length| *length <= MOST_LINE);
    line.truncate(text.ok_or(Malformed)?);
    Ok(Some(line))
}

/// The size of a chunk, in hexadecimal digits, and how much stands behind them. Nobody has reason for more than that.
fn size(line: &[u8]) -> Option<(u64, usize)> {
    let (digits, rest) = line.split_at(line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count());
    let is_extension = matches!(rest.trim_ascii_start(), [] | [b';', ..]) && !rest.contains(&b'\r');
    // Sixteen digits are all that a length can have.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| (1..=16).contains(&digits.len()) && is_extension)?;
    Some((u64::from_str_radix(digits, 16).ok()?, rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is taken, in pieces of `step` bytes; what is left over; or that it is refused.
    fn taken(mut end: End, text: &str, step: usize) -> Option<(String, bool, String)> {
        let (mut came, mut body) = (BytesMut::new(), Vec::new());
        for piece in text.as_bytes().chunks(step) {
            came.extend_from_slice(piece);
            while let Piece::Data(data) = end.take(&mut came).ok()? {
                body.extend_from_slice(&data);
            }
        }
        let left = came.escape_ascii().to_string();
        Some((String::from_utf8(body).unwrap(), end.is_over(), left))
    }

    #[test]
    fn a_body_ends_where_it_says_however_it_is_cut() {
        for (chunked, text, body, is_over, left) in [
            (false, "{}{}", "{}", true, "{}"),
            (false, "{", "{", false, ""),
            (true, "2\r\n{}\r\n0\r\n\r\n", "{}", true, ""),
            (true, "02;a=b\r\n{}\r\n1 ;x\r\n!\r\n000\r\n\r\nmore", "{}!", true, "more"),
            (true, "2\r\n{}\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n", "{}", true, ""),
            (true, "2\r\n{}\r\n0\r\n", "{}", false, ""),
            (true, "a\r\n{}", "{}", false, ""),
        ] {
            for step in 1..=text.len() {
                let end = || if chunked { End::chunked() } else { End::after(2) };
                let (found, over, rest) = taken(end(), text, step).unwrap_or_else(|| panic!("{text:?} by {step}"));
                assert_eq!((&*found, over), (body, is_over), "{text:?} by {step}");
                assert_eq!(rest, left, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn chunks_that_can_be_read_in_two_ways_are_refused() {
        for text in [
            "\r\n",
            "2\n{}\r\n",
            "2\r\n{}\n0\r\n\r\n",
            "2\r\n{}!\r\n",
            "-2\r\n",
            "0x2\r\n",
            "2 2\r\n",
            "2\r;\r\n",
            "12345678901234567\r\n",
            "2;\rx\r\n",
            "0\r\nX: 1\n\r\n",
        ] {
            assert_eq!(taken(End::chunked(), text, text.len()), None, "{text:?}");
        }
        let long = format!("1;{}", "x".repeat(MOST_LINE));
        assert_eq!(taken(End::chunked(), &long, long.len()), None);
        let beside = format!("1;{}\r\n!\r\n", "x".repeat(500)).repeat(MOST_BESIDE / 500 + 1);
        assert_eq!(taken(End::chunked(), &beside, beside.len()), None);
        let many = format!("0\r\n{}", "X: 1\r\n".repeat(200));
        assert_eq!(taken(End::chunked(), &many, many.len()), None);
    }
}
