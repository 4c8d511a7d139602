//! The uses that all instances of a fleet have seen, as they were told a moment ago: who turns the pages of a list does not
//! have Prometheus asked about every secret in it for each. What a rule looks at is asked anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::domain::clock::instant;
use crate::domain::ids::ClientKey;
use crate::fleet::ClientUse;

/// Prometheus itself hears of uses every few seconds.
const FRESH: Duration = Duration::from_secs(5);

/// The uses of the clients' secrets, or why they are not known.
pub(super) type Uses = Result<HashMap<ClientKey, ClientUse>, String>;

/// The last answer about a whole list. One is kept, until somebody looks for it when it is old.
pub(super) struct Recent {
    turn: Semaphore,
    last: Mutex<Option<(Instant, Arc<Uses>)>>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), last: Mutex::default() }
    }
}

impl Recent {
    /// The last answer, or another where that is old. One question at a time: who comes meanwhile has its answer too.
    pub(super) async fn or(&self, question: impl Future<Output = Uses>) -> Arc<Uses> {
        let _turn = self.turn.acquire().await;
        if let Some(known) = self.known() {
            return known;
        }
        let told = Arc::new(question.await);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((instant(), told.clone()));
        told
    }

    fn known(&self) -> Option<Arc<Uses>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.take_if(|(at, _)| instant().saturating_duration_since(*at) > FRESH);
        last.as_ref().map(|(_, told)| told.clone())
    }
}
