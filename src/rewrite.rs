//! Step 8: the request that the upstream sees, written anew from what was understood. Nothing is forwarded by accident.
//!
//! Headers come from an allow-list or are made here; the form is decoded once and encoded once; the credentials stand
//! where the mode wants them: the client's own at the upstream (replace), the presented ones (forward), or none and an
//! identity header (assert).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use zeroize::Zeroizing;

use crate::config::clients::UpstreamMethod;
use crate::config::settings::kinds::CredentialMode;
use crate::config::settings::upstream::{HostPolicy, Upstream};
use crate::domain::oauth::{AuthMethod, BasicEncoding};
use crate::domain::secret::Secret;
use crate::extract::basic::{self, Scheme};
use crate::extract::form::{Form, FormCredentials};
use crate::extract::percent;
use crate::forwarded::Caller;
use crate::head::{AUTH0_CLIENT, DPOP, Head, IDEMPOTENCY_KEY, TRACEPARENT, TRACESTATE, X_REQUEST_ID};
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
    pub uri: Uri,
    /// The checked fields.
    pub head: &'r Head<'r>,
    /// All fields, of which the allowed ones pass.
    pub headers: &'r HeaderMap,
    /// Who called.
    pub caller: &'r Caller,
    /// The request's id.
    pub request_id: HeaderValue,
    /// Whether browsers call here, so that Origin passes.
    pub cors: bool,
}

