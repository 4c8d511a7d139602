//! The PROXY protocol, versions 1 and 2: what a load balancer says before the first byte of a connection's own.
//!
//! Strict and bounded: what is not exactly a header is none, and the connection ends. TLVs are skipped. Of a connection
//! that it speaks for itself (LOCAL), or of whose origin it knows nothing (UNKNOWN, UNSPEC, a unix socket), it tells no
//! address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// A header of `length` bytes, which tells the address of the caller, or none.
    Whole {
        /// Its bytes; what follows is the connection's own.
        length: usize,
        /// Where the connection came from.
        source: Option<IpAddr>,
    },
    /// The beginning of one.
    Partial,
    /// None, and it cannot become one.
    Malformed,
}

/// The longest first version's header, its line end included (section 2.1).
const MOST_V1: usize = 107;
const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// A second version's fixed part: signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// What may follow that: addresses, and TLVs that a certificate's names can make long. It could be 64 KiB.
const MOST_V2: usize = 4096;

/// Reads what the bytes of a connection begin with.
pub fn read(bytes: &[u8]) -> Preamble {
    if begins(bytes, V2) {
        return if bytes.len() < FIXED { Preamble::Partial } else { second(bytes).unwrap_or(Preamble::Malformed) };
    }
    if !begins(bytes, V1) {
        return Preamble::Malformed;
    }
    let most = bytes.get(..MOST_V1).unwrap_or(bytes);
    let end = most.windows(2).position(|two| two == b"\r\n");
    match end.and_then(|end| most.get(..end)) {
        Some(line) => {
            first(line).map_or(Preamble::Malformed, |source| Preamble::Whole { length: line.len() + 2, source })
        }
        None if bytes.len() < MOST_V1 => Preamble::Partial,
        None => Preamble::Malformed,
    }
}

/// Whether as much as is here of the bytes is as it must begin.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

/// A line of the first version, without its end.
fn first(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ').skip(1);
    match words.next()? {
        // The rest is to be ignored.
        "UNKNOWN" => Some(None),
        "TCP4" => addresses::<Ipv4Addr>(words).map(|source| Some(source.into())),
        "TCP6" => addresses::<Ipv6Addr>(words).map(|source| Some(source.into())),
        _ => None,
    }
}

/// Source and destination, then their ports, and nothing else; gives the source.
fn addresses<'l, A: FromStr>(words: impl Iterator<Item = &'l str>) -> Option<A> {
    let words: Vec<_> = words.collect();
    let [source, destination, from, to] = words.as_slice() else { return None };
    destination.parse::<A>().ok()?;
    let is_port = |word: &str| {
        word.bytes().all(|b| b.is_ascii_digit())
            && (word == "0" || !word.starts_with('0'))
            && word.parse::<u16>().is_ok()
    };
    (is_port(from) && is_port(to)).then_some(())?;
    source.parse().ok()
}

