//! The form of a token request: parsed once into raw pairs, so that what is repeated stays visible, and re-encoded from
//! them without being collected again.

use std::borrow::Cow;

use crate::domain::swar::Places;

use super::Unreadable;
use super::percent;

/// More parameters than any grant has.
pub(super) const MOST_PARAMS: usize = 100;
/// Longer than any registered parameter name (OAuth Parameters registry) by far.
const LONGEST_NAME: usize = 128;
/// Parameters that may stand more than once: RFC 8707 section 2 and RFC 8693 section 2.1.
const REPEATABLE: [&[u8]; 2] = [b"resource", b"audience"];
/// Names that decide who the client is. A look-alike of one of them may be folded onto it by the server behind.
const DECIDING: [&[u8]; 4] = [b"client_id", b"client_secret", b"client_assertion", b"client_assertion_type"];

/// One parameter, its value as it was sent.
#[derive(Clone)]
struct Param<'b> {
    name: Cow<'b, [u8]>,
    raw: &'b [u8],
    /// Nothing in it would be written otherwise.
    canonical: bool,
    /// ... and it means what it says, byte for byte.
    literal: bool,
}

/// A form in which every name stands once and every escape and character is well formed.
#[derive(Default)]
pub struct Form<'b> {
    params: Vec<Param<'b>>,
    client_id: Option<usize>,
    client_secret: Option<usize>,
    assertion: bool,
}

impl<'b> Form<'b> {
    /// Parses a body. Refuses bad escapes, text that is not UTF-8, repeated names and look-alikes of the deciding ones.
    pub fn parse(body: &'b [u8]) -> Result<Self, Unreadable> {
        let mut form = Self { params: Vec::with_capacity(8), ..Self::default() };
        // Nearly always: then nothing in it needs decoding, and no byte of it to be looked at alone.
        let simple = percent::are_plain_but(body, *b"&=");
        let mut pair = Pair::at(0);
        for at in Places::of(body, *b"&=") {
            if body.get(at) == Some(&b'=') {
                pair.equals(at);
            } else {
                form.take(&pair, body, at, simple)?;
                pair = Pair::at(at + 1);
            }
        }
        form.take(&pair, body, body.len(), simple)?;
        Ok(form)
    }

    /// Adds a pair that ends there; between two ampersands there may be none.
    fn take(&mut self, pair: &Pair, body: &'b [u8], end: usize, simple: bool) -> Result<(), Unreadable> {
        if pair.from == end {
            return Ok(());
        }
        if self.params.len() == MOST_PARAMS {
            return Err(Unreadable::Malformed);
        }
        let part = |from, to| body.get(from..to).unwrap_or_default();
        let (name, raw) = match pair.equals {
            Some(at) => (part(pair.from, at), part(at + 1, end)),
            None => (part(pair.from, end), &[][..]),
        };
        self.add(Param::parse(name, raw, simple && !pair.more)?)
    }

    fn add(&mut self, param: Param<'b>) -> Result<(), Unreadable> {
        let known = self.params.iter().any(|earlier| earlier.name == param.name);
        if known && !REPEATABLE.contains(&&*param.name) {
            return Err(Unreadable::Malformed);
        }
        let at = Some(self.params.len());
        match &*param.name {
            b"client_id" => self.client_id = at,
            b"client_secret" => self.client_secret = at,
            b"client_assertion" => self.assertion |= !param.raw.is_empty(),
            b"client_assertion_type" | b"grant_type" | b"scope" => {}
            other if looks_deciding(other) => return Err(Unreadable::Malformed),
            _ => {}
        }
        self.params.push(param);
        Ok(())
    }

