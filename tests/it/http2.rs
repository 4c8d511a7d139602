//! HTTP/2 as callers speak it, and as they should not: `tests/corpus/h2-frames.toml` frame by frame, floods, patience,
//! the end.

mod cases;
mod floods;
mod patience;
