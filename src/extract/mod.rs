//! Step 3: the client's credentials, from the Authorization header or the form, never from both.
//!
//! A request that can be read in two ways is refused, because the upstream might take the other one: servers differ on
//! which of two methods wins, which of two equal parameters wins, and whether Basic is form-decoded.

pub mod basic;
pub mod form;
pub mod json;
pub mod percent;

use std::borrow::Cow;
use std::ops::Range;

use zeroize::Zeroizing;

use self::form::{Form, FormValue};
use crate::config::settings::kinds::BasicDecoding;
use crate::domain::oauth::{AuthMethod, AuthResult, BasicEncoding};

/// Room for decoded credentials, wiped when the request is over.
#[derive(Default)]
pub struct Scratch(Zeroizing<Vec<u8>>);

/// Decoded text: in the scratch, or where it was sent.
enum Text<'b> {
    Here(Range<usize>),
    There(&'b [u8]),
}

/// What a request presents.
#[derive(Debug)]
pub enum Presented<'r> {
    /// A client secret, by one method.
    Secret(Credentials<'r>),
    /// No client secret. The request may still carry a bare client_id, an assertion or a bearer token.
    Nothing,
}

/// A client secret as presented: one way to read it, or two for HTTP Basic.
#[derive(Debug)]
pub struct Credentials<'r> {
    /// How it was sent.
    pub method: AuthMethod,
    first: Reading<'r>,
    second: Option<Reading<'r>>,
    /// The id before anything was made of it.
    stated: &'r [u8],
}

/// One way to read a credential.
#[derive(Clone, Copy)]
pub struct Reading<'r> {
    /// The client id.
    pub id: &'r [u8],
    /// The secret. Empty proves nothing.
    pub secret: &'r [u8],
    /// For HTTP Basic: how it was decoded.
    pub encoding: Option<BasicEncoding>,
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

impl<'r> Credentials<'r> {
    /// The readings, one or two; their number depends on the presented bytes alone.
    pub fn readings(&self) -> impl Iterator<Item = Reading<'r>> {
        [Some(self.first), self.second].into_iter().flatten()
    }

    /// The id as the caller most likely meant it, for the throttle and for logs.
    pub const fn id(&self) -> &'r [u8] {
        self.first.id
    }

    /// Every id that a server might read here, whichever of them we read: what passes unverified must be none of ours for
    /// anybody.
    pub fn may_name(&self) -> impl Iterator<Item = Cow<'r, [u8]>> {
        let (stated, is_basic) = (self.stated, self.method == AuthMethod::Basic);
        let decoded = [true, false].into_iter().filter(move |_| is_basic);
        let decoded = decoded.map(move |plus_is_space| percent::decode_laxly(stated, plus_is_space).into());
        std::iter::once(stated.into()).chain(decoded)
    }
}

/// A request that cannot be read in exactly one way: 400, and which counter it goes under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Malformed: encoding, alphabet, repeated or look-alike parameters.
    Malformed,
    /// More than one method of client authentication.
    MultipleMethods,
}

impl Unreadable {
    /// The result it is counted under.
    pub const fn result(self) -> AuthResult {
        match self {
            Self::Malformed => AuthResult::MalformedRequest,
            Self::MultipleMethods => AuthResult::MultipleMethods,
        }
    }
}

/// Takes the credentials out of a request whose head and form are known to hold each thing at most once.
pub fn extract<'r>(
    authorization: Option<&[u8]>,
    form: &'r Form<'r>,
    decoding: BasicDecoding,
    scratch: &'r mut Scratch,
) -> Result<Presented<'r>, Unreadable> {
    let scheme = authorization.map(basic::scheme);
    let in_body = form.client_secret().is_some();
    match scheme {
        Some(_) if in_body => Err(Unreadable::MultipleMethods),
        Some(basic::Scheme::Malformed) => Err(Unreadable::Malformed),
        Some(basic::Scheme::Basic(_)) if form.has_assertion() => Err(Unreadable::MultipleMethods),
        None if in_body && form.has_assertion() => Err(Unreadable::MultipleMethods),
        Some(basic::Scheme::Basic(encoded)) => from_basic(encoded, form, decoding, scratch),
        None if in_body => Ok(from_form(form, scratch)),
        Some(basic::Scheme::Other) | None => Ok(Presented::Nothing),
    }
}

