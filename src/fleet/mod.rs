//! stub
use std::collections::HashMap;
use crate::domain::{clock::Timestamp, ids::{ClientId, SecretId}};
use crate::config::settings::upstream::Target;
/// stub
pub struct FleetUse { /// stub
 pub last_used: Option<Timestamp>, /// stub
 pub uses: u64, /// stub
 pub tracking_since: Timestamp }
/// stub
pub async fn uses(_: &Target, _: Option<&ClientId>) -> Result<HashMap<(ClientId, SecretId), FleetUse>, String> { Err(String::new()) }
