//! HTTP/2 frames as they come in, told apart by their heads alone (RFC 9113 section 4.1): those that ask for nothing cost,
//! and a caller that sends more of them than it has earned by requests and time is cut off.
//!
//! Rapid resets, floods of PING and SETTINGS, and empty or endless frames have one thing in common: they make work and
//! never want an answer. The library beneath has limits for some of them; this one holds for all of them.

/// What every connection begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// What a caller may spend before it has earned anything, and at most: a program that gives up as many requests at once as
/// a connection carries is heard.
const PURSE: u32 = 300;
/// An answer earns what it takes to acknowledge it, and less than taking its request back costs.
const PER_ANSWER: u32 = 2;
/// Bytes that we send earn the room that is made for more of them: one frame in this many.
const BYTES_A_FRAME: usize = 1024;
/// Time earns too: ten in a second.
const PER_TICK: u32 = 1;

/// The frames of one connection.
pub struct Meter {
    preface: usize,
    head: [u8; HEAD],
    have: usize,
    payload: usize,
    purse: u32,
    tick: u64,
    /// Bytes sent that have earned nothing yet.
    sent: usize,
    /// The last stream that the caller has opened.
    stream: u32,
}

impl Meter {
    /// A connection that begins, at a tick of a clock that ticks ten times a second.
    pub const fn new(tick: u64) -> Self {
        Self { preface: PREFACE.len(), head: [0; HEAD], have: 0, payload: 0, purse: PURSE, tick, sent: 0, stream: 0 }
    }

    /// Requests were answered.
    pub const fn answered(&mut self, requests: u32) {
        self.earn(requests.saturating_mul(PER_ANSWER));
    }

    /// Bytes went out.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        self.earn(u32::try_from(self.sent / BYTES_A_FRAME).unwrap_or(u32::MAX));
        self.sent %= BYTES_A_FRAME;
    }

    /// The last stream that the caller has opened; 0 before the first.
    pub const fn last_stream(&self) -> u32 {
        self.stream
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
                let [a, b, c, kind, flags, stream @ ..] = self.head;
                if kind == 0x1 {
                    self.stream = self.stream.max(u32::from_be_bytes(stream) & 0x7fff_ffff);
                }
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
/// RFC 9113 section 6.1.
const END_STREAM: u8 = 0x1;

const fn cost(kind: u8, flags: u8, length: usize) -> u32 {
    let ends = flags & END_STREAM != 0;
    match kind {
        // DATA without data.
        0x0 if length == 0 && !ends => 2,
        // A form fits into one frame, or a few: crumbs of it are work.
        0x0 if length < CRUMB && !ends => 1,
        // DATA and HEADERS are what we are here for.
        0x0 | 0x1 => 0,
        // RST_STREAM: what it takes back was work.
        0x3 => 3,
        // SETTINGS, of which a caller needs one or two.
        0x4 => 2,
        // PRIORITY, PING, its acknowledgement, WINDOW_UPDATE, CONTINUATION, and what nobody knows.
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
            ("PING", frame(0x6, 0, 8), 300),
            ("PING, acknowledged", frame(0x6, 1, 8), 300),
            ("SETTINGS", frame(0x4, 0, 0), 150),
            ("SETTINGS, acknowledged", frame(0x4, 1, 0), 150),
            ("empty DATA", frame(0x0, 0, 0), 150),
            ("empty DATA that ends", frame(0x0, 1, 0), 1000),
            ("crumbs of DATA", frame(0x0, 0, 1), 300),
            ("a crumb that ends", frame(0x0, 1, 1), 1000),
            ("DATA", frame(0x0, 0, 100), 1000),
            ("HEADERS", frame(0x1, 4, 40), 1000),
            ("CONTINUATION", frame(0x9, 0, 5), 300),
            ("WINDOW_UPDATE", frame(0x8, 0, 4), 300),
            ("PRIORITY", frame(0x2, 0, 5), 300),
            ("unknown", frame(0xfe, 0, 70_000), 300),
        ] {
            for read in [1, 5, 9, 10, 64, 100_000] {
                assert_eq!(taken(&frame, read), most, "{what}, {read} bytes a read");
            }
        }
    }

    #[test]
    fn answers_and_time_earn_and_nothing_is_saved_up() {
        let (reset, window) = (frame(0x3, 0, 4), frame(0x8, 0, 4));
        let begun = |purse| Meter { preface: 0, purse, ..Meter::new(7) };
        let spend = |meter: &mut Meter, tick| (0..1000).take_while(|_| meter.takes(&window, tick)).count();
        for (purse, tick, most) in [(0, 7, 0), (0, 17, 10), (0, 1_000_000, 300), (300, 1_000_000, 300)] {
            assert_eq!(spend(&mut begun(purse), tick), most, "{purse} at {tick}");
        }
        // Whoever takes back what was answered pays all the same.
        let mut answered = begun(300);
        let taken = (0..1000).take_while(|_| {
            answered.answered(1);
            answered.takes(&reset, 7)
        });
        assert_eq!(taken.count(), 298);
        let mut long = begun(0);
        (0..100).for_each(|_| long.sent(100));
        assert_eq!(spend(&mut long, 7), 9, "ten thousand bytes");
    }

    #[test]
    fn the_last_stream_is_known() {
        let mut meter = Meter::new(0);
        assert!(meter.takes(PREFACE, 0));
        assert_eq!(meter.last_stream(), 0);
        for (kind, stream, last) in [(0x1, 5u32, 5), (0x8, 9, 5), (0x1, 3, 5), (0x1, 0x8000_0007, 7)] {
            let frame = [&[0, 0, 0, kind, 0][..], &stream.to_be_bytes()].concat();
            assert!(meter.takes(&frame, 0));
            assert_eq!(meter.last_stream(), last);
        }
    }
}
