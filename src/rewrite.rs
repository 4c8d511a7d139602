//! Step 8: the request that the upstream sees, written anew from what was understood. Nothing is forwarded by accident.
//!
//! Headers come from an allow-list or are made here; the form is decoded once and encoded once; the credentials stand
//! where the mode wants them: the client's own at the upstream (replace), the presented ones (forward), or none and an
//! identity header (assert).

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method};
use zeroize::Zeroizing;

use crate::config::clients::UpstreamMethod;
use crate::config::settings::kinds::CredentialMode;
use crate::config::settings::upstream::{HostPolicy, Upstream};
use crate::domain::oauth::{AuthMethod, BasicEncoding};
use crate::domain::request_id::RequestId;
use crate::domain::secret::Secret;
use crate::extract::basic::{self, Scheme};
use crate::extract::form::{Form, FormCredentials};
use crate::extract::percent;
use crate::forwarded::Caller;
use crate::head::Head;
use crate::message::fields::{Field, Fields, Value};
use crate::message::name::Name;
use crate::message::request;
use crate::registry::UpstreamIdentity;
use crate::verify::entrusted::Entrusted;
use crate::verify::{Carried, Verified};

/// Why a request may go on: a proven client, or an endpoint that lets it pass with what it carries.
#[derive(Clone, Copy)]
pub enum Passage<'v> {
    /// A verified client.
    Verified(&'v Verified),
    /// What the request carries, unverified, where the configuration says so.
    Carried(&'v Carried),
    /// A client of ours that needs to prove nothing here, and whose upstream secret is put in.
    Entrusted(&'v Entrusted),
}

/// What a rewritten request is made from.
pub struct Original<'r> {
    /// The path and query that the upstream sees.
    pub target: &'r str,
    /// The checked fields.
    pub head: &'r Head<'r>,
    /// All fields, of which the allowed ones pass.
    pub fields: &'r Fields,
    /// Who called.
    pub caller: &'r Caller,
    /// The request's id.
    pub request_id: RequestId,
    /// Whether browsers call here, so that Origin passes.
    pub cors: bool,
}

/// A request for the upstream. Only this module makes one. It holds a secret and refuses to print.
pub struct Outbound {
    /// As it goes over HTTP/1.1 (RFC 9112 section 3).
    text: Vec<u8>,
}

impl Outbound {
    /// As it goes over HTTP/1.1, head and body.
    pub fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// As it goes over HTTP/2: read back, so that there is one way to write a request.
    pub fn to_request<B>(&self, body: impl FnOnce(Bytes) -> B) -> Option<http::Request<B>> {
        let mut text = BytesMut::from(&*self.text);
        let head = request::read(&mut text, &mut 0, usize::MAX).ok()??.request;
        let target =
            [head.target.path(), head.target.query().map_or("", |_| "?"), head.target.query().unwrap_or_default()];
        let mut request = http::Request::new(body(text.freeze()));
        *request.method_mut() = head.method;
        *request.uri_mut() = target.concat().try_into().ok()?;
        *request.headers_mut() = head.fields.to_map();
        Some(request)
    }
}

/// Writes a token request anew. `secret` is the upstream secret to send, where the client has its own.
pub fn rewrite(
    original: &Original<'_>,
    form: &Form<'_>,
    passage: Passage<'_>,
    secret: Option<&Secret>,
    rules: &Upstream,
) -> Outbound {
    let mut text = Text::begin(&Method::POST, original, rules);
    text.pass(original, rules);
    text.line(Name::ContentType, b"application/x-www-form-urlencoded");
    let presented = original.head.authorization;
    let credentials = match passage {
        Passage::Carried(_) => {
            text.authorization(presented);
            FormCredentials::AsPresented
        }
        Passage::Verified(verified) => match (&verified.client().upstream, secret) {
            (Some(identity), Some(secret)) => replace(Some(verified.method()), identity, secret, &mut text),
            _ if rules.credential == CredentialMode::Assert => {
                text.named(&rules.assert_header, &identity_value(verified));
                FormCredentials::None
            }
            _ if verified.method() == AuthMethod::Basic => {
                text.authorization(presented);
                FormCredentials::None
            }
            _ => FormCredentials::AsPresented,
        },
        Passage::Entrusted(entrusted) => match secret {
            Some(secret) => replace(None, entrusted.identity(), secret, &mut text),
            None => FormCredentials::None,
        },
    };
    text.end_with(|body| form.write(credentials, body))
}

/// Writes a CORS preflight anew, for endpoints that browsers call.
pub fn preflight(original: &Original<'_>, rules: &Upstream) -> Outbound {
    let mut text = Text::begin(&Method::OPTIONS, original, rules);
    text.pass(original, rules);
    for name in [Name::AccessControlRequestMethod, Name::AccessControlRequestHeaders] {
        if let Some(value) = original.fields.get(name) {
            text.line(name, &value);
        }
    }
    text.end()
}

/// Writes a request for a public document anew: nothing of it says who asks, and the answer may be in any coding but a
/// compressed one.
pub fn document(original: &Original<'_>, rules: &Upstream) -> Outbound {
    let mut text = Text::begin(&Method::GET, original, rules);
    for name in [Name::Accept, Name::AcceptLanguage, Name::UserAgent, Name::Origin] {
        original.fields.all(name).for_each(|value| text.line(name, &value));
    }
    text.end()
}

/// A request as it is written, line by line.
struct Text(Vec<u8>);

/// Room for most requests whole.
const ROOM: usize = 1 << 10;
/// What stands between the other lines of a head and a body: the length, in so many digits at most.
const LENGTH: &[u8] = b"content-length: ";
const LENGTH_ROOM: usize = LENGTH.len() + 20 + 4;

impl Text {
    /// What is made here: the line, the Host, the request's id, and who called.
    fn begin(method: &Method, original: &Original<'_>, rules: &Upstream) -> Self {
        let mut text = Self(Vec::with_capacity(ROOM));
        text.put(&[method.as_str().as_bytes(), b" ", original.target.as_bytes(), b" HTTP/1.1\r\n"]);
        let host = match &rules.host {
            HostPolicy::Preserve => original.head.host,
            HostPolicy::Fixed(name) => Some(name.into()),
            HostPolicy::Upstream => None,
        };
        text.line(Name::Host, host.map_or(rules.target.authority().as_bytes(), Value::bytes));
        text.line(Name::XRequestId, original.request_id.bytes());
        text.put(&[original.caller.lines()]);
        text
    }

    /// A line. Whatever is put into one is a [`Value`], an id, or made of digits and letters: none holds the end of a line.
    fn line(&mut self, name: Name, value: &[u8]) {
        name.line(value, &mut self.0);
    }

    /// The same by a name that the configuration has for it.
    fn named(&mut self, name: &HeaderName, value: &[u8]) {
        self.put(&[name.as_str().as_bytes(), b": ", value, b"\r\n"]);
    }

    fn put(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
    }

    /// The fields that pass, by the names that we know them by.
    fn pass(&mut self, original: &Original<'_>, rules: &Upstream) {
        let mut passed = 0u64;
        for field in original.fields.iter() {
            match pass(field, original.cors, rules) {
                Pass::No => {}
                Pass::Once => {
                    let this = 1 << field.name as u8;
                    if passed & this == 0 {
                        self.line(field.name, &field.value);
                    }
                    passed |= this;
                }
                Pass::Each => self.line(field.name, &field.value),
                Pass::Named(name) => self.named(name, &field.value),
            }
        }
    }

    /// The credentials as they were presented.
    fn authorization(&mut self, presented: Option<Value<'_>>) {
        let Some(value) = presented else { return };
        match basic::scheme(&value) {
            Scheme::Basic(encoded) => self.put(&[b"authorization: Basic ", encoded, b"\r\n"]),
            Scheme::Other => self.line(Name::Authorization, &value),
            Scheme::Malformed => {}
        }
    }

    /// Ends a request without a body.
    fn end(mut self) -> Outbound {
        self.put(&[b"\r\n"]);
        Outbound { text: self.0 }
    }

    /// Ends a request with a body. Its length is said even of an empty one: a POST without is refused by some servers (RFC
    /// 9110 section 8.6). It is known when the body is written, which then moves up to it.
    fn end_with(mut self, write: impl FnOnce(&mut Vec<u8>)) -> Outbound {
        let at = self.0.len();
        self.0.resize(at + LENGTH_ROOM, b' ');
        write(&mut self.0);
        let body = at + LENGTH_ROOM..self.0.len();
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(body.len()).as_bytes();
        let mut end = at;
        for part in [LENGTH, digits, b"\r\n\r\n"] {
            if let Some(place) = self.0.get_mut(end..end + part.len()) {
                place.copy_from_slice(part);
            }
            end += part.len();
        }
        let length = body.len();
        self.0.copy_within(body, end);
        self.0.truncate(end + length);
        Outbound { text: self.0 }
    }
}

/// How a field passes.
enum Pass<'r> {
    No,
    Once,
    Each,
    /// By the name that the configuration has for it.
    Named(&'r HeaderName),
}

/// The allow-list.
fn pass<'r>(field: Field<'_>, cors: bool, rules: &'r Upstream) -> Pass<'r> {
    match field.name {
        Name::Accept | Name::AcceptLanguage | Name::Tracestate => Pass::Each,
        Name::UserAgent | Name::Dpop | Name::Traceparent | Name::IdempotencyKey | Name::Auth0Client => Pass::Once,
        Name::Origin if cors => Pass::Once,
        Name::Host
        | Name::ContentType
        | Name::ContentLength
        | Name::Authorization
        | Name::Connection
        | Name::XRequestId => Pass::No,
        _ => {
            let named =
                rules.pass_headers.iter().find(|name| field.written.eq_ignore_ascii_case(name.as_str().as_bytes()));
            named.map_or(Pass::No, Pass::Named)
        }
    }
}

/// Puts the upstream's own credentials in, and says which go into the form. Where none were `presented` whose method could be
/// kept, that is Basic, which every server must take (RFC 6749 section 2.3.1).
fn replace<'s>(
    presented: Option<AuthMethod>,
    identity: &'s UpstreamIdentity,
    secret: &'s Secret,
    text: &mut Text,
) -> FormCredentials<'s> {
    let by_basic = match identity.method {
        UpstreamMethod::Same => presented != Some(AuthMethod::Post),
        UpstreamMethod::Basic => true,
        UpstreamMethod::Post => false,
    };
    let (id, secret) = (identity.id.as_str().as_bytes(), secret.expose());
    if !by_basic {
        return FormCredentials::Made { id, secret };
    }
    let value = match identity.basic_encoding {
        BasicEncoding::Raw => basic::write(id, secret),
        BasicEncoding::Rfc6749 => {
            let (mut coded_id, mut coded_secret) = (Vec::new(), Zeroizing::new(Vec::with_capacity(secret.len() * 3)));
            percent::encode(id, &mut coded_id);
            percent::encode(secret, &mut coded_secret);
            basic::write(&coded_id, &coded_secret)
        }
    };
    text.line(Name::Authorization, value.as_bytes());
    FormCredentials::None
}