/// The second version; nothing where it is malformed.
fn second(bytes: &[u8]) -> Option<Preamble> {
    let (fixed, rest) = bytes.split_at_checked(FIXED)?;
    let [command, family, high, low] = fixed.get(V2.len()..)?.try_into().ok()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return None,
    };
    // Of each family and transport, as many bytes of addresses as it needs; others are not assigned.
    let needed = match family {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        // What LOCAL says beside its length is to be ignored.
        _ if local => 0,
        _ => return None,
    };
    if length > MOST_V2 || (length < needed && !local) {
        return None;
    }
    let Some(body) = rest.get(..length) else { return Some(Preamble::Partial) };
    let source = match family {
        _ if local => None,
        0x11 => Some(IpAddr::from(<[u8; 4]>::try_from(body.get(..4)?).ok()?)),
        0x21 => Some(IpAddr::from(<[u8; 16]>::try_from(body.get(..16)?).ok()?)),
        // Datagrams do not reach a listener of ours, and a unix socket's path is no address.
        _ => None,
    };
    Some(Preamble::Whole { length: FIXED + length, source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, body].concat()
    }

    fn v4() -> Vec<u8> {
        vec![192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb]
    }

    fn v6() -> Vec<u8> {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        [&address("2001:db8::7")[..], &address("::1"), &[0x30, 0x39, 0x01, 0xbb]].concat()
    }

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let line = |text: &str| text.as_bytes().to_vec();
        let tlv = [&[0x04, 0, 3][..], &[0, 0, 0], &[0xea, 0, 2], b"hi"].concat();
        vec![
            (line("PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\r\n"), Some("192.0.2.7")),
            (line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), Some("255.255.255.255")),
            (line("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n"), Some("2001:db8::7")),
            (
                line(&format!("PROXY TCP6 {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":"))),
                Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ),
            (line("PROXY UNKNOWN\r\n"), None),
            (line(&format!("PROXY UNKNOWN {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":"))), None),
            (second(0x21, 0x11, &v4()), Some("192.0.2.7")),
            (second(0x21, 0x21, &v6()), Some("2001:db8::7")),
            (second(0x21, 0x11, &[v4(), tlv.clone()].concat()), Some("192.0.2.7")),
            (second(0x21, 0x21, &[v6(), vec![0; 4060]].concat()), Some("2001:db8::7")),
            (second(0x20, 0x00, &[]), None),
            (second(0x20, 0x11, &v4()), None),
            (second(0x20, 0x77, b"x"), None),
            (second(0x21, 0x00, &tlv), None),
            (second(0x21, 0x31, &[b'/'; 216]), None),
            (second(0x21, 0x12, &v4()), None),
        ]
    }

    #[test]
    fn a_header_tells_the_source_and_ends_where_it_ends() {
        for (bytes, source) in good() {
            let whole = Preamble::Whole { length: bytes.len(), source: source.map(|text| text.parse().unwrap()) };
            for rest in [&b""[..], b"P", b"POST /token HTTP/1.1\r\n\r\n", &bytes] {
                assert_eq!(read(&[&bytes, rest].concat()), whole, "{}", bytes.escape_ascii());
            }
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Preamble::Partial, "{} cut at {cut}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_not_exactly_a_header_is_none() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(MOST_V1));
        for line in [
            "POST /token HTTP/1.1\r\n",
            "PROXY\r\n",
            "PROXY \r\n",
            "proxy TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 +1 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8  2\r\n",
            "PROXY TCP4 192.0.2.7  192.0.2.8 1 2\r\n",
            "PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n",
            "PROXY TCP4 192.0.2.07 192.0.2.8 1 2\r\n",
            "PROXY TCP4 192.0.2.7 here 1 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n\r\n",
            "PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n",
            "PROXY unknown\r\n",
            "\r\n\r\n\0\r\nQUIX\n",
            &long,
        ] {
            assert_eq!(read(line.as_bytes()), Preamble::Malformed, "{line}");
        }
        for bytes in [
            second(0x11, 0x11, &v4()),
            second(0x22, 0x11, &v4()),
            second(0x21, 0x11, &v4()[..11]),
            second(0x21, 0x21, &v6()[..35]),
            second(0x21, 0x31, &[0; 215]),
            second(0x21, 0x13, &v4()),
            second(0x21, 0x41, &v4()),
            second(0x21, 0x11, &[0; MOST_V2 + 1]),
        ] {
            assert_eq!(read(&bytes), Preamble::Malformed, "{}", bytes.escape_ascii());
            assert_eq!(read(&bytes[..FIXED]), Preamble::Malformed, "at once, not when all of it is here");
        }
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_an_answer(
            start in prop_oneof![Just(V1.to_vec()), Just(V2.to_vec()), Just(b"PROXY TCP4 1.2.3.4 ".to_vec())],
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [start, rest].concat();
            let all = read(&bytes);
            for cut in 0..bytes.len() {
                let some = read(&bytes[..cut]);
                prop_assert!(some == Preamble::Partial || some == all);
            }
        }
    }
}