    /// The client_id; one without a value counts as omitted (RFC 6749 section 3.2).
    pub fn client_id(&self) -> Option<FormValue<'b>> {
        self.value(self.client_id)
    }

    /// The client_id as it is meant.
    pub fn decoded_client_id(&self) -> Option<Cow<'b, [u8]>> {
        Some(match self.client_id()? {
            FormValue::Literal(bytes) => Cow::Borrowed(bytes),
            FormValue::Encoded(raw) => {
                let mut decoded = Vec::new();
                let _known_to_decode = percent::decode(raw, &mut decoded);
                Cow::Owned(decoded)
            }
        })
    }

    /// The client_secret; one without a value counts as omitted.
    pub fn client_secret(&self) -> Option<FormValue<'b>> {
        self.value(self.client_secret)
    }

    /// Whether there is a client assertion (RFC 7521).
    pub const fn has_assertion(&self) -> bool {
        self.assertion
    }

    /// Whether anything in it decides who the client is.
    pub fn says_who(&self) -> bool {
        self.params.iter().any(|param| DECIDING.contains(&&*param.name))
    }

    /// Whether a parameter stands in both.
    pub fn shares_a_name(&self, other: &Self) -> bool {
        self.params.iter().any(|param| other.params.iter().any(|theirs| theirs.name == param.name))
    }

    fn value(&self, at: Option<usize>) -> Option<FormValue<'b>> {
        let param = at.and_then(|at| self.params.get(at)).filter(|param| !param.raw.is_empty())?;
        Some(if param.literal { FormValue::Literal(param.raw) } else { FormValue::Encoded(param.raw) })
    }

    /// Writes the form anew, in its order: every parameter decoded once and encoded once, the two credential parameters
    /// replaced by what `credentials` says, at their old places or else at the end.
    pub fn write(&self, credentials: FormCredentials<'_>, out: &mut Vec<u8>) {
        let (mut id, mut secret) = match credentials {
            FormCredentials::AsPresented => (None, None),
            FormCredentials::None => (None, None),
            FormCredentials::Made { id, secret } => (Some(id), Some(secret)),
        };
        let start = out.len();
        for (at, param) in self.params.iter().enumerate() {
            let made = if Some(at) == self.client_id {
                Some(id.take())
            } else if Some(at) == self.client_secret {
                Some(secret.take())
            } else {
                None
            };
            match made {
                None => param.write(start, out),
                Some(_) if credentials == FormCredentials::AsPresented => {
                    if !param.raw.is_empty() {
                        param.write(start, out);
                    }
                }
                Some(value) if Some(at) == self.client_id => write_made(b"client_id", value, start, out),
                Some(value) => write_made(b"client_secret", value, start, out),
            }
        }
        write_made(b"client_id", id, start, out);
        write_made(b"client_secret", secret, start, out);
    }
}

/// A pair that is being read: where it begins, where its first equals sign stands, and whether there is another.
struct Pair {
    from: usize,
    equals: Option<usize>,
    more: bool,
}

impl Pair {
    const fn at(from: usize) -> Self {
        Self { from, equals: None, more: false }
    }

    fn equals(&mut self, at: usize) {
        self.more |= self.equals.is_some();
        self.equals.get_or_insert(at);
    }
}

/// A value as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FormValue<'b> {
    /// It means these bytes.
    Literal(&'b [u8]),
    /// It means what these bytes decode to; they are known to decode.
    Encoded(&'b [u8]),
}

/// What becomes of client_id and client_secret in the form that goes upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FormCredentials<'c> {
    /// They stay as they are; an empty one is left out.
    AsPresented,
    /// They are taken out: the credentials travel elsewhere.
    None,
    /// They are these.
    Made {
        /// The client id.
        id: &'c [u8],
        /// The secret.
        secret: &'c [u8],
    },
}

impl<'b> Param<'b> {
    /// Parses a name and a value; of `simple` ones each byte is known to stand for itself.
    fn parse(raw_name: &'b [u8], raw: &'b [u8], simple: bool) -> Result<Self, Unreadable> {
        if raw_name.is_empty() || raw_name.len() > LONGEST_NAME {
            return Err(Unreadable::Malformed);
        }
        if simple {
            return Ok(Self { name: Cow::Borrowed(raw_name), raw, canonical: true, literal: true });
        }
        let name = if percent::are_plain(raw_name) {
            Cow::Borrowed(raw_name)
        } else {
            let mut name = Vec::new();
            percent::decode(raw_name, &mut name).map_err(|_| Unreadable::Malformed)?;
            check_utf8(&name)?;
            Cow::Owned(name)
        };
        let classes = raw.iter().fold(0, |classes, byte| classes | percent::class(*byte));
        let canonical = classes & percent::SPECIAL == 0;
        if !canonical {
            let mut value = zeroize::Zeroizing::new(Vec::with_capacity(raw.len()));
            percent::decode(raw, &mut value).map_err(|_| Unreadable::Malformed)?;
            check_utf8(&value)?;
        }
        Ok(Self { name, raw, canonical, literal: classes & !percent::PLAIN == 0 })
    }

    fn write(&self, start: usize, out: &mut Vec<u8>) {
        match &self.name {
            Cow::Borrowed(plain) => write_plain_name(plain, start, out),
            Cow::Owned(decoded) => write_name(decoded, start, out),
        }
        if self.canonical {
            out.extend_from_slice(self.raw);
        } else {
            let _checked = percent::recode(self.raw, out);
        }
    }
}

fn check_utf8(bytes: &[u8]) -> Result<(), Unreadable> {
    std::str::from_utf8(bytes).map(|_| ()).map_err(|_| Unreadable::Malformed)
}

/// Begins a parameter, in a form that begins at `start`.
fn write_name(name: &[u8], start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b'&');
    }
    percent::encode(name, out);
    out.push(b'=');
}

/// A name that was borrowed was found to be plain.
fn write_plain_name(name: &[u8], start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b'&');
    }
    out.extend_from_slice(name);
    out.push(b'=');
}

fn write_made(name: &[u8], value: Option<&[u8]>, start: usize, out: &mut Vec<u8>) {
    if let Some(value) = value {
        write_plain_name(name, start, out);
        percent::encode(value, out);
    }
}

