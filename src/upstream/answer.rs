//! An answer of HTTP/1.1 as it comes: its head, and where its body ends. Pure; whoever has the bytes asks.

mod body;
mod head;

pub(super) use body::{End, Piece};
pub(super) use head::{Head, MOST_HEAD, parse};
