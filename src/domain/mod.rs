//! Floor 0: the words everything else is written in.
//!
//! Nothing here does anything by itself: ids, secrets that refuse to print, the OAuth vocabulary, and the one clock.

pub mod clock;
pub mod host;
pub mod ids;
pub mod mint;
pub mod oauth;
pub mod request_id;
pub mod secret;
pub mod segment;
pub mod source;
pub mod spoken;
pub mod strength;
pub mod swar;
