//! Who called, as told to the upstream: X-Forwarded-For, -Proto, -Host, Forwarded (RFC 7239) and Client-Cert (RFC 9440),
//! always made anew.
//!
//! What the caller says about itself is believed only where it came through a trusted proxy, and then from right to
//! left: the first address that is not a trusted proxy's is the caller. A unix socket has no address to tell of: there is
//! no X-Forwarded-For then, and Forwarded says `for=unknown`.
//!
//! A certificate is told of the caller alone: that of a connection which a trusted proxy made is the proxy's own, the same
//! for every user behind it, and a token bound to it (RFC 8705) would be anybody's there. Behind one, the certificate is
//! what the proxy says it is.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::domain::host::is_host;
use crate::domain::source::{Source, TrustedProxy};
use crate::message::fields::{Fields, Value};
use crate::message::name::Name;

/// What a connection itself tells of who is at its other end.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it comes from.
    pub peer: Source,
    /// Whether it came to us through TLS.
    pub secure: bool,
    /// The certificate that was verified, as the Client-Cert header has it (RFC 9440 section 2.1).
    pub client_cert: Option<HeaderValue>,
}

impl Link {
    /// One that tells nothing but where it comes from.
    pub const fn plain(peer: Source) -> Self {
        Self { peer, secure: false, client_cert: None }
    }

    /// One through TLS, with the certificate (DER) that the other end proved to be its own.
    pub fn secure(peer: Source, certificate: Option<&[u8]>) -> Self {
        let value = |der| HeaderValue::try_from(format!(":{}:", STANDARD.encode(der))).ok();
        Self { peer, secure: true, client_cert: certificate.and_then(value) }
    }

    const fn proto(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// A caller: where it called from and what is told about it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What throttling and logs go by.
    pub address: Source,
    proto: &'static str,
    host: Option<Box<str>>,
    /// What the upstream is told, as lines of a head.
    lines: Box<[u8]>,
    /// Whether another request over the same connection would be told about alike.
    of_connection: bool,
}

impl Caller {
    /// Tells the caller of a request that came over a connection for `host`.
    pub fn of(link: &Link, trusted: &[TrustedProxy], fields: &Fields, host: Option<Value<'_>>) -> Self {
        let peer = link.peer;
        let host = host.and_then(Value::text);
        if !peer.is_trusted(trusted) {
            let certificate = link.client_cert.as_ref().map(Value::from);
            return Self { of_connection: true, ..Self::told(peer, &[peer], link.proto(), host, certificate) };
        }
        let said = chain(fields);
        let mut believed = vec![peer];
        for address in said.iter().rev() {
            let Some(address) = address else { break };
            believed.push(Source::Address(*address));
            if !Source::Address(*address).is_trusted(trusted) {
                break;
            }
        }
        let address = believed.last().copied().unwrap_or(peer);
        let proto = match last_item(fields, Name::XForwardedProto) {
            Some(said) if said.eq_ignore_ascii_case(b"https") => "https",
            Some(_) => "http",
            None => link.proto(),
        };
        let said_host = last_item(fields, Name::XForwardedHost).filter(|host| is_host(host));
        let host = said_host.and_then(|host| std::str::from_utf8(host).ok()).or(host);
        Self::told(address, &believed, proto, host, said_certificate(fields))
    }

    /// The Host that the caller asked for, as far as we know; the upstream is told so.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The scheme by which the caller asked, as far as we know; the upstream is told so.
    pub const fn proto(&self) -> &'static str {
        self.proto
    }

    fn told(
        address: Source,
        hops: &[Source],
        proto: &'static str,
        host: Option<&str>,
        client_cert: Option<Value<'_>>,
    ) -> Self {
        let mut lines = Vec::with_capacity(256);
        let mut line = |name: Name, value: &[u8]| name.line(value, &mut lines);
        if let Some(hops) = line_of(hops) {
            line(Name::XForwardedFor, hops.as_bytes());
        }
        line(Name::XForwardedProto, proto.as_bytes());
        if let Some(host) = host {
            line(Name::XForwardedHost, host.as_bytes());
        }
        line(Name::Forwarded, element(address, proto, host).as_bytes());
        if let Some(client_cert) = client_cert {
            line(Name::ClientCert, &client_cert);
        }
        Self { address, proto, host: host.map(Into::into), lines: lines.into(), of_connection: false }
    }

    /// Whether this serves for the next request of its connection too.
    pub fn serves(&self, host: Option<Value<'_>>) -> bool {
        self.of_connection && self.host.as_deref().map(str::as_bytes) == host.map(Value::bytes)
    }

