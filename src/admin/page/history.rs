//! The uses of the last day, hour by hour, of clients that are in the middle of a rotation: what the picture shows. Read
//! off the counters from time to time, off the path of requests.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Digest;
use crate::registry::{Client, Record, SecretState, Snapshot};

/// Hours that are shown.
pub(super) const HOURS: usize = 24;
/// Clients that are followed at once; of more the picture is missing, and nothing else.
const MOST: usize = 4096;
const HOUR: Duration = Duration::from_secs(3600);

/// The uses of the last day.
#[derive(Default)]
pub(super) struct History(HashMap<ClientKey, Vec<Track>>);

/// The uses of one secret, the last hour last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) secret: SecretId,
    identity: Digest,
    /// The counter when it was read last, and in which hour.
    counted: u64,
    hour: u64,
    pub(super) hours: [u64; HOURS],
}

impl Track {
    fn begin(record: &Record, now: Timestamp) -> Self {
        let began = record.uses.tracking_since();
        // Of a counter that is older than the picture it is not known when it rose.
        let counted = if now.since(began) < HOUR { 0 } else { record.uses.uses() };
        let identity = record.identity();
        Self { secret: record.id.clone(), identity, counted, hour: hour(now), hours: [0; HOURS] }
    }

    fn read(&mut self, counter: u64, now: Timestamp) {
        let passed = usize::try_from(hour(now).saturating_sub(self.hour)).unwrap_or(HOURS).min(HOURS);
        self.hours.rotate_left(passed);
        self.hours.iter_mut().rev().take(passed).for_each(|uses| *uses = 0);
        self.hour = self.hour.max(hour(now));
        if let Some(last) = self.hours.last_mut() {
            *last += counter.saturating_sub(self.counted);
        }
        self.counted = self.counted.max(counter);
    }
}

/// Whether there is something to show of a client: one secret alone has no other beside it.
pub(super) fn has_several(client: &Client) -> bool {
    client.records().len() > 1
}

fn hour(at: Timestamp) -> u64 {
    at.millis() / 3_600_000
}

impl History {
    /// Reads the counters of a client.
    pub(super) fn look(&mut self, client: &Client, now: Timestamp) {
        let active = || client.records().iter().filter(|record| record.state(now) == SecretState::Active);
        if active().nth(1).is_none() {
            self.0.remove(&client.key);
            return;
        }
        if self.0.len() >= MOST && !self.0.contains_key(&client.key) {
            return;
        }
        let tracks = self.0.entry(client.key.clone()).or_default();
        tracks.retain(|track| active().any(|record| record.id == track.secret && record.identity() == track.identity));
        for record in active() {
            let at = tracks.iter().position(|track| track.secret == record.id).unwrap_or_else(|| {
                tracks.push(Track::begin(record, now));
                tracks.len() - 1
            });
            if let Some(track) = tracks.get_mut(at) {
                track.read(record.uses.uses(), now);
            }
        }
    }

    /// Forgets the clients that are gone, and those with nothing left to compare.
    pub(super) fn keep(&mut self, list: &Snapshot) {
        self.0.retain(|client, _| list.client(client).is_some_and(has_several));
    }

    /// What is known of a client.
    pub(super) fn of(&self, client: &ClientKey) -> Vec<Track> {
        self.0.get(client).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::clients::ClientList;
    use crate::config::tree::{Doc, Language};
    use crate::registry::build::{Ground, SecretFiles, build};

    fn track(counted: u64) -> Track {
        let identity = Digest::from_bytes([7; 32]);
        Track { secret: SecretId::parse("s").unwrap(), identity, counted, hour: 0, hours: [0; HOURS] }
    }

    #[test]
    fn uses_fall_into_the_hour_they_are_seen_in_and_out_of_the_day_behind_it() {
        let at = |hours: u64| Timestamp::from_millis(hours * 3_600_000 + 1);
        let mut track = track(10);
        track.read(13, at(0));
        track.read(15, at(0));
        assert_eq!(track.hours[HOURS - 1], 5);
        track.read(22, at(2));
        assert_eq!(track.hours[HOURS - 3..], [5, 0, 7]);
        track.read(22, at(24));
        assert_eq!((track.hours[0], track.hours[1], track.hours.iter().sum::<u64>()), (0, 7, 7));
        track.read(23, at(1000));
        assert_eq!((track.hours[HOURS - 1], track.hours.iter().sum::<u64>()), (1, 1));
        // A clock that was set back, and a counter that began anew.
        track.read(1, at(999));
        assert_eq!((track.hours.iter().sum::<u64>(), track.hour), (1, 1000));
    }

    #[test]
    fn a_client_with_nothing_left_to_compare_is_forgotten() {
        let list = |secrets: &[&str]| {
            let secrets =
                secrets.iter().map(|id| format!("[[client.secret]]\nid = \"{id}\"\nsecret = \"s3cr3t-{id}\"\n"));
            let text = format!("[[client]]\nid = \"c\"\n{}", secrets.collect::<String>());
            let list = ClientList::parse(Doc { name: "f", text: &text }, Language::Toml, 0).0.unwrap();
            let ground = Ground {
                files: &SecretFiles::new(),
                previous: None,
                forwards: false,
                endpoints: &[],
                keep_revoked: Duration::ZERO,
                now: Timestamp::MIN,
            };
            build(list.clients, &ground, 0, Vec::new()).0.unwrap()
        };
        let (now, two, mut history) = (Timestamp::from_millis(1), list(&["one", "two"]), History::default());
        let client = two.clients.first().unwrap();
        history.look(client, now);
        history.keep(&two);
        assert_eq!(history.of(&client.key).len(), 2);
        history.keep(&list(&["two"]));
        assert_eq!(history.of(&client.key).len(), 0);
    }
}
