//! Secrets of our own making: `rls_`, 43 base62 characters (256 bits), then their CRC-32 in six more. Tokens for the admin
//! API are made alike and begin with `rlt_`.
//!
//! The prefix lets a scanner find a leaked one, the checksum lets it tell one from noise with nothing else at hand, and
//! the alphabet is written the same way by every client library, whether it form-encodes Basic credentials or not.

use zeroize::Zeroizing;

use crate::domain::secret::Secret;

/// What every generated secret starts with.
pub const PREFIX: &str = "rls_";
/// What every generated admin token starts with.
pub const TOKEN_PREFIX: &str = "rlt_";
const RANDOM: usize = 43;
const CHECK: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new secret. `fill` must fill its argument from the operating system's random source.
pub fn secret(fill: impl FnMut(&mut [u8])) -> Secret {
    made(PREFIX, fill)
}

/// A new admin token, from the same source.
pub fn token(fill: impl FnMut(&mut [u8])) -> Secret {
    made(TOKEN_PREFIX, fill)
}

fn made(prefix: &str, mut fill: impl FnMut(&mut [u8])) -> Secret {
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + RANDOM + CHECK));
    text.extend_from_slice(prefix.as_bytes());
    let random = Zeroizing::new(letters(ALPHABET, RANDOM, &mut fill));
    text.extend_from_slice(&random);
    text.extend_from_slice(&checksum(&random));
    Secret::new(std::mem::take(&mut text))
}

/// A new secret id: `sec_` and ten random characters of `[a-z0-9]`.
pub fn secret_id(mut fill: impl FnMut(&mut [u8])) -> String {
    let tail = letters(b"0123456789abcdefghijklmnopqrstuvwxyz", 10, &mut fill);
    let mut id = String::from("sec_");
    id.extend(tail.iter().map(|b| char::from(*b)));
    id
}

/// A new client id, for who wants one made: 32 random characters of base62.
pub fn client_id(mut fill: impl FnMut(&mut [u8])) -> String {
    letters(ALPHABET, 32, &mut fill).into_iter().map(char::from).collect()
}

/// Whether a string is one of ours: prefix, length, alphabet and checksum. Says nothing about whose, or alive or dead.
pub fn is_ours(text: &[u8]) -> bool {
    begins_and_checks(PREFIX, text)
}

/// The same of an admin token.
pub fn is_token(text: &[u8]) -> bool {
    begins_and_checks(TOKEN_PREFIX, text)
}

/// Whether a string may be one of ours, or the better part of one: it is written down nowhere.
pub fn may_be_ours(text: &str) -> bool {
    text.starts_with(PREFIX) || text.starts_with(TOKEN_PREFIX)
}

fn begins_and_checks(prefix: &str, text: &[u8]) -> bool {
    text.strip_prefix(prefix.as_bytes())
        .filter(|rest| rest.len() == RANDOM + CHECK && rest.iter().all(|b| b.is_ascii_alphanumeric()))
        .and_then(|rest| rest.split_at_checked(RANDOM))
        .is_some_and(|(random, check)| check == checksum(random))
}

/// `count` letters of `alphabet`, each equally likely: bytes above the last whole multiple of its length are thrown away.
fn letters(alphabet: &[u8], count: usize, fill: &mut impl FnMut(&mut [u8])) -> Vec<u8> {
    let fair = 256 - 256 % alphabet.len();
    let mut out = Vec::with_capacity(count);
    let mut pool = Zeroizing::new([0u8; 64]);
    while out.len() < count {
        fill(&mut *pool);
        let wanted = count - out.len();
        let drawn = pool.iter().map(|b| usize::from(*b)).filter(|b| *b < fair);
        out.extend(drawn.filter_map(|b| alphabet.get(b % alphabet.len()).copied()).take(wanted));
    }
    out
}

/// The CRC-32 (IEEE) of the random part, in six base62 characters, most significant first.
fn checksum(random: &[u8]) -> [u8; CHECK] {
    let mut rest = crc32fast::hash(random);
    let mut out = [b'0'; CHECK];
    for place in out.iter_mut().rev() {
        *place = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> impl FnMut(&mut [u8]) {
        let mut next = 0u8;
        move |out| {
            out.iter_mut().for_each(|b| {
                *b = next;
                next = next.wrapping_add(37);
            })
        }
    }

    #[test]
    fn a_generated_secret_is_recognised_and_a_damaged_one_is_not() {
        let secret = secret(counter());
        let text = secret.expose().to_vec();
        assert_eq!(text.len(), 53);
        assert!(is_ours(&text));
        for at in 0..text.len() {
            let mut damaged = text.clone();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert!(!is_ours(&damaged), "changed at {at}");
            assert!(!is_ours(&text[..at]), "cut at {at}");
        }
    }

    #[test]
    fn a_token_and_a_secret_are_told_apart() {
        let (secret, token) = (secret(counter()), token(counter()));
        assert!(is_token(token.expose()) && !is_ours(token.expose()));
        assert!(is_ours(secret.expose()) && !is_token(secret.expose()));
        assert_eq!(secret.expose()[4..], token.expose()[4..]);
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        // CRC-32/IEEE of "123456789" is 0xCBF43926 = 3421780262,.
        assert_eq!(&checksum(b"123456789"), b"3jZRME");
        assert_eq!(&checksum(b""), b"000000");
    }

    #[test]
    fn letters_beyond_the_fair_range_are_thrown_away() {
        let mut first = true;
        let drawn = letters(ALPHABET, 3, &mut |out: &mut [u8]| {
            out.fill(if first { 255 } else { 61 });
            first = false;
        });
        assert_eq!(drawn, b"zzz");
        assert!(crate::domain::ids::SecretId::parse(&secret_id(counter())).is_some());
    }
}
