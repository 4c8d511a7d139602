//! placeholder
use crate::domain::clock::Timestamp;
/// placeholder
pub fn notice(_expires: Timestamp, _now: Timestamp) -> Option<u16> { None }
