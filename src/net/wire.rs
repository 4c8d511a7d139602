//! The bytes of a connection of HTTP/1.1, whichever end of it we are: what came and was not taken yet, and what is to go out.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::stream::Stream;

/// Bytes that are read at once: most messages whole.
const ROOM: usize = 8 << 10;
/// Room that is worth a read.
const LEAST_ROOM: usize = 1 << 10;

/// Room of connections that have nothing to say, for the others of their thread: that of a few goes from one to the other,
/// and a thousand that lie idle have none.
#[derive(Default)]
pub(super) struct Spare(RefCell<Vec<Room>>);

/// To read into, and to write from.
type Room = (BytesMut, Vec<u8>);

/// As many are kept.
const MOST_SPARE: usize = 16;

impl Spare {
    fn keep(&self, room: Room) {
        let mut rooms = self.0.borrow_mut();
        // What a large message took is given back for good.
        if rooms.len() < MOST_SPARE && room.0.capacity() <= ROOM && room.1.capacity() <= ROOM {
            rooms.push(room);
        }
    }

    fn take(&self) -> Option<Room> {
        self.0.borrow_mut().pop()
    }
}

/// A connection's bytes.
pub struct Wire {
    stream: Stream,
    /// What came and was not taken yet.
    pub came: BytesMut,
    /// What is to go out, and how much of it went.
    out: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// Over a stream.
    pub fn over(stream: Stream) -> Self {
        Self { stream, came: BytesMut::new(), out: Vec::new(), sent: 0 }
    }

    /// What is to go out, to be added to.
    pub const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends this next; what was to go out before has gone.
    pub fn put(&mut self, text: Vec<u8>) {
        self.out = text;
        self.sent = 0;
    }

    /// Whether all went out.
    pub const fn is_sent(&self) -> bool {
        self.sent == self.out.len()
    }

    /// Sends what is still to be sent.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.out.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.out.clear();
        self.sent = 0;
        // Through TLS, written is not sent.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads what there is: how much, and nothing at the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.came.capacity() - self.came.len() < LEAST_ROOM {
            self.came.reserve(ROOM);
        }
        pin!(self.stream.read_buf(&mut self.came)).poll(cx)
    }

    /// Gives its room back, for as long as there is nothing to read and to send.
    pub(super) fn rest(&mut self, spare: &Spare) {
        if self.came.is_empty() && self.is_sent() {
            spare.keep((std::mem::take(&mut self.came), std::mem::take(&mut self.out)));
        }
    }

    /// Takes room again.
    pub(super) fn rise(&mut self, spare: &Spare) {
        if self.came.capacity() == 0
            && self.out.capacity() == 0
            && let Some(room) = spare.take()
        {
            (self.came, self.out) = room;
        }
    }

    /// Says that nothing more will be sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// The stream, and what was read of it and not taken.
    pub fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.came)
    }
}