fn from_form<'r>(form: &'r Form<'r>, scratch: &'r mut Scratch) -> Presented<'r> {
    let id = scratch.value(form.client_id());
    let secret = scratch.value(form.client_secret());
    let first = Reading { id: scratch.text(&id), secret: scratch.text(&secret), encoding: None };
    Presented::Secret(Credentials { method: AuthMethod::Post, first, second: None, stated: first.id })
}

fn from_basic<'r>(
    encoded: &[u8],
    form: &'r Form<'r>,
    decoding: BasicDecoding,
    scratch: &'r mut Scratch,
) -> Result<Presented<'r>, Unreadable> {
    let body_id = scratch.value(form.client_id());
    let start = scratch.0.len();
    basic::decode(encoded, &mut scratch.0).map_err(|_| Unreadable::Malformed)?;
    let end = scratch.0.len();
    let colon = scratch.0.iter().skip(start).position(|b| *b == b':').ok_or(Unreadable::Malformed)?;
    let raw = (start..start + colon, start + colon + 1..end);
    let decoded = match decoding {
        BasicDecoding::Raw => None,
        BasicDecoding::Rfc6749 | BasicDecoding::Both => match scratch.form_decoded(&raw) {
            Some(parts) => Some(parts),
            None if decoding == BasicDecoding::Rfc6749 => return Err(Unreadable::Malformed),
            None => None,
        },
    };
    let scratch: &'r Scratch = scratch;
    let reading = |(id, secret): &(Range<usize>, Range<usize>), encoding| Reading {
        id: scratch.get(id),
        secret: scratch.get(secret),
        encoding: Some(encoding),
    };
    // A client_id beside Basic is allowed where it says the same; it settles which reading is meant.
    let named = form.client_id().map(|_| scratch.text(&body_id));
    let agrees = |reading: &Reading<'_>| named.is_none_or(|id| id == reading.id);
    let decoded = decoded.map(|parts| reading(&parts, BasicEncoding::Rfc6749));
    let stated = scratch.get(&raw.0);
    let raw = (decoding != BasicDecoding::Rfc6749).then(|| reading(&raw, BasicEncoding::Raw));
    let same = matches!((&decoded, &raw), (Some(a), Some(b)) if a.id == b.id && a.secret == b.secret);
    let mut readings = [decoded, raw.filter(|_| !same)].into_iter().flatten().filter(agrees);
    let first = readings.next().ok_or(Unreadable::MultipleMethods)?;
    Ok(Presented::Secret(Credentials { method: AuthMethod::Basic, first, second: readings.next(), stated }))
}

