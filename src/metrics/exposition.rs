//! The whole exposition, made part by part as it is asked for: of a long list no more than that is held, but for the names of its
//! clients, and whoever makes it can stop after each part, or hand it on.

use std::sync::Arc;

use prometheus::TextEncoder;

use super::Metrics;
use super::secrets::Families;
use super::text::Text;
use crate::domain::clock::Timestamp;
use crate::registry::Snapshot;

/// A part, bytes. With its room it is what the allocator has at hand for each thread: a larger piece is had under a lock that
/// other threads wait for, and whoever writes a long list may be made to wait with it in hand.
const PART: usize = 24 << 10;
/// Room for the samples that make it one.
const SLACK: usize = 4 << 10;

/// What a scraper is told, as an iterator over its parts. Costs time with the size of the list: not for the data plane.
pub struct Exposition {
    text: Text,
    families: Families,
}

impl Exposition {
    /// Of what is counted now. The samples of secrets and clients are read as they are written.
    pub fn of(metrics: &Metrics, snapshot: Arc<Snapshot>, now: Timestamp) -> prometheus::Result<Self> {
        let mut first = String::with_capacity(16 << 10);
        TextEncoder::new().encode_utf8(&metrics.registry.gather(), &mut first)?;
        let mut text = Text::of(first);
        let families = Families::begin(snapshot, metrics.of_nobody(), now, &mut text);
        Ok(Self { text, families })
    }
}

impl Iterator for Exposition {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while self.text.len() < PART {
            if !self.families.write_next(&mut self.text) {
                return Some(self.text.take(0)).filter(|last| !last.is_empty());
            }
        }
        Some(self.text.take(PART + SLACK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::build::tests::good;

    #[test]
    fn a_long_list_comes_in_bounded_parts_and_a_short_one_in_one() {
        let metrics = Metrics::new(&[]).unwrap();
        for (clients, expected) in [(1, 1..2), (2000, 60..200)] {
            let list: String = (0..clients).map(|n| format!("[[client]]\nid = \"c-{n}\"\n")).collect();
            let parts: Vec<_> =
                Exposition::of(&metrics, Arc::new(good(&list, None)), Timestamp::MIN).unwrap().collect();
            assert!(
                expected.contains(&parts.len()) && parts.iter().all(|part| part.len() < PART + SLACK),
                "{}",
                parts.len()
            );
            let whole = parts.concat();
            assert!(whole.ends_with('\n'));
            for n in 0..clients {
                let sample = format!("\nrelatch_client_secrets{{client_id=\"c-{n}\",status=\"active\"}} 0\n");
                assert_eq!(whole.matches(&sample).count(), 1, "{n}");
            }
        }
    }
}
