//! What is told to others: lines of the audit log and bodies of web hooks, their shapes and the rules around them. Names
//! and times only: never a secret, a hash or a hint.

pub mod backoff;
pub mod entry;
pub mod rollup;
pub mod signature;
pub mod summary;
pub mod webhook;
