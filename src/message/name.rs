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
                let candidates: &[(Self, &str)] = match name.len() {
                    $($length => &[$((Self::$name, $text)),+],)+
                    _ => &[],
                };
                let found = candidates.iter().find(|(_, known)| is(name, known.as_bytes()));
                found.map_or(Self::Other, |(known, _)| *known)
            }

            /// As it is written; empty for one that means nothing to us.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => $text,)+)+
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

/// Whether two names of one length are the same. In a known one there are small letters, digits and hyphens, to which this
/// bit folds no other character that a name can have (RFC 9110 section 5.6.2).
fn is(name: &[u8], known: &[u8]) -> bool {
    // The ends of a longer one first, eight bytes each: of most names they are all of it.
    let far = match (name.first_chunk(), name.last_chunk(), known.first_chunk(), known.last_chunk()) {
        (Some(front), Some(back), Some(known_front), Some(known_back)) => {
            let folded = |eight: &[u8; 8]| u64::from_ne_bytes(*eight) | u64::from_ne_bytes([0x20; 8]);
            let same =
                folded(front) == u64::from_ne_bytes(*known_front) && folded(back) == u64::from_ne_bytes(*known_back);
            if !same || name.len() <= 16 {
                return same;
            }
            name.get(8..name.len() - 8).zip(known.get(8..known.len() - 8))
        }
        _ => Some((name, known)),
    };
    far.is_some_and(|(name, known)| name.iter().zip(known).all(|(byte, known)| byte | 0x20 == *known))
}

impl Name {
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
