//! The body of a request, read as it is asked for from the connection that the head came over.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::message::body::{End, Piece};
use crate::net::body::Broken;
use crate::net::wire::Wire;

/// What a caller that waits to be asked is told (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A body on its way.
pub(in crate::net) struct Own<'c> {
    pub(super) wire: &'c RefCell<Wire>,
    pub(super) end: &'c RefCell<End>,
    /// Whether the caller waits to be asked for it.
    pub(super) waits: Cell<bool>,
}

impl Own<'_> {
    /// How much is to come at least.
    pub(in crate::net) fn announced(&self) -> u64 {
        self.end.borrow().left().unwrap_or(0)
    }

    /// Whether all of it was taken.
    pub(in crate::net) fn is_over(&self) -> bool {
        self.end.borrow().is_over()
    }

    /// The next piece. Trailers are read and dropped.
    pub(in crate::net) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let (wire, end) = (&mut *self.wire.borrow_mut(), &mut *self.end.borrow_mut());
        loop {
            match end.take(&mut wire.came) {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Piece::Over) => return Poll::Ready(None),
                Ok(Piece::More) => {}
                Err(_) => return Poll::Ready(Some(Err(Broken))),
            }
            if self.waits.take() {
                wire.out().extend_from_slice(CONTINUE);
            }
            if !wire.is_sent() && wire.poll_send(cx).map_err(|_| Broken)?.is_pending() {
                return Poll::Pending;
            }
            match ready!(wire.poll_fill(cx)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Broken))),
            }
        }
    }
}
