//! What is said over a connection of HTTP/1.1: a head, what comes of it, and the next head.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::Method;

use super::answer::{Asked, Sending, refuse};
use super::body::Own;
use crate::frames::PREFACE;
use crate::message::request::{self, Fault, Head};
use crate::net::body::{Body, Way};
use crate::net::conn::Conn;
use crate::net::service::Service;
use crate::net::wire::Wire;
use crate::net::worker::Ground;

/// How a conversation ends.
pub(super) enum End {
    /// All was said.
    Over,
    /// The other end has gone, or is not waited for any longer.
    Lost,
    /// It is one of HTTP/2.
    Http2,
}

/// What comes next.
enum Next {
    Head(Head),
    Fault(Fault),
    End(End),
}

/// Answers one request after the other.
pub(super) async fn converse<S: Service>(wire: &RefCell<Wire>, conn: &Rc<Conn>, ground: &Ground<S>) -> End {
    loop {
        let mut seen = 0;
        let head = match poll_fn(|cx| poll_next(&mut wire.borrow_mut(), &mut seen, conn, ground, cx)).await {
            Next::Head(head) => head,
            Next::Fault(fault) => {
                refuse(fault.status(), &ground.date, wire.borrow_mut().out());
                conn.linger();
                break;
            }
            Next::End(end) => return end,
        };
        let Head { request, end, lives_on, waits } = head;
        let end = RefCell::new(end);
        let (version, head_alone) = (request.version, request.method == Method::HEAD);
        let body = Body(Way::Own(Own { wire, end: &end, waits: Cell::new(waits) }));
        let mut call = pin!(ground.service.clone().call(conn.clone(), request, body));
        let answered = poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // Nobody waits for the answer: the whole handling of the request goes with who left.
            Poll::Pending if end.borrow().is_over() && has_left(&mut wire.borrow_mut(), cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let Some(answer) = answered.await else { return End::Lost };
        // Of a body that nobody took, the rest would be read as a request.
        let asked = Asked { version, head_alone, stays: lives_on && end.borrow().is_over() };
        let mut sending = Sending::begin(answer, asked, &ground.date, wire.borrow_mut().out());
        let sent = poll_fn(|cx| {
            let wire = &mut *wire.borrow_mut();
            match sending.poll(wire, cx) {
                Poll::Pending if end.borrow().is_over() && has_left(wire, cx) => {
                    Poll::Ready(Err(super::answer::Broken))
                }
                polled => polled,
            }
        });
        match sent.await {
            Ok(()) if sending.stays => {}
            Ok(()) => break,
            Err(_) => return End::Lost,
        }
    }
    // What was said last is heard, and that it was the last.
    let last = poll_fn(|cx| {
        let wire = &mut *wire.borrow_mut();
        ready!(wire.poll_send(cx))?;
        if conn.lingers() { Poll::Ready(Ok(())) } else { wire.poll_shutdown(cx) }
    });
    if last.await.is_ok() { End::Over } else { End::Lost }
}

/// The next head. Between two requests the connection keeps no room for what may come.
fn poll_next<S: Service>(
    wire: &mut Wire,
    seen: &mut usize,
    conn: &Conn,
    ground: &Ground<S>,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    wire.rise(&ground.spare);
    loop {
        // Only a connection may begin so: behind a request these bytes may be anybody's.
        let may_be_http2 = ground.http2.is_some() && !conn.was_asked();
        if may_be_http2 && wire.came.starts_with(PREFACE) {
            return Poll::Ready(Next::End(End::Http2));
        }
        // Who reads the preface in halves takes it for a broken request.
        let may_become_it = may_be_http2 && PREFACE.starts_with(&wire.came);
        if !wire.came.is_empty() && !may_become_it {
            conn.bytes_came();
            match request::read(&mut wire.came, seen, ground.max_header) {
                Ok(None) => {}
                Ok(Some(head)) => return Poll::Ready(Next::Head(head)),
                Err(fault) => return Poll::Ready(Next::Fault(fault)),
            }
        }
        match wire.poll_fill(cx) {
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(_) => return Poll::Ready(Next::End(End::Lost)),
            Poll::Pending => {
                wire.rest(&ground.spare);
                return Poll::Pending;
            }
        }
    }
}

/// Whether the caller has left while it waits for its answer. What it says meanwhile is looked at when its turn comes.
fn has_left(wire: &mut Wire, cx: &mut Context<'_>) -> bool {
    wire.came.is_empty() && matches!(wire.poll_fill(cx), Poll::Ready(Ok(0) | Err(_)))
}
