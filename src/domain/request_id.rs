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

    /// One of our own: two numbers, in hex digits.
    pub fn made(high: u64, low: u64) -> Self {
        let mut digits = [0; 32];
        let eights = [high >> 32, high, low >> 32, low];
        for (to, eight) in digits.as_chunks_mut().0.iter_mut().zip(eights) {
            *to = swar::hex(eight & u64::from(u32::MAX));
        }
        Self(Text::Made(digits))
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
        assert_eq!(RequestId::made(0xfedc_ba98_7654_3210, 0x0f).as_str(), "fedcba9876543210000000000000000f");
    }
}
