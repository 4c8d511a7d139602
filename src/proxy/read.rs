//! Step 2: the body, bounded in size and time.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use crate::domain::oauth::Refusal;
use crate::net::body::Body;
use crate::net::conn::Conn;

/// A body, and whether it came with the head.
pub struct Read {
    /// All of it.
    pub body: Bytes,
    /// Nothing had to be waited for.
    pub at_once: bool,
}

/// Reads a body of at most `most` bytes. One that is announced longer is refused unread; one that came whole with the
/// head is not copied.
pub async fn body(incoming: &mut Body<'_>, conn: &Rc<Conn>, most: usize) -> Result<Read, Refusal> {
    if incoming.announced() > most as u64 {
        return Err(Refusal::TooLarge);
    }
    let mut at_once = true;
    let Some(first) = piece(incoming, conn, &mut at_once).await? else {
        return Ok(Read { body: Bytes::new(), at_once });
    };
    if first.len() > most {
        return Err(Refusal::TooLarge);
    }
    if incoming.is_over() {
        return Ok(Read { body: first, at_once });
    }
    let mut whole = BytesMut::from(first);
    while let Some(data) = piece(incoming, conn, &mut at_once).await? {
        if whole.len() + data.len() > most {
            return Err(Refusal::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Read { body: whole.freeze(), at_once })
}

/// The next piece of data.
async fn piece(incoming: &mut Body<'_>, conn: &Conn, at_once: &mut bool) -> Result<Option<Bytes>, Refusal> {
    let piece = poll_fn(|cx| match incoming.poll_piece(cx) {
        Poll::Pending if conn.is_late() => Poll::Ready(Some(Err(Refusal::BodyTimeout))),
        Poll::Pending => {
            *at_once = false;
            Poll::Pending
        }
        polled => polled.map_err(|_| Refusal::BadFraming),
    })
    .await;
    match piece {
        // A stream that was taken back for no error ends like one that is whole.
        None if conn.is_stream() && !incoming.is_over() => Err(Refusal::BadFraming),
        piece => piece.transpose(),
    }
}
