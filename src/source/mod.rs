//! Where client lists come from, and how they are changed.

pub mod file;
pub mod tokens;
pub mod write;
