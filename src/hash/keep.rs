//! How a secret that a caller brings is written down: a strong one as SHA-256, a weak one as argon2id.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::{of, write};
use crate::domain::secret::Secret;
use crate::domain::strength::weakness;

/// OWASP's first choice: 19 MiB, two passes, one lane.
const MEMORY: u32 = 19 << 10;
const PASSES: u32 = 2;

/// The written form of a secret. `salt` is from the operating system's random source. One that holds a NUL byte is kept as
/// SHA-256 however weak it is, because no slow hash would know it again.
pub fn keep(secret: &Secret, salt: [u8; 16]) -> String {
    let slow = weakness(secret).filter(|_| !secret.expose().contains(&0)).and_then(|_| argon2id(secret, &salt));
    slow.unwrap_or_else(|| write(&of(secret)))
}

fn argon2id(secret: &Secret, salt: &[u8; 16]) -> Option<String> {
    let params = Params::new(MEMORY, PASSES, 1, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    let context = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    context.hash_password_into(secret.expose(), salt, &mut *key).ok()?;
    let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(*key));
    Some(format!("$argon2id$v=19$m={MEMORY},t={PASSES},p=1${salt}${key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{Kept, read, sha256};

    #[test]
    fn a_strong_secret_is_kept_fast_and_a_weak_one_slow() {
        let kept = |text: &[u8]| read(&keep(&Secret::new(text.to_vec()), [7; 16])).unwrap();
        let strong = b"xGv2ZkQ8RtYw1LhNpB5sJd7FmCq4Ta9E";
        assert!(matches!(kept(strong), Kept::Fast(digest) if digest == sha256(strong)));
        assert!(matches!(kept(b"a\0b"), Kept::Fast(_)));
        let Kept::Slow(slow) = kept(b"correct horse") else { panic!("fast") };
        assert!(slow.verify(b"correct horse") && !slow.verify(b"correct hors"));
    }
}
