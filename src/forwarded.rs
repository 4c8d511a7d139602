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
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::domain::source::{Source, TrustedProxy};

static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

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
    forwarded_for: Option<HeaderValue>,
    proto: HeaderValue,
    host: Option<HeaderValue>,
    element: HeaderValue,
    client_cert: Option<HeaderValue>,
    /// Whether another request over the same connection would be told about alike.
    of_connection: bool,
}

impl Caller {
    /// Tells the caller of a request that came over a connection for `host`.
    pub fn of(link: &Link, trusted: &[TrustedProxy], headers: &HeaderMap, host: Option<&HeaderValue>) -> Self {
        let peer = link.peer;
        if !peer.is_trusted(trusted) {
            return Self::told(link, peer, &[peer], link.proto(), host);
        }
        let said = chain(headers);
        let mut believed = vec![peer];
        for address in said.iter().rev() {
            let Some(address) = address else { break };
            believed.push(Source::Address(*address));
            if !Source::Address(*address).is_trusted(trusted) {
                break;
            }
        }
        let address = believed.last().copied().unwrap_or(peer);
        let proto = match last_item(headers, &PROTO) {
            Some(said) if said.eq_ignore_ascii_case(b"https") => "https",
            Some(_) => "http",
            None => link.proto(),
        };
        let said_host = last_item(headers, &HOST).filter(|host| crate::domain::host::is_host(host));
        let said_host = said_host.and_then(|host| HeaderValue::from_bytes(host).ok());
        let host = said_host.as_ref().or(host);
        let told = Self::told(link, address, &believed, proto, host);
        Self { of_connection: false, client_cert: said_certificate(headers), ..told }
    }

    /// The Host that the caller asked for, as far as we know; the upstream is told so.
    pub const fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// The scheme by which the caller asked, as far as we know; the upstream is told so.
    pub const fn proto(&self) -> &HeaderValue {
        &self.proto
    }

    fn told(link: &Link, address: Source, hops: &[Source], proto: &'static str, host: Option<&HeaderValue>) -> Self {
        let element = element(address, proto, host.and_then(|host| host.to_str().ok()));
        let (forwarded_for, proto) = (line(hops), HeaderValue::from_static(proto));
        let (host, client_cert) = (host.cloned(), link.client_cert.clone());
        Self { address, forwarded_for, proto, host, element, client_cert, of_connection: true }
    }

    /// Whether this serves for the next request of its connection too.
    pub fn serves(&self, host: Option<&HeaderValue>) -> bool {
        self.of_connection && self.host.as_ref() == host
    }

    /// Writes what the upstream is told.
    pub fn write(&self, out: &mut HeaderMap) {
        if let Some(forwarded_for) = &self.forwarded_for {
            out.insert(FOR.clone(), forwarded_for.clone());
        }
        out.insert(PROTO.clone(), self.proto.clone());
        if let Some(host) = &self.host {
            out.insert(HOST.clone(), host.clone());
        }
        out.insert(FORWARDED, self.element.clone());
        if let Some(client_cert) = &self.client_cert {
            out.insert(CLIENT_CERT.clone(), client_cert.clone());
        }
    }
}

/// One element of Forwarded (RFC 7239 section 4).
fn element(address: Source, proto: &str, host: Option<&str>) -> HeaderValue {
    let mut line = String::with_capacity(96);
    let _infallible = match address {
        Source::Address(IpAddr::V4(address)) => write!(line, "for={address};proto={proto}"),
        Source::Address(IpAddr::V6(address)) => write!(line, "for=\"[{address}]\";proto={proto}"),
        Source::Unix(_) => write!(line, "for=unknown;proto={proto}"),
    };
    if let Some(host) = host {
        let _infallible = write!(line, ";host=\"{host}\"");
    }
    HeaderValue::try_from(line).unwrap_or_else(|_| HeaderValue::from_static("for=unknown"))
}

/// What the nearest proxy says: it stands last, whether a proxy adds a line or an item to what the caller wrote itself.
fn last_item<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let line = headers.get_all(name).iter().next_back()?;
    line.as_bytes().rsplit(|b| *b == b',').next().map(<[u8]>::trim_ascii)
}

/// The certificate that a proxy tells of: one field, and nothing in it but a byte sequence (RFC 8941 section 3.3.5). Of two,
/// one may be what the caller wrote itself.
fn said_certificate(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(&CLIENT_CERT).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let encoded = field.as_bytes().strip_prefix(b":")?.strip_suffix(b":")?;
    let whole = STANDARD.decode(encoded).is_ok_and(|der| !der.is_empty());
    whole.then(|| field.clone())
}

/// The addresses from the farthest to the nearest hop. A unix socket has none.
fn line(hops: &[Source]) -> Option<HeaderValue> {
    let addresses = hops.iter().rev().filter(|hop| matches!(hop, Source::Address(_)));
    let line = addresses.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!line.is_empty()).then(|| HeaderValue::try_from(line).unwrap_or_else(|_| HeaderValue::from_static("unknown")))
}

/// What the headers say, from the farthest to the nearest hop; a hop that gives no address is a gap that is not crossed.
fn chain(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    // Split before it is text: one odd byte of the caller's must not take the proxy's item of the same line with it.
    let items = |name: &HeaderName| {
        let items = headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
        items.map(|item| std::str::from_utf8(item.trim_ascii()).unwrap_or_default()).collect::<Vec<_>>()
    };
    if headers.contains_key(&FOR) {
        return items(&FOR).into_iter().map(address).collect();
    }
    let hop = |item: &str| {
        let pairs = item.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).find_map(|(_, value)| address(value))
    };
    items(&FORWARDED).into_iter().map(hop).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inside, _)| inside);
    let parsed = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, lines: &[(&'static str, &'static str)]) -> (String, String, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8", "fd00::/8", "unix"].map(|text| TrustedProxy::parse(text).unwrap());
        let trusted = if peer == "unix:1" { &trusted[..2] } else { &trusted[..] };
        let host = HeaderValue::from_static("as.test");
        let caller = Caller::of(&Link::plain(peer.parse().unwrap()), trusted, &headers, Some(&host));
        let mut out = HeaderMap::new();
        caller.write(&mut out);
        let get = |name: &str| out.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
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
            let headers = HeaderMap::from_iter([(FOR.clone(), HeaderValue::from_bytes(line).unwrap())]);
            let trusted = [TrustedProxy::parse("10.0.0.0/8").unwrap()];
            let caller = Caller::of(&Link::plain("10.0.0.1".parse().unwrap()), &trusted, &headers, None);
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
                headers.insert(PROTO.clone(), HeaderValue::from_static(said));
            }
            let mut out = HeaderMap::new();
            Caller::of(&link, &trusted, &headers, None).write(&mut out);
            assert_eq!(out["x-forwarded-proto"], proto, "{link:?} {said}");
            assert_eq!(out.get("client-cert").map(|value| value.to_str().unwrap()), cert, "{link:?}");
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
            let name = CLIENT_CERT.clone();
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
            let mut out = HeaderMap::new();
            Caller::of(&link, &trusted, &headers, None).write(&mut out);
            assert_eq!(out.get(name).map(|value| value.to_str().unwrap()), expected, "{said:?}");
        }
    }
}
