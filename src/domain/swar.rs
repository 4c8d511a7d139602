//! Eight bytes at once, in a register (SWAR): what most bytes are not is looked for without a look at each.
//!
//! A test gives the high bit of each byte that it finds. The first byte is the lowest.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES * 0x80;

/// The eight bytes at a place, where there are eight.
fn eight(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}

/// What is left at a place, one to seven bytes, and `filler` behind them.
fn tail(text: &[u8], at: usize, filler: u8) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    if let Some(last) = text.last_chunk() {
        let bits = 8 * rest.len();
        return u64::from_le_bytes(*last) >> (64 - bits) | (ONES * u64::from(filler)) << bits;
    }
    let mut eight = [filler; 8];
    eight.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
    u64::from_le_bytes(eight)
}

/// Which is this byte.
pub const fn equal(eight: u64, byte: u8) -> u64 {
    let other = eight ^ (ONES * byte as u64);
    !((other & !HIGH).wrapping_add(!HIGH) | other) & HIGH
}

/// Which is a control character (RFC 5234 appendix B.1): the lowest one found is, bits above it mean nothing.
pub const fn control(eight: u64) -> u64 {
    let low = eight.wrapping_sub(ONES * 0x20) & !eight;
    let delete = eight ^ (ONES * 0x7f);
    (low | delete.wrapping_sub(ONES) & !delete) & HIGH
}

/// Which is not of ASCII.
pub const fn beyond_ascii(eight: u64) -> u64 {
    eight & HIGH
}

/// The eight hex digits of a number of 32 bits, the highest first.
pub const fn hex(number: u64) -> [u8; 8] {
    let pairs = (number << 16 | number) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs << 8 | pairs) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes << 4 | bytes) & (ONES * 0x0f);
    // Those beyond nine carry into the fifth bit when six is added.
    let letters = (digits + ONES * 6) >> 4 & ONES;
    let beyond_nine = b'a' - b'0' - 10;
    (digits + ONES * b'0' as u64 + letters * beyond_nine as u64).to_be_bytes()
}

/// The place among the eight of the first that a test found; eight where it found none.
const fn first(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// Where a byte stands first, from a place on.
pub fn find(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    let mut rest = text.get(at..)?;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let found = equal(u64::from_le_bytes(*eight), byte);
        if found != 0 {
            return Some(text.len() - rest.len() + first(found));
        }
        rest = behind;
    }
    let found = rest.iter().position(|other| *other == byte)?;
    Some(text.len() - rest.len() + found)
}

/// Where a control character stands first, from a place on, or the end.
pub fn find_control(text: &[u8], at: usize) -> usize {
    let mut rest = text.get(at..).unwrap_or_default();
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let found = control(u64::from_le_bytes(*eight));
        if found != 0 {
            return text.len() - rest.len() + first(found);
        }
        rest = behind;
    }
    text.len() - rest.len() + rest.iter().position(u8::is_ascii_control).unwrap_or(rest.len())
}

/// Whether a test finds nothing in a text, nor in the filler that makes its end eight bytes.
pub fn none(text: &[u8], filler: u8, test: impl Fn(u64) -> u64) -> bool {
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        if test(u64::from_le_bytes(*eight)) != 0 {
            return false;
        }
        rest = behind;
    }
    rest.is_empty() || test(tail(text, text.len() - rest.len(), filler)) == 0
}

/// The places of two bytes in a text, in their order. Neither is zero.
pub struct Places<'t> {
    text: &'t [u8],
    bytes: [u8; 2],
    /// Behind the eight that were looked at last.
    next: usize,
    found: u64,
}

impl<'t> Places<'t> {
    /// Of these bytes in this text.
    pub const fn of(text: &'t [u8], bytes: [u8; 2]) -> Self {
        Self { text, bytes, next: 0, found: 0 }
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let [one, other] = self.bytes;
        while self.found == 0 {
            if self.next >= self.text.len() {
                return None;
            }
            // A filler that is neither.
            let eight = eight(self.text, self.next).unwrap_or_else(|| tail(self.text, self.next, 0));
            self.found = equal(eight, one) | equal(eight, other);
            self.next += 8;
        }
        let place = self.next - 8 + first(self.found);
        self.found &= self.found - 1;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lowest(bytes: [u8; 8], is: impl Fn(u8) -> bool) -> usize {
        bytes.iter().position(|byte| is(*byte)).unwrap_or(8)
    }

    proptest! {
        #[test]
        fn hex_digits_are_those_of_the_library(number: u32) {
            prop_assert_eq!(hex(number.into()).to_vec(), format!("{number:08x}").into_bytes());
        }

        #[test]
        fn each_test_finds_the_first_byte_that_it_is_for(bytes: [u8; 8], byte: u8, near in 0usize..8) {
            let mut bytes = bytes;
            for seen in [bytes, { bytes[near] = byte; bytes }] {
                let eight = eight(&seen, 0).unwrap();
                let each = seen.map(|other| if other == byte { 0x80 } else { 0 });
                prop_assert_eq!(equal(eight, byte), u64::from_le_bytes(each));
                prop_assert_eq!(first(control(eight)), lowest(seen, |byte| byte.is_ascii_control()));
                prop_assert_eq!(first(beyond_ascii(eight)), lowest(seen, |byte| !byte.is_ascii()));
            }
        }

        #[test]
        fn a_byte_is_found_where_it_stands(text in "[ab]{0,20}:?[ab:]{0,20}", at in 0usize..50) {
            let found = text.as_bytes().iter().skip(at).position(|byte| *byte == b':').map(|found| at + found);
            prop_assert_eq!(find(text.as_bytes(), at, b':'), found);
        }

        #[test]
        fn a_control_character_is_found_where_it_stands(text in "[a-c \\n\\x7f\u{e9}]{0,40}", at in 0usize..30) {
            let text = text.as_bytes();
            let found = text.iter().skip(at).position(u8::is_ascii_control).map(|found| at + found);
            prop_assert_eq!(find_control(text, at), found.unwrap_or(text.len()));
        }

        #[test]
        fn places_are_in_their_order(text in "[ab=&]{0,40}") {
            let expected: Vec<_> = text.match_indices(['=', '&']).map(|(at, _)| at).collect();
            prop_assert_eq!(Places::of(text.as_bytes(), *b"=&").collect::<Vec<_>>(), expected);
        }

        #[test]
        fn nothing_is_found_in_a_text_without(text in "[ab]{0,20}:?[ab]{0,20}") {
            prop_assert_eq!(none(text.as_bytes(), b'a', |eight| equal(eight, b':')), !text.contains(':'));
        }
    }
}
