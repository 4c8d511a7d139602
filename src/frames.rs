//! HTTP/2 frames as they come in, told apart by their heads alone (RFC 9113 section 4.1): those that ask for nothing cost,
//! and a caller that sends more of them than it has earned by requests and time is cut off.
//!
//! Rapid resets, floods of PING and SETTINGS, and empty or endless frames have one thing in common: they make work and
//! never want an answer. The library beneath has limits for some of them; this one holds for all of them.

/// What every connection begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// What a caller may spend before it has earned anything, and at most: a browser begins with five PRIORITY frames, and a
/// program that gives up a hundred requests at once is heard.
const PURSE: u32 = 200;
/// An answered request earns more than any honest caller spends on one.
const PER_ANSWER: u32 = 8;
/// ... and so does a while without any: ten in a second.
const PER_TICK: u32 = 1;

/// The frames of one connection.
pub struct Meter {
    preface: usize,
    head: [u8; HEAD],
    have: usize,
    payload: usize,
    purse: u32,
    tick: u64,
}

impl Meter {
    /// A connection that begins, at a tick of a clock that ticks ten times a second.
    pub const fn new(tick: u64) -> Self {
        Self { preface: PREFACE.len(), head: [0; HEAD], have: 0, payload: 0, purse: PURSE, tick }
    }

    /// Requests were answered.
    pub const fn answered(&mut self, requests: u32) {
        self.earn(requests.saturating_mul(PER_ANSWER));
    }

    /// Goes over bytes as they come in. False once the caller has overspent.
    pub fn takes(&mut self, mut bytes: &[u8], tick: u64) -> bool {
        let ticks = u32::try_from(tick.saturating_sub(self.tick)).unwrap_or(u32::MAX);
        self.tick = tick;
        self.earn(ticks.saturating_mul(PER_TICK));
        skip(&mut bytes, &mut self.preface);
        while !bytes.is_empty() {
            skip(&mut bytes, &mut self.payload);
            let Some((next, rest)) = bytes.split_first() else { break };
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *next;
            }
            (bytes, self.have) = (rest, self.have + 1);
            if self.have == HEAD {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                let Some(left) = self.purse.checked_sub(cost(kind, flags, self.payload)) else { return false };
                self.purse = left;
            }
        }
        true
    }

    const fn earn(&mut self, earned: u32) {
        let purse = self.purse.saturating_add(earned);
        self.purse = if purse > PURSE { PURSE } else { purse };
    }
}

fn skip(bytes: &mut &[u8], count: &mut usize) {
    let skipped = bytes.len().min(*count);
    *count -= skipped;
    *bytes = bytes.get(skipped..).unwrap_or_default();
}

/// DATA below this, and not the end of it, is a crumb.
const CRUMB: usize = 64;
/// Flags of RFC 9113 section 6: the same bit ends a stream and acknowledges.
const END_STREAM_OR_ACK: u8 = 0x1;

const fn cost(kind: u8, flags: u8, length: usize) -> u32 {
    let ends_or_acknowledges = flags & END_STREAM_OR_ACK != 0;
    match kind {
        // DATA without data.
        0x0 if length == 0 && !ends_or_acknowledges => 2,
        // A form fits into one frame, or a few: crumbs of it are work.
        0x0 if length < CRUMB && !ends_or_acknowledges => 1,
        // DATA and HEADERS are what we are here for.
        0x0 | 0x1 => 0,
        // RST_STREAM: what it takes back was work.
        0x3 => 2,
        // SETTINGS and PING want to be acknowledged.
        0x4 | 0x6 if ends_or_acknowledges => 0,
        0x4 => 2,
        // PRIORITY, PING, WINDOW_UPDATE, CONTINUATION, and what nobody knows.
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        [&size[1..], &[kind, flags, 0, 0, 0, 1], &vec![0; length]].concat()
    }

    /// How many of these frames in a row are taken, of at most a thousand, in reads of so many bytes.
    fn taken(frame: &[u8], read: usize) -> usize {
        let mut meter = Meter::new(0);
        assert!(meter.takes(PREFACE, 0));
        (0..1000).take_while(|_| frame.chunks(read).all(|bytes| meter.takes(bytes, 0))).count()
    }

    #[test]
    fn what_asks_for_nothing_is_taken_for_a_while_and_what_asks_for_something_always() {
        for (what, frame, most) in [
            ("RST_STREAM", frame(0x3, 0, 4), 100),
            ("PING", frame(0x6, 0, 8), 200),
            ("PING, acknowledged", frame(0x6, 1, 8), 1000),
            ("SETTINGS", frame(0x4, 0, 0), 100),
            ("SETTINGS, acknowledged", frame(0x4, 1, 0), 1000),
            ("empty DATA", frame(0x0, 0, 0), 100),
            ("empty DATA that ends", frame(0x0, 1, 0), 1000),
            ("crumbs of DATA", frame(0x0, 0, 1), 200),
            ("a crumb that ends", frame(0x0, 1, 1), 1000),
            ("DATA", frame(0x0, 0, 100), 1000),
            ("HEADERS", frame(0x1, 4, 40), 1000),
            ("CONTINUATION", frame(0x9, 0, 5), 200),
            ("WINDOW_UPDATE", frame(0x8, 0, 4), 200),
            ("PRIORITY", frame(0x2, 0, 5), 200),
            ("unknown", frame(0xfe, 0, 70_000), 200),
        ] {
            for read in [1, 5, 9, 10, 64, 100_000] {
                assert_eq!(taken(&frame, read), most, "{what}, {read} bytes a read");
            }
        }
    }

    #[test]
    fn answers_and_time_earn_and_nothing_is_saved_up() {
        let reset = frame(0x3, 0, 4);
        let spend = |meter: &mut Meter, tick| (0..1000).take_while(|_| meter.takes(&reset, tick)).count();
        let begun = || Meter { preface: 0, ..Meter::new(7) };
        let mut answered = begun();
        for _ in 0..1000 {
            assert!(answered.takes(&reset, 7));
            answered.answered(1);
        }
        assert_eq!(spend(&mut answered, 7), 100);
        for (purse, tick, most) in [(0, 7, 0), (0, 17, 5), (0, 1_000_000, 100), (200, 1_000_000, 100)] {
            assert_eq!(spend(&mut Meter { purse, ..begun() }, tick), most, "{purse} at {tick}");
        }
    }
}
