//! The names of fields that mean something to us, told apart once, when a head is read.

/// Lists the names by length: one that came is compared with those of its own length alone.
macro_rules! names {
    ($($length:literal: { $($(#[$doc:meta])* $name:ident = $text:literal,)+ })+) => {
        /// The name of a field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Name {
            $($($(#[$doc])* $name,)+)+
            /// One that means nothing to us.
            Other,
        }

        impl Name {
            /// Which one it is, in any case.
            pub fn of(name: &[u8]) -> Self {
                let candidates: &[(Self, Ends, &str)] = match name.len() {
                    $($length => const { &[$((Self::$name, Ends::of($text.as_bytes()), $text)),+] },)+
                    _ => return Self::Other,
                };
                let ends = Ends::of(name);
                let is = |known: &Ends, text: &str| ends.are(known) && (name.len() <= 16 || is(name, text.as_bytes()));
                candidates.iter().find(|(_, known, text)| is(known, text)).map_or(Self::Other, |(known, ..)| *known)
            }

            /// As it is written; empty for one that means nothing to us.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => $text,)+)+
                    Self::Other => "",
                }
            }

            /// What a line begins with.
            const fn lead(self) -> &'static str {
                match self {
                    $($(Self::$name => concat!($text, ": "),)+)+
                    Self::Other => "",
                }
            }
        }

        #[cfg(test)]
        const ALL: &[(usize, &str, Name)] = &[$($(($length, $text, Name::$name),)+)+];
    };
}

names! {
    2: {
        /// RFC 9110 section 10.1.4.
        Te = "te",
    }
    4: {
        /// RFC 9110 section 7.2.
        Host = "host",
        /// DPoP proof (RFC 9449).
        Dpop = "dpop",
        /// RFC 9110 section 6.6.1.
        Date = "date",
        /// RFC 9110 section 8.8.3.
        Etag = "etag",
    }
    5: {
        /// RFC 9110 section 10.2.1.
        Allow = "allow",
    }
    6: {
        /// RFC 9110 section 12.5.1.
        Accept = "accept",
        /// RFC 9110 section 10.1.1.
        Expect = "expect",
        /// RFC 6454.
        Origin = "origin",
        /// RFC 9111 section 5.4.
        Pragma = "pragma",
        /// RFC 3230.
        Digest = "digest",
    }
    7: {
        /// RFC 9110 section 6.6.2.
        Trailer = "trailer",
        /// RFC 9110 section 7.8.
        Upgrade = "upgrade",
    }
    9: {
        /// RFC 7239.
        Forwarded = "forwarded",
    }
    10: {
        /// RFC 9110 section 7.6.1.
        Connection = "connection",
        /// RFC 9112 appendix C.2.2.
        KeepAlive = "keep-alive",
        /// RFC 9110 section 10.1.5.
        UserAgent = "user-agent",
        /// W3C Trace Context.
        Tracestate = "tracestate",
    }
    11: {
        /// RFC 9440.
        ClientCert = "client-cert",
        /// W3C Trace Context.
        Traceparent = "traceparent",
        /// RFC 9110 section 10.2.3.
        RetryAfter = "retry-after",
        /// RFC 1864.
        ContentMd5 = "content-md5",
        /// RFC 9530.
        ReprDigest = "repr-digest",
    }
    12: {
        /// RFC 9110 section 8.3.
        ContentType = "content-type",
        /// The id that ties logs together.
        XRequestId = "x-request-id",
        /// Telemetry of Auth0's SDKs.
        Auth0Client = "auth0-client",
    }
    13: {
        /// RFC 9110 section 11.6.2.
        Authorization = "authorization",
        /// RFC 9111 section 5.2.
        CacheControl = "cache-control",
    }
    14: {
        /// RFC 9110 section 8.6.
        ContentLength = "content-length",
        /// RFC 9530.
        ContentDigest = "content-digest",
    }
    15: {
        /// RFC 9110 section 12.5.4.
        AcceptLanguage = "accept-language",
        /// draft-ietf-httpapi-idempotency-key-header.
        IdempotencyKey = "idempotency-key",
        /// Who is nearest to us says who called it.
        XForwardedFor = "x-forwarded-for",
    }
    16: {
        /// RFC 9110 section 8.4.
        ContentEncoding = "content-encoding",
        /// An old mistake of clients.
        ProxyConnection = "proxy-connection",
        /// ... for which Host.
        XForwardedHost = "x-forwarded-host",
        /// RFC 9110 section 11.6.1.
        WwwAuthenticate = "www-authenticate",
    }
    17: {
        /// RFC 9112 section 6.1.
        TransferEncoding = "transfer-encoding",
        /// ... and by which scheme.
        XForwardedProto = "x-forwarded-proto",
    }
    18: {
        /// RFC 9110 section 11.7.1.
        ProxyAuthenticate = "proxy-authenticate",
    }
    25: {
        /// RFC 9110 section 11.7.3.
        ProxyAuthenticationInfo = "proxy-authentication-info",
        /// RFC 6797.
        StrictTransportSecurity = "strict-transport-security",
    }
    29: {
        /// The Fetch standard.
        AccessControlRequestMethod = "access-control-request-method",
    }
    30: {
        /// The Fetch standard.
        AccessControlRequestHeaders = "access-control-request-headers",
    }
}

/// Eight bytes from both ends of a name, or four, or two: of most names they are all of it.
#[derive(Clone, Copy)]
struct Ends(u64, u64);

impl Ends {
    const fn of(name: &[u8]) -> Self {
        if let (Some(front), Some(back)) = (name.first_chunk(), name.last_chunk()) {
            return Self(u64::from_le_bytes(*front), u64::from_le_bytes(*back));
        }
        if let (Some(front), Some(back)) = (name.first_chunk(), name.last_chunk()) {
            return Self(u32::from_le_bytes(*front) as u64, u32::from_le_bytes(*back) as u64);
        }
        if let (Some(front), Some(back)) = (name.first_chunk(), name.last_chunk()) {
            return Self(u16::from_le_bytes(*front) as u64, u16::from_le_bytes(*back) as u64);
        }
        Self(0, 0)
    }

    /// Whether they are those of a known name of the same length, in any case.
    const fn are(self, known: &Self) -> bool {
        same(self.0, known.0) && same(self.1, known.1)
    }
}

/// Whether a name is a known one of the same length, in any case.
fn is(name: &[u8], known: &[u8]) -> bool {
    name.iter().zip(known).all(|(byte, known)| same(u64::from(*byte), u64::from(*known)))
}

/// Whether bytes are known ones in any case: small letters, digits and hyphens. The letters have a bit that the others have
/// not; where it stands, the bit of the case does not count.
const fn same(bytes: u64, known: u64) -> bool {
    let letters = known & u64::from_le_bytes([0x40; 8]);
    (bytes ^ known) & !(letters >> 1) == 0
}

impl Name {
    /// Writes a line (RFC 9112 section 5). The value holds no end of one; the name means something to us.
    pub fn line(self, value: &[u8], out: &mut Vec<u8>) {
        debug_assert!(self != Self::Other, "a line without a name");
        debug_assert!(memchr::memchr3(b'\r', b'\n', b'\0', value).is_none(), "a second line in {self:?}");
        [self.lead().as_bytes(), value, b"\r\n"].iter().for_each(|part| out.extend_from_slice(part));
    }

    /// Whether it belongs to the connection and not to the message (RFC 9110 section 7.6.1).
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::TransferEncoding
                | Self::Te
                | Self::Trailer
                | Self::Upgrade
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::ProxyAuthenticate
                | Self::ProxyAuthenticationInfo
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case_and_by_nothing_else() {
        for (length, text, name) in ALL {
            assert_eq!(text.len(), *length, "{text}");
            assert_eq!(*text, text.to_ascii_lowercase());
            assert_eq!(name.as_str(), *text);
            assert_eq!(Name::of(text.as_bytes()), *name);
            assert_eq!(Name::of(text.to_ascii_uppercase().as_bytes()), *name);
            assert_eq!(Name::of(format!("{text}_").as_bytes()), Name::Other);
            // No byte of it may be another, whatever bits they share.
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut other = text.as_bytes().to_vec();
                    other[at] = byte;
                    let same = other.eq_ignore_ascii_case(text.as_bytes());
                    assert_eq!(Name::of(&other) == *name, same, "{:?}", other.escape_ascii().to_string());
                }
            }
            assert_eq!(
                Name::of(text.replace('-', "_").replace("te", "t_").as_bytes()),
                match text.contains("te") || text.contains('-') {
                    true => Name::Other,
                    false => *name,
                }
            );
        }
        assert_eq!(Name::of(b""), Name::Other);
    }
}
