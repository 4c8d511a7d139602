//! The signature of a web hook, as the Standard Webhooks specification has it: receivers verify it with its libraries.
//!
//! `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`. Of several keys each signs, so that a key can be changed
//! while the receiver knows the old one only, or the new one only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;

/// As written keys begin.
const PREFIX: &str = "whsec_";
/// Bytes of a key, as the specification wants them.
const LEAST: usize = 24;
const MOST: usize = 64;
/// Keys of one file: the old one and the new one, and room for a mistake.
const MOST_KEYS: usize = 4;

/// The keys of a receiver.
pub struct Keys(Vec<Zeroizing<Vec<u8>>>);

impl Keys {
    /// A key a line: base64 of 24 to 64 bytes, mostly after `whsec_`. The error does not quote it.
    pub fn parse(text: &Secret) -> Result<Self, &'static str> {
        let wrong = "expected whsec_ and base64 of 24 to 64 random bytes, a key a line";
        let text = std::str::from_utf8(text.expose()).map_err(|_| wrong)?;
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let key = Zeroizing::new(STANDARD.decode(line.strip_prefix(PREFIX).unwrap_or(line)).map_err(|_| wrong)?);
            if !(LEAST..=MOST).contains(&key.len()) {
                return Err(wrong);
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err("holds no key: put whsec_ and base64 of 32 random bytes there"),
            1..=MOST_KEYS => Ok(Self(keys)),
            _ => Err("holds more than four keys: the old one and the new one are enough"),
        }
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let one = |key: &Zeroizing<Vec<u8>>| {
            // A key of any length is one.
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        };
        self.0.iter().filter_map(one).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Keys, &'static str> {
        Keys::parse(&Secret::new(text.as_bytes().to_vec()))
    }

    /// The example of the specification's libraries.
    const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(text: &str) -> String {
        keys(text).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}")
    }

    #[test]
    fn it_is_the_one_of_the_specification() {
        for text in [KEY, &format!("whsec_{KEY}"), &format!("\n whsec_{KEY} \r\n\n")] {
            assert_eq!(sign(text), SIGNED, "{text:?}");
        }
    }

    #[test]
    fn every_key_signs() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = sign(&format!("{other}\nwhsec_{KEY}"));
        let parts: Vec<_> = both.split(' ').collect();
        assert_eq!((parts.len(), parts[0], parts[1]), (2, &*sign(&other), SIGNED));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_quoted() {
        let key = |bytes: usize| STANDARD.encode(vec![7; bytes]);
        for bad in ["", "\n\n", "whsec_", "canary", &key(23), &key(65), &format!("{}\n{}", key(32), key(8)), "\u{e9}"] {
            let why = keys(bad).err().unwrap();
            assert!(!why.contains("canary"), "{bad}: {why}");
        }
        assert!(keys(&key(24)).is_ok() && keys(&key(64)).is_ok());
        assert!(keys(&vec![key(32); 4].join("\n")).is_ok() && keys(&vec![key(32); 5].join("\n")).is_err());
    }
}
