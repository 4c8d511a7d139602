//! The corpus lent to other tests: they send a case to a sidecar of their own and judge it by a measure of their own.

use std::net::SocketAddr;

use super::case::Case;
use super::exchange::converse;
use super::request::{self, sent};
use super::{FILES, Shape, chosen, judge, live, read};

/// One case.
pub(crate) struct Sample(Case);

/// What the caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The status of each answer to the case.
    pub(crate) statuses: Vec<u16>,
    /// How many requests the upstream may have seen for it.
    pub(crate) most: usize,
    /// Why the good request behind it failed, if it did.
    pub(crate) fault: Option<String>,
}

impl Sample {
    /// Every case of every file that `CORPUS_ONLY` lets run.
    pub(crate) fn all() -> Vec<Self> {
        FILES.into_iter().flat_map(read).filter(chosen).map(Self).collect()
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// What is special about it.
    pub(crate) fn title(&self) -> &str {
        &self.0.title
    }

    /// The set-up that it is for.
    pub(crate) fn setup(&self) -> &str {
        &self.0.setup
    }

    /// Its bytes.
    pub(crate) fn sent(&self) -> Vec<u8> {
        sent(&request::steps(&self.0, Shape::Whole))
    }

    /// Sends it, and then a good request with the id and secret of `probe`, which goes by `follow_id`.
    pub(crate) fn send(&self, proxy: SocketAddr, probe: &(String, String), follow_id: &str) -> Heard {
        let steps = request::steps(&self.0, Shape::Whole);
        let transcript = converse(proxy, &judge::plan(&self.0, &steps, follow_id, probe));
        let fault = (!transcript.in_step).then(|| live::ask(proxy, probe, follow_id).err()).flatten();
        let statuses = transcript.replies.iter().map(|reply| reply.status).collect();
        let most = judge::allowed_deliveries(&self.0, &transcript).into_iter().max().unwrap_or_default();
        Heard { statuses, most, fault }
    }
}