/// A request for the upstream. Only this module makes one. It holds a secret and refuses to print.
pub struct Outbound {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Outbound {
    /// As it goes over HTTP/2.
    pub fn to_request<B>(&self, body: impl FnOnce(Bytes) -> B) -> http::Request<B> {
        let mut request = http::Request::new(body(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// As it goes over HTTP/1.1 (RFC 9112 section 3). No type in it can hold the end of a line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        line(&[self.method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
        for (name, value) in &self.headers {
            line(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        line(&[b"\r\n", &self.body]);
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
    let mut headers = headers(original, rules);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let mut body = Vec::with_capacity(256);
    let presented = original.head.authorization;
    match passage {
        Passage::Carried(_) => {
            copy_authorization(presented, &mut headers);
            form.write(FormCredentials::AsPresented, &mut body);
        }
        Passage::Verified(verified) => match (&verified.client().upstream, secret) {
            (Some(identity), Some(secret)) => {
                replace(Some(verified.method()), identity, secret, form, &mut headers, &mut body);
            }
            _ if rules.credential == CredentialMode::Assert => {
                headers.insert(rules.assert_header.clone(), identity_value(verified));
                form.write(FormCredentials::None, &mut body);
            }
            _ if verified.method() == AuthMethod::Basic => {
                copy_authorization(presented, &mut headers);
                form.write(FormCredentials::None, &mut body);
            }
            _ => form.write(FormCredentials::AsPresented, &mut body),
        },
        Passage::Entrusted(entrusted) => match secret {
            Some(secret) => replace(None, entrusted.identity(), secret, form, &mut headers, &mut body),
            None => form.write(FormCredentials::None, &mut body),
        },
    }
    // Said even of an empty form: a POST without a length is refused by some servers (RFC 9110 section 8.6).
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Outbound { method: Method::POST, uri: original.uri.clone(), headers, body: Bytes::from(body) }
}

/// Writes a CORS preflight anew, for endpoints that browsers call.
pub fn preflight(original: &Original<'_>, rules: &Upstream) -> Outbound {
    let mut headers = headers(original, rules);
    for name in [header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS] {
        if let Some(value) = original.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    Outbound { method: Method::OPTIONS, uri: original.uri.clone(), headers, body: Bytes::new() }
}

/// Writes a request for a public document anew: nothing of it says who asks, and the answer may be in any coding but a
/// compressed one.
pub fn document(original: &Original<'_>, rules: &Upstream) -> Outbound {
    let mut headers = made(original, rules);
    for name in [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT, header::ORIGIN] {
        for value in original.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    Outbound { method: Method::GET, uri: original.uri.clone(), headers, body: Bytes::new() }
}

fn headers(original: &Original<'_>, rules: &Upstream) -> HeaderMap {
    let mut out = made(original, rules);
    for (name, value) in original.headers {
        match pass(name, original.cors, rules) {
            Pass::No => {}
            Pass::Once => {
                out.entry(name).or_insert_with(|| value.clone());
            }
            Pass::Each => {
                out.append(name, value.clone());
            }
        }
    }
    out
}

/// What is made here: the Host, the request's id, and who called.
fn made(original: &Original<'_>, rules: &Upstream) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(16);
    let host = match &rules.host {
        HostPolicy::Preserve => original.head.host.cloned(),
        HostPolicy::Fixed(name) => Some(name.clone()),
        HostPolicy::Upstream => None,
    };
    let host = host.or_else(|| HeaderValue::from_str(rules.target.authority()).ok());
    if let Some(host) = host {
        out.insert(header::HOST, host);
    }
    out.insert(X_REQUEST_ID.clone(), original.request_id.clone());
    original.caller.write(&mut out);
    out
}

enum Pass {
    No,
    Once,
    Each,
}

/// The allow-list.
fn pass(name: &HeaderName, cors: bool, rules: &Upstream) -> Pass {
    match *name {
        header::ACCEPT | header::ACCEPT_LANGUAGE => Pass::Each,
        header::USER_AGENT => Pass::Once,
        header::ORIGIN if cors => Pass::Once,
        header::HOST | header::CONTENT_TYPE | header::CONTENT_LENGTH | header::AUTHORIZATION | header::CONNECTION => {
            Pass::No
        }
        _ if *name == TRACESTATE => Pass::Each,
        _ if [&DPOP, &TRACEPARENT, &IDEMPOTENCY_KEY, &AUTH0_CLIENT].contains(&name) => Pass::Once,
        _ if rules.pass_headers.contains(name) => Pass::Each,
        _ => Pass::No,
    }
}

fn copy_authorization(presented: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let Some(value) = presented else { return };
    let anew = match basic::scheme(value.as_bytes()) {
        Scheme::Basic(encoded) => HeaderValue::from_bytes(&Zeroizing::new([b"Basic ", encoded].concat())),
        Scheme::Other => Ok(value.clone()),
        Scheme::Malformed => return,
    };
    if let Ok(mut value) = anew {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}

/// Puts the upstream's own credentials in. Where none were `presented` whose method could be kept, that is Basic, which
/// every server must take (RFC 6749 section 2.3.1).
fn replace(
    presented: Option<AuthMethod>,
    identity: &UpstreamIdentity,
    secret: &Secret,
    form: &Form<'_>,
    headers: &mut HeaderMap,
    body: &mut Vec<u8>,
) {
    let by_basic = match identity.method {
        UpstreamMethod::Same => presented != Some(AuthMethod::Post),
        UpstreamMethod::Basic => true,
        UpstreamMethod::Post => false,
    };
    let (id, secret) = (identity.id.as_str().as_bytes(), secret.expose());
    if !by_basic {
        return form.write(FormCredentials::Made { id, secret }, body);
    }
    form.write(FormCredentials::None, body);
    let value = match identity.basic_encoding {
        BasicEncoding::Raw => basic::write(id, secret),
        BasicEncoding::Rfc6749 => {
            let (mut coded_id, mut coded_secret) = (Vec::new(), Zeroizing::new(Vec::with_capacity(secret.len() * 3)));
            percent::encode(id, &mut coded_id);
            percent::encode(secret, &mut coded_secret);
            basic::write(&coded_id, &coded_secret)
        }
    };
    if let Ok(mut value) = HeaderValue::from_str(&value) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}

/// The client's id for the identity header: visible ASCII as it is, everything else and `%` itself percent-encoded.
fn identity_value(verified: &Verified) -> HeaderValue {
    use std::fmt::Write;
    let mut text = String::new();
    for byte in verified.client().key.id.as_str().bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
