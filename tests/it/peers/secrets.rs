//! Secrets that programs write in different ways, and the clients that hold them.

use crate::support::bytes;
use crate::support::toml_text::quote;

/// A client on its way from one secret to the next, both difficult in the same way.
pub(super) struct Rotating {
    /// Its id, as difficult as its secrets.
    pub(super) id: &'static str,
    /// The secret that goes.
    pub(super) old: String,
    /// The secret that comes.
    pub(super) new: String,
}

/// How far the rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Only the old secret.
    Before,
    /// Both.
    During,
    /// The old one is revoked.
    After,
}

impl Rotating {
    /// Letters, digits and `_`: every program writes them alike.
    pub(super) fn plain() -> Self {
        Self { id: "my-client_1", old: "rls_4fK9dQ2mZ7xW".to_owned(), new: "rls_Yt5Nn0cR8bVe".to_owned() }
    }

    /// Every character that RFC 6749 allows (VSCHAR), `%` not followed by hex digits and a space not at an end.
    pub(super) fn hard() -> Self {
        let old: String = vschars_from('@');
        let new = old.chars().rev().collect();
        Self { id: "hard.client~2", old, new }
    }

    /// Well-formed as an encoding of something else: sent raw, it decodes to another secret without a complaint.
    pub(super) fn trap() -> Self {
        Self { id: "trap client+3", old: "x%41y+z".to_owned(), new: "%2Bq+r%2541s".to_owned() }
    }

    /// One of each.
    pub(super) fn all() -> [Self; 3] {
        [Self::plain(), Self::hard(), Self::trap()]
    }

    /// Its entry in the list. `upstream` is what stands in `[client.upstream]`; empty for a client without.
    pub(super) fn entry(&self, phase: Phase, upstream: &str) -> String {
        let record = |name: &str, secret: &str, status: &str| {
            let hash = bytes::sha256_record(secret.as_bytes());
            format!("[[client.secret]]\nid = \"{name}\"\nhash = \"{hash}\"\nstatus = \"{status}\"\n")
        };
        let mut entry = format!("[[client]]\nid = {}\n", quote(self.id));
        if !upstream.is_empty() {
            entry += &format!("[client.upstream]\n{upstream}\n");
        }
        entry += &record("old", &self.old, if phase == Phase::After { "revoked" } else { "active" });
        if phase != Phase::Before {
            entry += &record("new", &self.new, "active");
        }
        entry
    }

    /// Each secret by the id of its record, and whether it works in a phase.
    pub(super) fn secrets(&self, phase: Phase) -> [(&str, &str, bool); 2] {
        [("old", &self.old, phase != Phase::After), ("new", &self.new, phase != Phase::Before)]
    }
}

/// Every VSCHAR, beginning with one and going round.
pub(super) fn vschars_from(first: char) -> String {
    (first..='~').chain(' '..first).collect()
}
