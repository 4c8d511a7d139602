//! Step 2: the body, bounded in size and time.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use crate::domain::oauth::Refusal;
use crate::net::body::Body;
use crate::net::conn::Conn;

/// Reads a body of at most `most` bytes. One that is announced longer is refused unread; one that came whole with the
/// head is not copied.
pub async fn body(incoming: &mut Body<'_>, conn: &Rc<Conn>, most: usize) -> Result<Bytes, Refusal> {
    if incoming.announced() > most as u64 {
        return Err(Refusal::TooLarge);
    }
    let Some(first) = piece(incoming, conn).await? else { return Ok(Bytes::new()) };
    if first.len() > most {
        return Err(Refusal::TooLarge);
    }
    if incoming.is_over() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(data) = piece(incoming, conn).await? {
        if whole.len() + data.len() > most {
            return Err(Refusal::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The next piece of data.
async fn piece(incoming: &mut Body<'_>, conn: &Conn) -> Result<Option<Bytes>, Refusal> {
    let piece = poll_fn(|cx| match incoming.poll_piece(cx) {
        Poll::Pending if conn.is_late() => Poll::Ready(Some(Err(Refusal::BodyTimeout))),
        polled => polled.map_err(|_| Refusal::BadFraming),
    })
    .await;
    match piece {
        // A stream that was taken back for no error ends like one that is whole.
        None if conn.is_stream() && !incoming.is_over() => Err(Refusal::BadFraming),
        piece => piece.transpose(),
    }
}
