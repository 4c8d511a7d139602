//! Where a request came from: what throttling goes by, and what logs and sightings tell. And who is believed about it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A caller's whereabouts. Over a unix socket there is no address, and none is made up: the kernel vouches for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An address.
    Address(IpAddr),
    /// A unix socket, and the id of the user at its other end.
    Unix(u32),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix(user) => write!(f, "unix:{user}"),
        }
    }
}

/// The text is no source.
#[derive(Debug, thiserror::Error)]
#[error("expected an address or unix: and a user id")]
pub struct NoSource;

impl FromStr for Source {
    type Err = NoSource;
    fn from_str(text: &str) -> Result<Self, NoSource> {
        match text.strip_prefix("unix:") {
            Some(user) => user.parse().map(Self::Unix).map_err(|_| NoSource),
            None => text.parse().map(Self::Address).map_err(|_| NoSource),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whose word is taken for where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Who calls from this network.
    Network(IpNet),
    /// Who can open a unix socket of ours.
    Unix,
}

impl TrustedProxy {
    /// `unix`, a network or an address.
    pub fn parse(text: &str) -> Option<Self> {
        let address = || text.parse().ok().map(|address: IpAddr| address.into());
        if text == "unix" { Some(Self::Unix) } else { text.parse().ok().or_else(address).map(Self::Network) }
    }
}

impl Source {
    /// Whether it is one of these.
    pub fn is_trusted(self, trusted: &[TrustedProxy]) -> bool {
        trusted.iter().any(|proxy| match (proxy, self) {
            (TrustedProxy::Network(network), Self::Address(address)) => network.contains(&address),
            (TrustedProxy::Unix, Self::Unix(_)) => true,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_it_is_written() {
        for text in ["127.0.0.1", "2001:db8::1", "unix:0", "unix:4294967295"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(serde_json::to_string(&serde_json::from_str::<Source>(&json).unwrap()).unwrap(), json);
        }
        for bad in ["", "unix", "unix:", "unix:x", "unix:-1", "unix:4294967296", "localhost", "127.0.0.1:80"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_unix_socket_is_trusted_by_name_only() {
        let trusted = |list: &[&str], source: &str| {
            let list: Vec<_> = list.iter().map(|text| TrustedProxy::parse(text).unwrap()).collect();
            source.parse::<Source>().unwrap().is_trusted(&list)
        };
        assert!(trusted(&["10.0.0.0/8"], "10.1.2.3") && trusted(&["::1"], "::1") && trusted(&["unix"], "unix:7"));
        assert!(!trusted(&["0.0.0.0/0", "::/0"], "unix:0") && !trusted(&["unix"], "127.0.0.1") && !trusted(&[], "::1"));
        assert!(["", "unix:", "localhost", "10.0.0.0/33"].iter().all(|bad| TrustedProxy::parse(bad).is_none()));
    }
}
