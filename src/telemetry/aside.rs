//! Where a connection of this door is served: among the others, by the thread that answers probes; or, while it is told a long
//! exposition, by a thread of its own that takes only what nobody else wants of the machine. So neither the probes nor who
//! serves requests wait for all of a long list.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::priority::{give_way, step_back};

/// Of a thread that insists on a share: behind the thread of the door.
const NICENESS: i32 = 2;

/// Where a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Among the others.
    Door,
    /// By a thread that gives way to everybody.
    Aside,
    /// By a thread of its own that gets its share: the other one got nothing.
    Insisting,
}

/// Where a connection is served and where it wants to be; what serves it says so.
pub(super) struct Wish {
    wanted: AtomicU8,
    served: AtomicU8,
}

impl Default for Wish {
    fn default() -> Self {
        let door = || AtomicU8::new(Place::Door as u8);
        Self { wanted: door(), served: door() }
    }
}

impl Wish {
    /// Where it wants to be.
    pub(super) fn wanted(&self) -> Place {
        match self.wanted.load(Relaxed) {
            0 => Place::Door,
            1 => Place::Aside,
            _ => Place::Insisting,
        }
    }

    /// It is moved when it next has to wait.
    pub(super) fn set(&self, place: Place) {
        self.wanted.store(place as u8, Relaxed);
    }

    /// Waits until it is where it wants to be.
    pub(super) fn poll_moved(&self, cx: &Context<'_>) -> Poll<()> {
        if self.served.load(Relaxed) == self.wanted.load(Relaxed) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A connection, and all that serves it.
pub(super) struct Connection {
    serving: Pin<Box<dyn Future<Output = ()> + Send>>,
    wish: Arc<Wish>,
}

impl Connection {
    pub(super) fn new(serving: impl Future<Output = ()> + Send + 'static, wish: Arc<Wish>) -> Self {
        Self { serving: Box::pin(serving), wish }
    }

    /// Serves it where it wants to be; `movers` gets it back when it wants to be elsewhere. To be called at the door.
    pub(super) fn serve(self, movers: &mpsc::UnboundedSender<Self>) -> std::io::Result<()> {
        let (here, movers) = (self.wish.wanted(), movers.clone());
        let serving = async move {
            if let Some(moving) = self.until_it_moves(here).await {
                let _the_door_is_closed = movers.send(moving);
            }
        };
        if here == Place::Door {
            tokio::task::spawn_local(serving);
            return Ok(());
        }
        let runtime = Handle::current();
        let aside = move || {
            match here {
                Place::Aside => give_way(),
                _ => step_back(NICENESS),
            }
            // Timers and readiness stay with the thread of the door.
            runtime.block_on(serving);
        };
        std::thread::Builder::new().name("relatch-scrape".to_owned()).spawn(aside).map(drop)
    }

    /// Itself, where it wants to be elsewhere than `here`; nothing when it has ended.
    async fn until_it_moves(self, here: Place) -> Option<Self> {
        self.wish.served.store(here as u8, Relaxed);
        let mut this = Some(self);
        poll_fn(|cx| {
            let Some(connection) = &mut this else { return Poll::Ready(None) };
            match connection.serving.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending if connection.wish.wanted() != here => Poll::Ready(this.take()),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
