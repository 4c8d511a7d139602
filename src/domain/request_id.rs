//! The id that ties a request to its lines in logs, here and at the upstream.

use super::swar;

/// An id that can be passed and logged: visible ASCII, and not much of it.
#[derive(Clone)]
pub struct RequestId(Text);

#[derive(Clone)]
enum Text {
    /// By us.
    Made([u8; 32]),
    /// By the caller.
    Said(Box<[u8]>),
}

/// The longest one that is taken over.
const LONGEST: usize = 128;

impl RequestId {
    /// What a caller says, if it is short and plain enough.
    pub fn said(text: &[u8]) -> Option<Self> {
        let is_one = (1..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        is_one.then(|| Self(Text::Said(text.into())))
    }

    /// One of our own: sixteen hex digits, and those of a number.
    pub fn made(first: [u8; 16], number: u64) -> Self {
        let mut text = [0; 32];
        let (front, back) = text.split_at_mut(16);
        front.copy_from_slice(&first);
        back.copy_from_slice(&hex(number));
        Self(Text::Made(text))
    }

    /// Whether it is one of our own, which has nothing in it to be escaped anywhere.
    pub const fn is_made(&self) -> bool {
        matches!(self.0, Text::Made(_))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Made(text) => text,
            Text::Said(text) => text,
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

/// The sixteen hex digits of a number.
pub fn hex(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let eights = [number >> 32, number & u64::from(u32::MAX)];
    digits.as_chunks_mut().0.iter_mut().zip(eights).for_each(|(to, eight)| *to = swar::hex(eight));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_plain_and_short() {
        for (text, is_one) in [("a", true), ("a b", false), ("", false), ("\u{e9}", false), ("a\r\nb", false)] {
            assert_eq!(RequestId::said(text.as_bytes()).is_some(), is_one, "{text:?}");
        }
        assert!(RequestId::said(&[b'x'; LONGEST]).is_some_and(|id| id.as_str().len() == LONGEST));
        assert!(RequestId::said(&[b'x'; LONGEST + 1]).is_none());
        let made = RequestId::made(hex(0xfedc_ba98_7654_3210), 0x0123_4567_89ab_000f);
        assert_eq!(made.as_str(), "fedcba98765432100123456789ab000f");
    }
}
