//! The answer to a scrape: a short exposition whole, a long one part by part as it is written.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::SemaphorePermit;

use super::aside::{Place, Wish};
use crate::domain::clock::instant;
use crate::metrics::exposition::Exposition;

/// How long an exposition gives way to everybody, noticed when it next gets to run. Where all there is of the machine is wanted, it
/// would not end before its scraper gives up; and where that is slow to take it, there is little to do at a time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is told where it was asked for, bytes: it takes a tenth of a millisecond.
const SHORT: usize = 64 << 10;

/// The body of an answer of this door.
pub(super) enum Said {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// There is more to come.
    Parts(Box<Writing>),
}

/// An exposition that is being written.
pub(super) struct Writing {
    exposition: Exposition,
    /// Made at the door, and not taken yet.
    begun: Option<String>,
    since: Instant,
    wish: Arc<Wish>,
    /// One of those that may be under way at once.
    _turn: SemaphorePermit<'static>,
}

impl Said {
    /// An exposition. A long one moves its connection aside until it is written.
    pub(super) async fn exposition(
        mut exposition: Exposition,
        wish: Arc<Wish>,
        turn: SemaphorePermit<'static>,
    ) -> Self {
        let mut begun = String::new();
        while begun.len() < SHORT {
            let Some(part) = exposition.next() else { return Self::from(begun) };
            begun.push_str(&part);
        }
        let since = instant();
        wish.set(Place::Aside);
        poll_fn(|cx| wish.poll_moved(cx)).await;
        Self::Parts(Box::new(Writing { exposition, begun: Some(begun), since, wish, _turn: turn }))
    }
}

impl Writing {
    fn next(&mut self, cx: &Context<'_>) -> Poll<Option<String>> {
        if self.wish.wanted() == Place::Aside && self.since.elapsed() > PATIENCE {
            self.wish.set(Place::Insisting);
        }
        self.wish.poll_moved(cx).map(|()| self.begun.take().or_else(|| self.exposition.next()))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.wish.set(Place::Door);
    }
}

impl<T: Into<Bytes>> From<T> for Said {
    fn from(whole: T) -> Self {
        Self::Whole(Some(whole.into()).filter(|whole: &Bytes| !whole.is_empty()))
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut *self {
            Self::Whole(whole) => Poll::Ready(whole.take()),
            Self::Parts(writing) => writing.next(cx).map(|part| part.map(Bytes::from)),
        };
        frame.map(|part| part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => SizeHint::with_exact(whole.as_ref().map_or(0, |whole| whole.len() as u64)),
            Self::Parts(..) => SizeHint::default(),
        }
    }
}
