//! What the operator writes: `relatch.toml` and the client list, from text to types.
//!
//! Text becomes a [`tree`] of values that know where they stand; [`reader`] walks it, collects every problem at once and
//! describes itself as JSON Schema; [`settings`], [`clients`] and [`tokens`] are the shapes that the program wants. Pure: files
//! are read elsewhere.

pub mod clients;
pub mod edit;
pub mod problem;
pub mod reader;
pub mod scalar;
pub mod schema;
pub mod settings;
pub mod tokens;
pub mod tree;
pub mod values;