/// Whether some server would fold this name onto one of the deciding ones: other case, surrounding space or control
/// characters, PHP's `.`, space and `[` for `_`, an array suffix, a NUL that ends it.
fn looks_deciding(name: &[u8]) -> bool {
    let odd = |b: &u8| b.is_ascii_whitespace() || b.is_ascii_control();
    let start = name.iter().position(|b| !odd(b)).unwrap_or(name.len());
    let trimmed = name.get(start..).unwrap_or_default();
    let cut = trimmed.iter().position(|b| *b == b'[' || *b == 0).filter(|at| *at > 0);
    let bare = cut.and_then(|at| trimmed.get(..at)).unwrap_or(trimmed).trim_ascii_end();
    DECIDING.iter().any(|deciding| folds_to(bare, deciding) || folds_to(trimmed, deciding))
}

fn folds_to(name: &[u8], deciding: &[u8]) -> bool {
    let fold = |b: u8| if matches!(b, b'.' | b' ' | b'-' | b'[' | b'+') { b'_' } else { b.to_ascii_lowercase() };
    name.len() == deciding.len() && name.iter().zip(deciding).all(|(a, b)| fold(*a) == *b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(body: &str, credentials: FormCredentials<'_>) -> Result<String, Unreadable> {
        let mut out = Vec::new();
        Form::parse(body.as_bytes())?.write(credentials, &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn order_and_empty_parameters_are_kept() {
        for (body, expected) in [
            ("b=2&a=1&c=", "b=2&a=1&c="),
            ("&&a=1&&b&", "a=1&b="),
            ("a=x%20y+z%7E", "a=x+y+z%7E"),
            ("a=b=c", "a=b%3Dc"),
            ("a=\u{e9}", "a=%C3%A9"),
            ("%61=%62", "a=b"),
            ("a=x;b=y", "a=x%3Bb%3Dy"),
            ("client_id=c1&client_secret=", "client_id=c1"),
            ("resource=a&resource=b", "resource=a&resource=b"),
        ] {
            assert_eq!(rewritten(body, FormCredentials::AsPresented).as_deref(), Ok(expected), "{body}");
        }
    }

    #[test]
    fn made_credentials_take_the_place_of_the_presented_ones() {
        let made = FormCredentials::Made { id: b"up", secret: b"s+1" };
        for (body, credentials, expected) in [
            ("client_secret=x&a=1&client_id=y", made, "client_secret=s%2B1&a=1&client_id=up"),
            ("a=1", made, "a=1&client_id=up&client_secret=s%2B1"),
            ("client_id=y&a=1", made, "client_id=up&a=1&client_secret=s%2B1"),
            ("client_id=y&a=1&client_secret=x", FormCredentials::None, "a=1"),
            ("client_id=y", FormCredentials::None, ""),
        ] {
            assert_eq!(rewritten(body, credentials).as_deref(), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            "client_id=a&client_id=b",
            "client_secret=a&client_secret=a",
            "grant_type=a&grant_type=b",
            "scope=&scope=",
            "client%5Fid=a&client_id=a",
            "a=%zz",
            "a=%2",
            "a=%",
            "%zz=1",
            "a=%ff",
            "a=%c3",
            "=x",
            "client_id[]=c2",
            "client_id%5B0%5D=c2",
            "client.id=c2",
            "CLIENT_ID=c2",
            "Client_Secret=x",
            "+client_id=c2",
            "client_id%00=c2",
            "client_id%20=c2",
            "client-id=c2",
            "client[id=c2",
            "client+id=c2",
            "%0Aclient_secret=x",
            "client_assertion%5B%5D=x",
        ] {
            assert_eq!(Form::parse(body.as_bytes()).err(), Some(Unreadable::Malformed), "{body}");
        }
        let many = |n: usize| (0..n).map(|i| format!("p{i}=1&")).collect::<String>();
        assert!(Form::parse(many(100).as_bytes()).is_ok());
        assert!(Form::parse(many(101).as_bytes()).is_err());
        assert!(Form::parse(format!("{}=1", "n".repeat(129)).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_a_written_form_reads_the_same(body: Vec<u8>) {
            if let Ok(form) = Form::parse(&body) {
                let mut once = Vec::new();
                form.write(FormCredentials::AsPresented, &mut once);
                let mut twice = Vec::new();
                Form::parse(&once).unwrap().write(FormCredentials::AsPresented, &mut twice);
                prop_assert_eq!(once, twice);
            }
        }

        #[test]
        fn a_written_form_means_what_was_sent(pairs in proptest::collection::vec(("[a-z]{1,8}", "\\PC{0,12}"), 0..8)) {
            let mut seen = std::collections::HashSet::new();
            let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect();
            let body = serde_urlencoded::to_string(&pairs).unwrap();
            let mut out = Vec::new();
            Form::parse(body.as_bytes()).unwrap().write(FormCredentials::AsPresented, &mut out);
            let read: Vec<(String, String)> = serde_urlencoded::from_bytes(&out).unwrap();
            prop_assert_eq!(read, pairs);
        }
    }
}
