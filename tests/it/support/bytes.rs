//! Bytes as a test wants to see them: searched, escaped, written in every
//! disguise under which a secret could slip out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// True if `needle` occurs in `hay`; an empty needle occurs nowhere.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    find(hay, needle).is_some()
}

/// Where `needle` first stands in `hay`.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    memchr::memmem::find(hay, needle)
}

/// One printable line: `\r`, `\n`, `\xNN` for what a terminal would swallow, cut
/// in the middle when it is longer than a person reads.
pub(crate) fn escape(bytes: &[u8]) -> String {
    const SHOWN: usize = 1500;
    let plain = |part: &[u8]| part.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'");
    if bytes.len() <= SHOWN {
        return plain(bytes);
    }
    let (head, rest) = bytes.split_at(SHOWN / 2);
    let (hidden, tail) = rest.split_at(rest.len() - SHOWN / 2);
    format!("{} ...{} bytes... {}", plain(head), hidden.len(), plain(tail))
}

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes standard base64, `None` if it is not.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The value of an `Authorization` header for this id and secret, taken as they are.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", base64(format!("{id}:{secret}").as_bytes()))
}

/// The `hash` field of a record: how a list keeps a generated secret.
pub(crate) fn sha256_record(secret: &[u8]) -> String {
    format!("$sha256${}", URL_SAFE_NO_PAD.encode(Sha256::digest(secret)))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every spelling under which `secret` would still be readable by a person with
/// the log in hand: itself, quoted, form-encoded, hex, base64 in both alphabets
/// and at each of the three alignments, and the bare digest of its record.
pub(crate) fn disguises(secret: &str) -> Vec<Vec<u8>> {
    let raw = secret.as_bytes();
    let quoted = serde_json::to_string(secret).unwrap();
    let mut all = vec![
        raw.to_vec(),
        quoted.as_bytes()[1..quoted.len() - 1].to_vec(),
        secret.escape_debug().to_string().into_bytes(),
        super::form::encode(secret).into_bytes(),
        super::form::encode(secret).replace('+', "%20").into_bytes(),
        hex(raw).into_bytes(),
        hex(raw).to_uppercase().into_bytes(),
        sha256_record(raw).trim_start_matches("$sha256$").as_bytes().to_vec(),
        hex(&Sha256::digest(raw)).into_bytes(),
    ];
    for lead in 0..3 {
        // Inside a longer base64 text the secret starts at one of three bit
        // offsets: drop the characters that it shares with its neighbours.
        let padded = [&b"\0\0\0"[..lead], raw].concat();
        let skip = [0, 2, 3][lead];
        let whole = padded.len() / 3 * 4;
        for text in [STANDARD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let core = text.get(skip..whole).unwrap_or_default();
            if core.len() >= 8 {
                all.push(core.as_bytes().to_vec());
            }
        }
    }
    all.sort();
    all.dedup();
    all
}
