//! Where client lists come from.

pub mod file;
