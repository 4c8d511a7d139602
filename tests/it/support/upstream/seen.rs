//! One request as it reached the upstream, and every way in which its bytes
//! break what a careful sender promises.

use super::super::{bytes, form};

/// A request that was read whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Order of arrival, from 1.
    pub(crate) number: usize,
    /// Which connection carried it, from 1.
    pub(crate) connection: usize,
    /// Every byte of it.
    pub(crate) raw: Vec<u8>,
    /// Request method.
    pub(crate) method: String,
    /// Request target, as sent.
    pub(crate) target: String,
    /// Header lines in order: name as sent, value without the space around it.
    pub(crate) headers: Vec<(String, String)>,
    /// Body.
    pub(crate) body: Vec<u8>,
    /// What is wrong with its framing or syntax; empty for a clean request.
    pub(crate) violations: Vec<String>,
}

impl Seen {
    /// Cuts the first whole request off `buffer`. `None` while it is incomplete.
    pub(crate) fn cut(buffer: &mut Vec<u8>) -> Option<Self> {
        let head_len = bytes::find(buffer, b"\r\n\r\n")? + 4;
        let mut seen = Self::head(&buffer[..head_len - 2]);
        let length = seen.body_length();
        let whole = head_len.checked_add(length)?;
        if buffer.len() < whole {
            return None;
        }
        seen.raw = buffer.drain(..whole).collect();
        seen.body = seen.raw[head_len..].to_vec();
        Some(seen)
    }

    /// The values of every header line of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let wanted = |line: &&(String, String)| line.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(wanted).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the one header line of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The request id it carries.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.header("x-request-id")
    }

    /// The decoded form, in order; stops the test where it does not decode.
    #[track_caller]
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        form::pairs(&self.body).unwrap_or_else(|| panic!("no form: {}", bytes::escape(&self.body)))
    }

    /// The value of the first parameter of this name.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Id and secret of its Basic credentials, exactly as they stand in the base64.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let raw = bytes::unbase64(self.header("authorization")?.strip_prefix("Basic ")?)?;
        let text = String::from_utf8(raw).ok()?;
        text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
    }

    /// Id and secret of its Basic credentials, form-decoded as RFC 6749 says.
    pub(crate) fn basic_decoded(&self) -> Option<(String, String)> {
        let (id, secret) = self.basic()?;
        Some((form::decode(id.as_bytes())?, form::decode(secret.as_bytes())?))
    }

    fn head(head: &[u8]) -> Self {
        let mut seen = Self::default();
        for (at, byte) in head.iter().enumerate() {
            let bare = match byte {
                b'\n' => at == 0 || head[at - 1] != b'\r',
                b'\r' => head.get(at + 1) != Some(&b'\n'),
                b'\t' => false,
                byte => *byte < b' ' || *byte == 0x7f,
            };
            if bare {
                seen.violations.push(format!("byte {byte:#04x} stands bare in the head"));
            }
        }
        // Latin-1, so that every byte of a value stays visible.
        let text: String = head.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let parts: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        if let [method, target, "HTTP/1.1"] = parts[..] {
            seen.method = method.to_owned();
            seen.target = target.to_owned();
        } else {
            seen.violations.push(format!("request line {parts:?}"));
        }
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if !name.is_empty() && name.bytes().all(is_token) => {
                    seen.headers.push((name.to_owned(), value.trim().to_owned()));
                }
                _ => seen.violations.push(format!("header line {line:?}")),
            }
        }
        seen
    }

    /// The announced length; whatever else could frame a body is a violation.
    fn body_length(&mut self) -> usize {
        if self.header("transfer-encoding").is_some() {
            self.violations.push("a Transfer-Encoding".to_owned());
        }
        let lengths: Vec<Option<usize>> = self
            .all("content-length")
            .into_iter()
            .map(|v| v.bytes().all(|b| b.is_ascii_digit()).then(|| v.parse().ok())?)
            .collect();
        match lengths[..] {
            [Some(length)] => length,
            // A request of a method without a body needs no length.
            [] if self.method != "POST" => 0,
            _ => {
                self.violations.push(format!("Content-Length {lengths:?}"));
                0
            }
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
