//! The answer to a scrape: small ones whole, long ones part by part as they are written, so that the memory they take does
//! not grow with the list.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::priority::step_back;

/// Parts that wait for their scraper to take them.
const WAITING: usize = 4;
/// Behind the thread of this door, which answers probes too; not so far that a scrape fails where requests take all there is.
const NICENESS: i32 = 2;

/// The body of an answer of this door.
pub(super) enum Said {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// Parts that are here, and more to come.
    Parts(VecDeque<String>, mpsc::Receiver<Part>),
}

/// A part, or the word that it was the last one. Whoever writes and breaks off says no such word.
pub(super) enum Part {
    More(String),
    End,
}

/// It broke off: the scraper must not take it for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the exposition broke off")]
pub(super) struct BrokenOff;

impl Said {
    /// Lets `write` write on a thread of its own, which lets those that serve requests go first. Nothing where it wrote
    /// nothing.
    pub(super) async fn written<E>(
        write: impl FnOnce(&mut dyn FnMut(String) -> bool) -> Result<(), E> + Send + 'static,
    ) -> Option<Self> {
        let (parts, mut coming) = mpsc::channel(WAITING);
        let writing = std::thread::Builder::new().name("relatch-scrape".to_owned()).spawn(move || {
            step_back(NICENESS);
            let mut hand_over = |part| {
                give_way();
                parts.blocking_send(Part::More(part)).is_ok()
            };
            if write(&mut hand_over).is_ok() {
                let _scraper_may_be_gone = parts.blocking_send(Part::End);
            }
        });
        writing.ok()?;
        let Some(Part::More(first)) = coming.recv().await else { return None };
        Some(match coming.recv().await? {
            Part::End => Self::from(first),
            Part::More(second) => Self::Parts(VecDeque::from([first, second]), coming),
        })
    }
}

/// Lets whoever waits for this CPU have it. Niceness alone gives way only after a slice of some milliseconds, and a part takes a
/// tenth of one.
fn give_way() {
    std::thread::yield_now();
}

impl<T: Into<Bytes>> From<T> for Said {
    fn from(whole: T) -> Self {
        Self::Whole(Some(whole.into()).filter(|whole: &Bytes| !whole.is_empty()))
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let part = match &mut *self {
            Self::Whole(whole) => return Poll::Ready(whole.take().map(|whole| Ok(Frame::data(whole)))),
            Self::Parts(here, coming) => match here.pop_front() {
                Some(part) => Some(Part::More(part)),
                None => std::task::ready!(coming.poll_recv(cx)),
            },
        };
        give_way();
        Poll::Ready(match part {
            Some(Part::More(part)) => Some(Ok(Frame::data(Bytes::from(part)))),
            Some(Part::End) => None,
            None => Some(Err(BrokenOff)),
        })
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
