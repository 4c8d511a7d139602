//! bcrypt as `$2a$`, `$2b$` and `$2y$`, which are the same for every secret that we take; and Django's
//! `bcrypt_sha256$$2b$..`, the bcrypt of the hexadecimal SHA-256.
//!
//! bcrypt sees 72 bytes. A longer secret is refused, as Hydra refuses it at the comparison: systems that cut it (Spring,
//! PHP) would take any secret that begins alike, and a record stands for one.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::slow::{Scheme, Slow};
use super::{Kept, Unreadable};

/// 16 takes some seconds; the lower bound is the format's own.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;
const LONGEST: usize = 72;
/// Bits that bcrypt does not use, in the last characters of salt and key, are set by some old writers.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

pub(super) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    prehashed: bool,
}

/// Reads either form.
pub(super) fn read(text: &str) -> Result<Kept, Unreadable> {
    let plain = text.strip_prefix("bcrypt_sha256$");
    let hash = plain.unwrap_or(text);
    if hash.contains(' ') && hash.split(' ').all(|one| one.len() == 60 && one.starts_with("$2")) {
        return Err(Unreadable::Unsupported("two bcrypt hashes in one: write two records"));
    }
    if hash.starts_with("$2x$") || hash.starts_with("$2$") {
        return Err(Unreadable::Unsupported("a bcrypt hash of a faulty old version"));
    }
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|version| hash.strip_prefix(version));
    let (cost, coded) = rest.and_then(|rest| rest.split_once('$')).ok_or(Unreadable::Malformed)?;
    let cost: u32 = cost.parse().ok().filter(|_| cost.len() == 2).ok_or(Unreadable::Malformed)?;
    let (salt, key) = coded.split_at_checked(22).ok_or(Unreadable::Malformed)?;
    let salt = BASE64.decode(salt).ok().and_then(|salt| salt.try_into().ok()).ok_or(Unreadable::Malformed)?;
    let key = BASE64.decode(key).ok().filter(|key| key.len() == 23).ok_or(Unreadable::Malformed)?;
    if !(4..=31).contains(&cost) {
        return Err(Unreadable::Malformed);
    }
    if !COSTS.contains(&cost) {
        return Err(Unreadable::TooCostly(format!("bcrypt with a cost of {cost}; 16 is the most")));
    }
    Ok(Slow::kept(Scheme::Bcrypt(Bcrypt { cost, salt, prehashed: plain.is_some() }), key))
}

impl Bcrypt {
    pub(super) fn derive(&self, presented: &[u8], out: &mut [u8]) -> Option<()> {
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
        if self.prehashed {
            let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(presented)));
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
            text.extend(digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        } else {
            text.extend_from_slice(presented.get(..presented.len().min(LONGEST + 1))?);
        }
        if text.len() > LONGEST {
            return None;
        }
        // The NUL at the end belongs to it, unless the 72 bytes are full.
        if text.len() < LONGEST {
            text.push(0);
        }
        let derived = Zeroizing::new(bcrypt::bcrypt(self.cost, self.salt, &text));
        out.copy_from_slice(derived.get(..out.len())?);
        Some(())
    }

    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        vec![self.cost.to_be_bytes().to_vec(), self.salt.to_vec(), vec![u8::from(self.prehashed)]]
    }
}
