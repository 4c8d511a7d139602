//! The doors of the admin API: a unix socket for this machine's own user, addresses for who has a token.

pub mod tcp;
pub mod unix;

use std::sync::Arc;
use std::time::Duration;

use super::ground::Ground;

/// A command sends its request at once; one that does not is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commands at once.
const MOST: usize = 32;
/// After an error such as "too many open files": long enough not to spin.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How often what waits in memory only is looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// Forgets what was kept for a while: plaintexts for those who ask again, links and sessions.
pub async fn sweep(ground: Arc<Ground>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        ground.repeats.sweep(ground.clock.now());
        ground.sessions.sweep(ground.clock.now());
    }
}
