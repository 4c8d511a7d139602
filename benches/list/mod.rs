//! Lists to measure with.

use std::time::Duration;

use relatch::config::clients::{ClientEntry, Material, SecretEntry, SecretStatus, Spot};
use relatch::domain::clock::Timestamp;
use relatch::domain::ids::{ClientId, SecretId};
use relatch::hash;
use relatch::registry::Snapshot;
use relatch::registry::build::{Ground, SecretFiles, build};
use tikv_jemallocator::Jemalloc;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// A secret of a client.
pub(crate) fn secret(client: usize, number: usize) -> String {
    format!("rls_{number}{client:042}abcdef")
}

/// So many clients with two secrets each.
pub(crate) fn snapshot(clients: usize) -> Snapshot {
    build_list(entries(clients))
}

/// The same before they are built.
pub(crate) fn entries(clients: usize) -> Vec<ClientEntry> {
    let secret_entry = |client: usize, number: usize| SecretEntry {
        id: SecretId::parse(&format!("sec_{number}")).unwrap(),
        name: String::new(),
        status: SecretStatus::Active,
        material: Material::Digest(hash::sha256(secret(client, number).as_bytes())),
        hint: None,
        created: None,
        not_before: None,
        expires: None,
        refused_until: None,
        revoked_at: None,
        revoked_reason: None,
        spot: Spot::default(),
    };
    let entry = |client| ClientEntry {
        key: ClientId::parse(&format!("client-{client:07}")).unwrap().into(),
        name: String::new(),
        enabled: true,
        max_active: 2,
        upstream: None,
        secrets: (0..2).map(|number| secret_entry(client, number)).collect(),
        spot: Spot::default(),
        start: Spot::default(),
    };
    (0..clients).map(entry).collect()
}

/// Builds them.
pub(crate) fn build_list(entries: Vec<ClientEntry>) -> Snapshot {
    let files = SecretFiles::new();
    let ground = Ground {
        files: &files,
        previous: None,
        forwards: false,
        endpoints: &[],
        keep_revoked: Duration::ZERO,
        now: NOW,
    };
    build(entries, &ground, 0, Vec::new()).0.unwrap()
}
