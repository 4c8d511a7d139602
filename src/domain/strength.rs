//! Whether a secret could be guessed from its digest. An estimate from above: what it calls weak is weak.
//!
//! Bits are length times the logarithm of the alphabet that its characters come from, where repetition and sequences
//! count little. A sentence of words has fewer than this says; only a random secret has as many.

use std::fmt;

use crate::domain::mint;
use crate::domain::secret::Secret;

/// About 128, less what chance takes from a random text of just that strength.
const ENOUGH: f64 = 120.0;
/// So many in a row are no chance.
const RUN: usize = 4;
/// Fewer different characters than this are a pattern, however long.
const FEW: usize = 8;

/// Why a secret is weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It repeats one piece.
    Repeated,
    /// Much of it is a run such as `aaaa` or `1234`.
    Sequence,
    /// It has few different characters.
    FewCharacters,
    /// All of it is digits, or letters of one case, and it is not long enough for that.
    OneClass,
    /// It is short.
    TooShort,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeated => "it repeats one piece again and again",
            Self::Sequence => "much of it is a run such as aaaa or 1234",
            Self::FewCharacters => "it has few different characters",
            Self::OneClass => "all its characters are of one kind, and it is short for that",
            Self::TooShort => "it is too short",
        })
    }
}

/// What makes a secret weak; nothing where it is one of ours, or has about 128 bits.
pub fn weakness(secret: &Secret) -> Option<Weakness> {
    let text = secret.expose();
    if mint::is_ours(text) {
        return None;
    }
    let (alphabet, classes) = alphabet(text);
    let bits = |length: usize| f64::from(u32::try_from(length).unwrap_or(u32::MAX)) * alphabet.log2();
    let different = {
        let mut seen = [false; 256];
        text.iter().for_each(|byte| seen.iter_mut().skip(usize::from(*byte)).take(1).for_each(|seen| *seen = true));
        seen.into_iter().filter(|seen| *seen).count()
    };
    let piece = period(text);
    let counted = text.len() - in_runs(text);
    match () {
        () if bits(text.len()) < ENOUGH && classes == 1 && text.len() >= 20 => Some(Weakness::OneClass),
        () if bits(text.len()) < ENOUGH => Some(Weakness::TooShort),
        () if different < FEW => Some(Weakness::FewCharacters),
        () if piece < text.len() && bits(piece) < ENOUGH => Some(Weakness::Repeated),
        () if bits(counted) < ENOUGH => Some(Weakness::Sequence),
        () => None,
    }
}

/// How many characters the writer chose among, and of how many kinds they are.
fn alphabet(text: &[u8]) -> (f64, usize) {
    let has = |kind: fn(&u8) -> bool| text.iter().any(kind);
    let (digits, lower, upper) = (has(u8::is_ascii_digit), has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase));
    let marks = has(|byte| !byte.is_ascii_alphanumeric());
    let hex = text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') && !(lower && upper);
    let classes = [digits, lower, upper, marks].into_iter().filter(|has| *has).count();
    let kinds = [(digits, 10.0), (lower, 26.0), (upper, 26.0), (marks, 32.0)];
    let all = kinds.into_iter().filter(|(has, _)| *has).map(|(_, size)| size).sum::<f64>().max(1.0);
    (if hex { all.min(16.0) } else { all }, classes)
}

/// The length of the piece that all of it repeats, the last time perhaps in part; its own length where it repeats none.
fn period(text: &[u8]) -> usize {
    let repeats = |piece: &usize| text.iter().zip(text.iter().skip(*piece)).all(|(a, b)| a == b);
    (1..=text.len() / 2).find(repeats).unwrap_or(text.len())
}

/// Characters that follow from the ones before them, because they go on with a run.
fn in_runs(text: &[u8]) -> usize {
    let steps: Vec<i16> = text.iter().zip(text.iter().skip(1)).map(|(a, b)| i16::from(*b) - i16::from(*a)).collect();
    let runs = steps.chunk_by(|a, b| a == b).filter(|run| run.len() + 1 >= RUN);
    runs.filter(|run| run.first().is_some_and(|step| step.abs() <= 1)).map(|run| run.len() - 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weak_is_told_and_what_is_random_passes() {
        use Weakness::*;
        for (text, expected) in [
            ("", Some(TooShort)),
            ("secret", Some(TooShort)),
            ("Tr0ub4dor&3", Some(TooShort)),
            ("9f86d081884c7d65", Some(TooShort)),
            ("12345678901234567890", Some(OneClass)),
            ("thequickbrownfoxjumpso", Some(OneClass)),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Some(FewCharacters)),
            ("abcabcabcabcabcabcabcabcabcabcabcabcabcabc", Some(FewCharacters)),
            ("changeme-changeme-changeme-changeme-changeme", Some(Repeated)),
            ("S3cret!-S3cret!-S3cret!-S3cret!-S3cret!-", Some(Repeated)),
            ("production-A1-production-A1-production-A1-", Some(Repeated)),
            ("abcdefghijklmnopqrstuvwxyz0123456789", Some(Sequence)),
            // Random, as openssl rand -hex 16, uuidgen, a Keycloak, a Logto and an Azure secret are.
            ("e3b0c44298fc1c149afbf4c8996fb924", None),
            ("7d444840-9dc0-11d1-b245-5ffdce74fad2", None),
            ("xGv2ZkQ8RtYw1LhNpB5sJd7FmCq4Ta9E", None),
            ("aBc8Q~Xk29vLmNwRtY_sJd7FmCq4Ta9EoPz.hUgi", None),
            ("rls_Zk3Vt0QpLx8RfYh2NsW5mDc7GjBa4TuE9oKiXq1PwHz0vBV6i", None),
        ] {
            assert_eq!(weakness(&Secret::new(text.as_bytes().to_vec())), expected, "{text}");
        }
    }

    #[test]
    fn a_reason_is_given_in_words() {
        let all =
            [Weakness::Repeated, Weakness::Sequence, Weakness::FewCharacters, Weakness::OneClass, Weakness::TooShort];
        for weakness in all {
            assert!(weakness.to_string().starts_with(|first: char| first.is_ascii_lowercase()));
        }
    }
}