    /// What the upstream is told, as lines of a head.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// One element of Forwarded (RFC 7239 section 4).
fn element(address: Source, proto: &str, host: Option<&str>) -> String {
    let mut line = String::with_capacity(96);
    let _infallible = match address {
        Source::Address(IpAddr::V4(address)) => write!(line, "for={address};proto={proto}"),
        Source::Address(IpAddr::V6(address)) => write!(line, "for=\"[{address}]\";proto={proto}"),
        Source::Unix(_) => write!(line, "for=unknown;proto={proto}"),
    };
    if let Some(host) = host {
        let _infallible = write!(line, ";host=\"{host}\"");
    }
    line
}

/// What the nearest proxy says: it stands last, whether a proxy adds a line or an item to what the caller wrote itself.
fn last_item(fields: &Fields, name: Name) -> Option<&[u8]> {
    let line = fields.all(name).next_back()?;
    line.bytes().rsplit(|b| *b == b',').next().map(<[u8]>::trim_ascii)
}

/// The certificate that a proxy tells of: one field, and nothing in it but a byte sequence (RFC 8941 section 3.3.5). Of two,
/// one may be what the caller wrote itself.
fn said_certificate(fields: &Fields) -> Option<Value<'_>> {
    let field = fields.only(Name::ClientCert).ok()??;
    let encoded = field.strip_prefix(b":")?.strip_suffix(b":")?;
    let whole = STANDARD.decode(encoded).is_ok_and(|der| !der.is_empty());
    whole.then_some(field)
}

/// The addresses from the farthest to the nearest hop. A unix socket has none.
fn line_of(hops: &[Source]) -> Option<String> {
    let addresses = hops.iter().rev().filter(|hop| matches!(hop, Source::Address(_)));
    let line = addresses.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!line.is_empty()).then_some(line)
}