impl Scratch {
    /// A form value: as it stands in the body, or decoded and appended here.
    fn value<'b>(&mut self, value: Option<FormValue<'b>>) -> Text<'b> {
        match value {
            None => Text::There(&[]),
            Some(FormValue::Literal(bytes)) => Text::There(bytes),
            Some(FormValue::Encoded(raw)) => {
                let start = self.0.len();
                // Room for what follows too: nothing that stands here already is moved, and no copy is left behind.
                self.0.reserve(raw.len() * 2 + 128);
                let _known_to_decode = percent::decode(raw, &mut self.0);
                Text::Here(start..self.0.len())
            }
        }
    }

    fn text<'t>(&'t self, text: &Text<'t>) -> &'t [u8] {
        match text {
            Text::Here(range) => self.get(range),
            Text::There(bytes) => bytes,
        }
    }

    /// Appends both halves of a Basic credential, form-decoded; nothing where they do not decode.
    fn form_decoded(&mut self, (id, secret): &(Range<usize>, Range<usize>)) -> Option<(Range<usize>, Range<usize>)> {
        let raw = Zeroizing::new(self.0.get(id.start..secret.end)?.to_vec());
        let (raw_id, raw_secret) = (raw.get(..id.len())?, raw.get(id.len() + 1..)?);
        let start = self.0.len();
        percent::decode(raw_id, &mut self.0).ok()?;
        let middle = self.0.len();
        percent::decode(raw_secret, &mut self.0).ok()?;
        let utf8 = |range: Range<usize>| self.0.get(range).is_some_and(|text| std::str::from_utf8(text).is_ok());
        (utf8(start..middle) && utf8(middle..self.0.len())).then(|| (start..middle, middle..self.0.len()))
    }

    fn get(&self, range: &Range<usize>) -> &[u8] {
        self.0.get(range.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    /// Each reading as `encoding id secret`, or the refusal.
    fn read(authorization: Option<&str>, body: &str, decoding: BasicDecoding) -> Result<Vec<String>, Unreadable> {
        let form = Form::parse(body.as_bytes()).unwrap();
        let mut scratch = Scratch::default();
        Ok(match extract(authorization.map(str::as_bytes), &form, decoding, &mut scratch)? {
            Presented::Nothing => vec![],
            Presented::Secret(credentials) => credentials
                .readings()
                .map(|r| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    format!("{:?} {} {}", r.encoding, text(r.id), text(r.secret))
                })
                .collect(),
        })
    }

    fn basic(text: &str) -> Option<String> {
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)))
    }

    #[test]
    fn one_method_is_read_and_two_are_refused() {
        use Unreadable::{Malformed, MultipleMethods};
        let good = basic("c1:good");
        for (authorization, body, expected) in [
            (None, "client_id=c1&client_secret=good", Ok(vec!["None c1 good"])),
            (None, "client_id=c%31&client_secret=g+o%26d", Ok(vec!["None c1 g o&d"])),
            (None, "client_secret=good", Ok(vec!["None  good"])),
            (None, "client_id=c1", Ok(vec![])),
            (None, "client_id=c1&client_secret=", Ok(vec![])),
            (None, "client_assertion=x&client_secret=good", Err(MultipleMethods)),
            (good.as_deref(), "", Ok(vec!["Some(Rfc6749) c1 good"])),
            (good.as_deref(), "client_secret=", Ok(vec!["Some(Rfc6749) c1 good"])),
            (good.as_deref(), "client_id=c1", Ok(vec!["Some(Rfc6749) c1 good"])),
            (good.as_deref(), "client_id=c2", Err(MultipleMethods)),
            (good.as_deref(), "client_secret=good", Err(MultipleMethods)),
            (good.as_deref(), "client_assertion=x", Err(MultipleMethods)),
            (Some("Bearer x"), "", Ok(vec![])),
            (Some("Basic\tYzE6Z29vZA=="), "", Err(Malformed)),
            (Some("Bearer x"), "client_id=c1&client_secret=good", Err(MultipleMethods)),
        ] {
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(read(authorization, body, BasicDecoding::Both), expected, "{authorization:?} {body}");
        }
    }

    #[test]
    fn basic_is_read_as_configured() {
        use BasicDecoding::{Both, Raw, Rfc6749};
        let malformed = || Err(Unreadable::Malformed);
        let ok = |list: &[&str]| Ok(list.iter().map(|text| (*text).to_owned()).collect());
        for (text, decoding, expected) in [
            ("c1:a%2Bb", Both, ok(&["Some(Rfc6749) c1 a+b", "Some(Raw) c1 a%2Bb"])),
            ("c1:a%2Bb", Raw, ok(&["Some(Raw) c1 a%2Bb"])),
            ("c1:a%2Bb", Rfc6749, ok(&["Some(Rfc6749) c1 a+b"])),
            ("c1:%%%", Both, ok(&["Some(Raw) c1 %%%"])),
            ("c1:%%%", Rfc6749, malformed()),
            ("c1:%ff", Both, ok(&["Some(Raw) c1 %ff"])),
            ("c%3A1:a:b", Both, ok(&["Some(Rfc6749) c:1 a:b", "Some(Raw) c%3A1 a:b"])),
            ("no colon", Both, malformed()),
            ("c1:", Both, ok(&["Some(Rfc6749) c1 "])),
            (":good", Both, ok(&["Some(Rfc6749)  good"])),
        ] {
            assert_eq!(read(basic(text).as_deref(), "", decoding), expected, "{text} {decoding:?}");
        }
        // The id in the form settles which of two readings is meant.
        assert_eq!(read(basic("c%3A1:x").as_deref(), "client_id=c%3A1", Both), ok(&["Some(Rfc6749) c:1 x"]));
        assert_eq!(read(basic("c%3A1:x").as_deref(), "client_id=c%253A1", Both), ok(&["Some(Raw) c%3A1 x"]));
    }
}
