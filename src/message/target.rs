//! What a request asks for: a path and a query, taken out of the target as it was sent (RFC 9112 section 3.2). Nothing is
//! decoded, folded or trimmed.

use bytes::Bytes;
use http::Uri;

use super::Malformed;
use crate::domain::swar;

/// A path, and perhaps a query.
#[derive(Clone, Debug)]
pub struct Target {
    /// The path, and the query behind a question mark.
    text: Bytes,
    /// Where the path ends.
    path: usize,
}

impl Target {
    /// Reads a target. One that is no path, as proxies are sent it or for no path at all, is taken apart by its own rules.
    pub fn read(text: Bytes) -> Result<Self, Malformed> {
        if !text.iter().all(|byte| is_of_target(*byte)) {
            return Err(Malformed);
        }
        if text.first() == Some(&b'/') {
            let path = swar::find(&text, 0, b'?').unwrap_or(text.len());
            return Ok(Self { text, path });
        }
        Uri::try_from(&*text).map(|uri| Self::of_uri(&uri)).map_err(|_| Malformed)
    }

    /// That of a request whose target was taken apart already.
    pub fn of_uri(uri: &Uri) -> Self {
        let mut text = uri.path().to_owned();
        let path = text.len();
        if let Some(query) = uri.query() {
            text.push('?');
            text.push_str(query);
        }
        Self { text: text.into(), path }
    }

    /// The path; empty where none is asked for.
    pub fn path(&self) -> &str {
        self.part(0, self.path)
    }

    /// The query.
    pub fn query(&self) -> Option<&str> {
        (self.path < self.text.len()).then(|| self.part(self.path + 1, self.text.len()))
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }
}

/// Visible ASCII without what no part of a URI may hold and its readers disagree about; a fragment is never sent.
const fn is_of_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_and_a_query_as_they_were_sent() {
        for (text, expected) in [
            ("/token", Some(("/token", None))),
            ("/token?", Some(("/token", Some("")))),
            ("/token?a=b?c", Some(("/token", Some("a=b?c")))),
            ("//host/token", Some(("//host/token", None))),
            ("/%74oken;x=1", Some(("/%74oken;x=1", None))),
            ("http://a.test/token?x", Some(("/token", Some("x")))),
            ("http://a.test", Some(("/", None))),
            ("*", Some(("*", None))),
            ("a.test:443", Some(("", None))),
            ("", None),
            ("/token#x", None),
            ("/token?a=\"b\"", None),
            ("/tok\x01en", None),
            ("/tok en", None),
            ("/token\x7f", None),
            ("/t\u{f6}ken", None),
            ("http:///token", None),
            ("\\token", None),
        ] {
            let read = Target::read(Bytes::copy_from_slice(text.as_bytes()));
            let found = read.as_ref().ok().map(|target| (target.path(), target.query()));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
