//! Who asks, and what they count.

use std::fmt;
use std::net::SocketAddr;

use super::held::{Book, Must, Secret};
use crate::support::caller::Caller;

/// A client library: asks for a token with an id and a secret, and tells the status of the answer.
pub(crate) type Asks = Box<dyn FnMut(&str, &str) -> Result<u16, String> + Send>;

/// A library that knows the proxy's address only when there is one.
pub(crate) type Library = Box<dyn FnOnce(SocketAddr) -> Asks>;

/// One who asks again and again.
pub(super) struct Asking {
    by: By,
    dice: u64,
}

enum By {
    /// The bytes of a request over one kept-alive connection.
    Wire(Caller),
    Library(Asks),
}

/// So many plain callers, and the libraries.
pub(super) fn all(proxy: SocketAddr, plain: u64, libraries: Vec<Library>) -> Vec<Asking> {
    let wires = (0..plain).map(|_| By::Wire(Caller::connect(proxy).unwrap()));
    let libraries = libraries.into_iter().map(|library| By::Library(library(proxy)));
    let all = wires.chain(libraries).zip(1..);
    all.map(|(by, seed): (By, u64)| Asking { by, dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) }).collect()
}

impl Asking {
    /// Asks until it is over; counts what came of it.
    pub(super) fn ask_until(&mut self, book: &Book, over: impl Fn() -> bool) -> Tally {
        let mut tally = Tally::default();
        while !over() {
            let secret = book.pick(self.roll());
            let method = usize::from(self.dice & 1 == 1);
            let by = &mut self.by;
            let ask = || match by {
                // Nobody is shut out of its connection while nobody stops.
                By::Wire(wire) => match wire.ask(&secret.requests[method]) {
                    Ok((status, false)) => Ok(status),
                    other => Err(format!("{other:?}")),
                },
                By::Library(asks) => asks(&secret.client, &secret.value),
            };
            let (answer, must) = secret.judged(ask, |answer| *answer == Ok(200));
            tally.add(&secret, &answer, must);
        }
        tally
    }

    /// xorshift64*
    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// What came of the questions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) asked: usize,
    pub(super) accepted: usize,
    pub(super) refused: usize,
    pub(super) must_pass: usize,
    pub(super) must_fail: usize,
    either: usize,
    /// The first few in words.
    pub(super) wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, secret: &Secret, answer: &Result<u16, String>, must: Must) {
        self.asked += 1;
        self.accepted += usize::from(*answer == Ok(200));
        self.refused += usize::from(*answer == Ok(401));
        let right: &[u16] = match must {
            Must::Pass => {
                self.must_pass += 1;
                &[200]
            }
            Must::Fail => {
                self.must_fail += 1;
                &[401]
            }
            Must::Either => {
                self.either += 1;
                &[200, 401]
            }
        };
        if !answer.as_ref().is_ok_and(|status| right.contains(status)) && self.wrong.len() < 5 {
            self.wrong.push(format!("{}/{} {must:?}: {answer:?}", secret.client, secret.id));
        }
    }

    pub(super) fn sum(all: &[Self]) -> Self {
        let count = |of: fn(&Self) -> usize| all.iter().map(of).sum();
        Self {
            asked: count(|one| one.asked),
            accepted: count(|one| one.accepted),
            refused: count(|one| one.refused),
            must_pass: count(|one| one.must_pass),
            must_fail: count(|one| one.must_fail),
            either: count(|one| one.either),
            wrong: all.iter().flat_map(|one| one.wrong.clone()).collect(),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, must_pass, must_fail, either, wrong, .. } = self;
        write!(f, "{asked} asked, {must_pass} had to pass, {must_fail} to fail, {either} either, {} wrong", wrong.len())
    }
}