/// What the fields say, from the farthest to the nearest hop; a hop that gives no address is a gap that is not crossed.
fn chain(fields: &Fields) -> Vec<Option<IpAddr>> {
    // Split before it is text: one odd byte of the caller's must not take the proxy's item of the same line with it.
    let items = |name: Name| {
        let items = fields.all(name).flat_map(Value::words);
        items.map(|item| std::str::from_utf8(item).unwrap_or_default()).collect::<Vec<_>>()
    };
    if fields.has(Name::XForwardedFor) {
        return items(Name::XForwardedFor).into_iter().map(address).collect();
    }
    let hop = |item: &str| {
        let pairs = item.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).find_map(|(_, value)| address(value))
    };
    items(Name::Forwarded).into_iter().map(hop).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inside, _)| inside);
    let parsed = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;

    /// What the upstream is told under a name; empty where it is told nothing.
    fn line<'c>(caller: &'c Caller, name: &str) -> &'c str {
        let lines = std::str::from_utf8(caller.lines()).unwrap().split_terminator("\r\n");
        lines.filter_map(|line| line.split_once(": ")).find(|line| line.0 == name).map_or("", |line| line.1)
    }

    fn caller(link: &Link, trusted: &[TrustedProxy], headers: &HeaderMap, host: Option<&HeaderValue>) -> Caller {
        Caller::of(link, trusted, &Fields::of_map(headers), host.map(Value::from))
    }

    fn told(peer: &str, lines: &[(&'static str, &'static str)]) -> (String, String, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8", "fd00::/8", "unix"].map(|text| TrustedProxy::parse(text).unwrap());
        let trusted = if peer == "unix:1" { &trusted[..2] } else { &trusted[..] };
        let host = HeaderValue::from_static("as.test");
        let caller = caller(&Link::plain(peer.parse().unwrap()), trusted, &headers, Some(&host));
        let get = |name: &str| line(&caller, name).to_owned();
        (caller.address.to_string(), get("x-forwarded-for"), get("forwarded"))
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let (address, forwarded_for, forwarded) = told(
            "192.0.2.1",
            &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1"), ("x-forwarded-proto", "https")],
        );
        assert_eq!((address.as_str(), forwarded_for.as_str()), ("192.0.2.1", "192.0.2.1"));
        assert_eq!(forwarded, "for=192.0.2.1;proto=http;host=\"as.test\"");
    }

    #[test]
    fn a_trusted_proxy_is_believed_from_right_to_left() {
        for (lines, address, forwarded_for) in [
            (vec![("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.9")], "1.2.3.4", "1.2.3.4, 10.0.0.9, 10.0.0.1"),
            (vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            (vec![("x-forwarded-for", "1.2.3.4, garbage, 10.0.0.9")], "10.0.0.9", "10.0.0.9, 10.0.0.1"),
            (vec![("x-forwarded-for", "1.2.3.4, 10.0.0.9, ")], "10.0.0.1", "10.0.0.1"),
            (vec![("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1", "2001:db8::1, 10.0.0.1"),
            (
                vec![("forwarded", "for=\"[2001:db8::1]\";proto=https, for=10.0.0.9")],
                "2001:db8::1",
                "2001:db8::1, 10.0.0.9, 10.0.0.1",
            ),
            (vec![], "10.0.0.1", "10.0.0.1"),
        ] {
            let told = told("10.0.0.1", &lines);
            assert_eq!((told.0.as_str(), told.1.as_str()), (address, forwarded_for), "{lines:?}");
        }
        // Not text in one item takes no other with it, and is not crossed.
        for (line, address) in [
            (&b"\xe9, 1.2.3.4, 10.0.0.9"[..], "1.2.3.4"),
            (b"1.2.3.4, \xe9, 10.0.0.9", "10.0.0.9"),
            (b"6.6.6.6, 1.2.3.4\xff", "10.0.0.1"),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_bytes(line).unwrap(),
            )]);
            let trusted = [TrustedProxy::parse("10.0.0.0/8").unwrap()];
            let caller = caller(&Link::plain("10.0.0.1".parse().unwrap()), &trusted, &headers, None);
            assert_eq!(caller.address.to_string(), address, "{}", line.escape_ascii());
        }
        let told = told(
            "10.0.0.1",
            &[("x-forwarded-for", "2001:db8::1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.test")],
        );
        assert_eq!(told.2, "for=\"[2001:db8::1]\";proto=https;host=\"a.test\"");
    }

    #[test]
    fn a_unix_socket_has_no_address_and_none_is_made_up() {
        let stranger = told("unix:1", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")]);
        assert_eq!(stranger, ("unix:1".into(), String::new(), "for=unknown;proto=http;host=\"as.test\"".into()));
        let proxy =
            told("unix:2", &[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.9"), ("x-forwarded-proto", "https")]);
        let forwarded = "for=1.2.3.4;proto=https;host=\"as.test\"";
        assert_eq!(proxy, ("1.2.3.4".into(), "1.2.3.4, 10.0.0.9".into(), forwarded.into()));
        assert_eq!(told("unix:2", &[]).0, "unix:2", "a trusted proxy that tells nothing");
    }

    #[test]
    fn tls_and_the_certificate_are_told_of_the_link_itself_or_by_a_trusted_proxy() {
        let trusted = [TrustedProxy::parse("10.0.0.0/8").unwrap()];
        let secure = |peer: &str| Link::secure(peer.parse().unwrap(), Some(b"\x30\x82der"));
        for (link, said, proto, cert) in [
            (secure("192.0.2.1"), "http", "https", Some(":MIJkZXI=:")),
            (secure("10.0.0.1"), "http", "http", Some(":c2FpZA==:")),
            (secure("10.0.0.1"), "", "https", Some(":c2FpZA==:")),
            (Link::secure("192.0.2.1".parse().unwrap(), None), "", "https", None),
            (Link::secure("10.0.0.1".parse().unwrap(), None), "", "https", Some(":c2FpZA==:")),
            (Link::plain("192.0.2.1".parse().unwrap()), "https", "http", None),
            (Link::plain("10.0.0.1".parse().unwrap()), "https", "https", Some(":c2FpZA==:")),
            (Link::plain("10.0.0.1".parse().unwrap()), "", "http", Some(":c2FpZA==:")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("client-cert", HeaderValue::from_static(":c2FpZA==:"));
            if !said.is_empty() {
                headers.insert("x-forwarded-proto", HeaderValue::from_static(said));
            }
            let caller = caller(&link, &trusted, &headers, None);
            assert_eq!(line(&caller, "x-forwarded-proto"), proto, "{link:?} {said}");
            assert_eq!(line(&caller, "client-cert"), cert.unwrap_or_default(), "{link:?}");
        }
    }

    #[test]
    fn a_proxys_own_certificate_is_nobodys_behind_it() {
        let trusted = [TrustedProxy::parse("10.0.0.0/8").unwrap()];
        let link = Link::secure("10.0.0.1".parse().unwrap(), Some(b"\x30\x82the proxy's"));
        for (said, expected) in [
            (&[":c2FpZA==:"][..], Some(":c2FpZA==:")),
            (&[], None),
            (&[":c2FpZA==:", ":c2FpZA==:"], None),
            (&[":c2FpZA==:, :c2FpZA==:"], None),
            (&[":c2FpZA==:;a=1"], None),
            (&["c2FpZA=="], None),
            (&[":c2FpZA==:x"], None),
            (&[":c2FpZA:"], None),
            (&[":c2 FpZA==:"], None),
            (&[":c2FpZA-_:"], None),
            (&["::"], None),
            (&[":"], None),
            (&[""], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("client-cert", HeaderValue::from_static(value));
            }
            let caller = caller(&link, &trusted, &headers, None);
            assert_eq!(line(&caller, "client-cert"), expected.unwrap_or_default(), "{said:?}");
        }
    }
}