/// The client's id for the identity header: visible ASCII as it is, everything else and `%` itself percent-encoded.
fn identity_value(verified: &Verified) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in verified.client().key.id.as_str().bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(byte);
        } else {
            text.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::settings::Settings;
    use crate::config::settings::kinds::EndpointAuth;
    use crate::forwarded::Link;

    #[test]
    fn what_passes_is_on_the_list_and_reads_back_the_same_over_http2() {
        let text = "[upstream]\nurl = \"http://as:1\"\npass_headers = [\"x-pass\"]\n[clients]\npath = \"c\"\n";
        let rules = Settings::parse("f", text, &[], Path::new("")).0.unwrap().upstream;
        let lines = "Host: a.test\r\nACCEPT: x\r\nAccept: y\r\nUser-Agent: u\r\nUser-Agent: v\r\nCookie: c\r\nX-Pass: 1\r\n\
                     X-Request-Id: said\r\nX-PASS: 2\r\nX_Pass: 3\r\nOrigin: o\r\nAuthorization: Bearer t\r\nConnection: x-pass\r\n";
        let sent = format!("POST /t HTTP/1.1\r\n{lines}\r\n");
        let asked = request::read(&mut BytesMut::from(&*sent), &mut 0, 1 << 20).unwrap().unwrap().request;
        let head = Head::check(asked.version, &asked.fields).unwrap();
        let caller = Caller::of(&Link::plain("192.0.2.1".parse().unwrap()), &[], &asked.fields, head.host);
        let original = Original {
            target: "/up?a=b",
            head: &head,
            fields: &asked.fields,
            caller: &caller,
            request_id: RequestId::made([b'7'; 16], 0x7777_7777_7777_7777),
            cors: false,
        };
        let form = Form::parse(b"a=b&client_id=c").unwrap();
        let carried = Carried::without_secret(EndpointAuth::Optional).unwrap();
        let outbound = rewrite(&original, &form, Passage::Carried(&carried), None, &rules);
        let over_http2 = outbound.to_request(|body| body).unwrap();
        let made = format!("host: a.test\r\nx-request-id: {}\r\n", "7".repeat(32));
        let told = String::from_utf8(caller.lines().to_vec()).unwrap();
        let passed = "accept: x\r\naccept: y\r\nuser-agent: u\r\nx-pass: 1\r\nx-pass: 2\r\n";
        let ours =
            "content-type: application/x-www-form-urlencoded\r\nauthorization: Bearer t\r\ncontent-length: 15\r\n";
        let expected = format!("POST /up?a=b HTTP/1.1\r\n{made}{told}{passed}{ours}\r\na=b&client_id=c");
        assert_eq!(String::from_utf8(outbound.into_text()).unwrap(), expected);
        assert_eq!((over_http2.method(), over_http2.uri().to_string()), (&Method::POST, "/up?a=b".to_owned()));
        let read_back: String = over_http2
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()))
            .collect();
        assert_eq!(format!("{made}{told}{passed}{ours}"), read_back);
        assert!(
            over_http2.headers()["authorization"].is_sensitive(),
            "it would be kept for later requests to refer to"
        );
        assert_eq!(over_http2.body(), "a=b&client_id=c");
    }
}
