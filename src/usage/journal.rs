//! What a state file says: a header, then a line for each change of a record. The last line of a record wins, but never
//! backwards in time or count; a line that is torn or damaged says nothing.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;
use crate::domain::oauth::AuthMethod;
use crate::domain::source::Source;
use crate::hash;
use crate::registry::Record;
use crate::registry::cells::{MAX_SIGHTINGS, Refusals, Seen, Sighting, user_agent};

/// The first line, but for the version.
const MAGIC: &str = "relatch-state ";
const VERSION: u32 = 1;
/// A longer line is none of ours: all of a record's sightings take a few KiB.
const MOST_LINE: u64 = 64 << 10;
/// So many lines without a good one behind a header that is not ours: the rest, which may be long, need not be read.
const ENOUGH: usize = 1000;
/// Counts beyond this, which a double holds exactly, are no counts.
const MOST_COUNT: u64 = 1 << 53;

/// What use is bound to: a secret of a client, by its identity. Tells nothing of the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn of(client: &ClientKey, record: &Record) -> Self {
        let mut text = b"relatch state 1".to_vec();
        let (identity, tenant) = (record.identity(), client.tenant.as_str().as_bytes());
        let parts = [client.id.as_str().as_bytes(), record.id.as_str().as_bytes(), identity.bytes()];
        // A fourth part only where there is a tenant: files from before there were any say the same of the others.
        for part in parts.into_iter().chain(Some(tenant).filter(|tenant| !tenant.is_empty())) {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let digest = hash::sha256(&text);
        let (half, _) = digest.bytes().split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self(*half)
    }

    fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// What is known of the use of every secret, by instances before this one.
#[derive(Default)]
pub struct State {
    pub(super) entries: HashMap<Key, Entry>,
}

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whose secret it is, for people who read the file.
    pub(super) client: Box<str>,
    /// And of which tenant; empty for none.
    pub(super) tenant: Box<str>,
    /// Its id, likewise.
    pub(super) secret: Box<str>,
    /// What is known.
    pub(super) seen: Seen,
    /// Since when it is not in the list.
    pub(super) gone: Option<Timestamp>,
}

/// What is known of one, as it is written.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    /// See [`Entry`].
    pub(super) client: &'r str,
    /// See [`Entry`].
    pub(super) tenant: &'r str,
    /// See [`Entry`].
    pub(super) secret: &'r str,
    /// What is known.
    pub(super) seen: &'r Seen,
    /// Since when it is not in the list.
    pub(super) gone: Option<Timestamp>,
}

impl Entry {
    /// As it is written.
    pub(super) fn row(&self) -> Row<'_> {
        let Self { client, tenant, secret, seen, gone } = self;
        Row { client, tenant, secret, seen, gone: *gone }
    }
}

impl State {
    /// What is known of a secret of a client; nothing where it was never observed, or its digest was another one.
    /// Times may lie ahead where a clock was set back: see [`Seen::clamped`].
    pub fn seen(&self, client: &ClientKey, record: &Record) -> Option<Seen> {
        self.entries.get(&Key::of(client, record)).map(|entry| entry.seen.clone())
    }

    /// The same, observed from `now` on: nobody listened for a while, and what is quiet must be found out anew.
    pub(super) fn heard_from(mut self, now: Timestamp) -> Self {
        for entry in self.entries.values_mut() {
            entry.seen.tracking_since = entry.seen.tracking_since.max(now);
        }
        self
    }

    /// Takes over what is known of one.
    pub(super) fn take(&mut self, key: Key, new: Entry) {
        match self.entries.get_mut(&key) {
            Some(known) => {
                known.seen.merge(new.seen);
                known.gone = new.gone;
            }
            None => drop(self.entries.insert(key, new)),
        }
    }
}

/// What was found in a file.
pub(super) enum Found {
    /// A state, and how many of its lines could not be read.
    Ours(State, usize),
    /// The work of a newer version.
    Newer(u32),
    /// Something else: not for us to write over.
    Foreign,
}

/// Reads a file to its end.
pub(super) fn read(mut file: impl BufRead) -> io::Result<Found> {
    let (mut state, mut damaged, mut good) = (State::default(), 0, 0);
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        file.by_ref().take(MOST_LINE).read_until(b'\n', line)
    };
    next(&mut line)?;
    let header = header();
    let whole = line == header.as_bytes();
    let cut = header.as_bytes().starts_with(&line);
    if let Some(version) = version(&line).filter(|version| *version > VERSION) {
        return Ok(Found::Newer(version));
    }
    damaged += usize::from(!whole && !line.is_empty());
    while next(&mut line)? > 0 {
        match parse(&line) {
            Some((key, entry)) => {
                good += 1;
                state.take(key, entry);
            }
            None => damaged += 1,
        }
        if !whole && good == 0 && damaged > ENOUGH {
            return Ok(Found::Foreign);
        }
    }
    Ok(if whole || cut || good > 0 { Found::Ours(state, damaged) } else { Found::Foreign })
}

fn version(line: &[u8]) -> Option<u32> {
    std::str::from_utf8(line).ok()?.strip_prefix(MAGIC)?.trim_end().parse().ok()
}

/// The first line.
pub(super) fn header() -> String {
    format!("{MAGIC}{VERSION}\n")
}

/// A line as it is written: JSON, behind the checksum of it.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    client: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    tenant: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    secret: Box<str>,
    since: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    used: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    uses: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    from: Vec<Caller>,
    #[serde(default, skip_serializing_if = "is_zero")]
    refused: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused_from: Vec<Caller>,
    #[serde(default, skip_serializing_if = "is_zero")]
    gone: u64,
}

#[derive(Serialize, Deserialize)]
struct Caller {
    address: Source,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    user_agent: Box<str>,
    method: Box<str>,
    at: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How much of an entry is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Times and counts: what changes with each use.
    Short,
    /// Names and callers too.
    Full,
}

/// Writes the line of a record.
pub(super) fn write(key: &Key, row: Row<'_>, extent: Extent, out: &mut impl Write) -> io::Result<()> {
    let full = extent == Extent::Full;
    let callers = |from: &[Sighting]| if full { from.iter().map(Caller::of).collect() } else { Vec::new() };
    let name = |name: &str| if full { name.into() } else { Box::default() };
    let seen = row.seen;
    let line = Line {
        key: key.to_string(),
        client: name(row.client),
        tenant: name(row.tenant),
        secret: name(row.secret),
        since: seen.tracking_since.millis(),
        used: seen.last_used.map_or(0, Timestamp::millis),
        uses: seen.uses,
        from: callers(&seen.from),
        refused: seen.refused.count,
        refused_from: callers(&seen.refused.from),
        gone: row.gone.map_or(0, Timestamp::millis),
    };
    let json = serde_json::to_string(&line)?;
    writeln!(out, "{:08x} {json}", crc32fast::hash(json.as_bytes()))
}

/// Reads a line; nothing where it is torn, damaged or none of ours.
fn parse(line: &[u8]) -> Option<(Key, Entry)> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(json) != sum {
        return None;
    }
    let line: Line = serde_json::from_slice(json).ok()?;
    let time = |millis: u64| Some(millis).filter(|at| *at > 0).map(Timestamp::from_millis);
    let callers = |from: Vec<Caller>| from.into_iter().take(MAX_SIGHTINGS).filter_map(Caller::sighting).collect();
    let seen = Seen {
        tracking_since: Timestamp::from_millis(line.since),
        last_used: time(line.used),
        uses: line.uses.min(MOST_COUNT),
        from: callers(line.from),
        refused: Refusals { count: line.refused.min(MOST_COUNT), from: callers(line.refused_from) },
    };
    let Line { key, client, tenant, secret, gone, .. } = line;
    Some((Key::parse(&key)?, Entry { client, tenant, secret, seen, gone: time(gone) }))
}

impl Caller {
    fn of(sighting: &Sighting) -> Self {
        let Sighting { address, user_agent, method, at } = sighting;
        Self { address: *address, user_agent: user_agent.clone(), method: method.as_str().into(), at: at.millis() }
    }

    fn sighting(self) -> Option<Sighting> {
        let method = [AuthMethod::Basic, AuthMethod::Post].into_iter().find(|known| known.as_str() == &*self.method)?;
        let user_agent = user_agent(self.user_agent.as_bytes());
        Some(Sighting { address: self.address, user_agent, method, at: Timestamp::from_millis(self.at) })
    }
}

#[cfg(test)]
mod tests;
