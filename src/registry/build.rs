//! From the entries of a list to a snapshot: the rules about the list as a whole.
//!
//! Pure. A list that breaks a rule gives every error and no snapshot; the one in force stays. A revoked record never
//! comes back to life by a reload, even one that left the list in between.
//!
//! [`build`] tells everything that is wrong. [`parts`] builds the same of a list in which nothing is, and takes over what
//! did not change.

pub mod parts;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cells::UseCell;
use super::parts::Part;
use super::slow::Held;
use super::{ByKey, Client, Grave, Graveyard, Index, Profile, Record, Snapshot, UpstreamIdentity};
use crate::attempt::Standing;
use crate::config::clients::{ClientEntry, MOST_ACTIVE, Material, SecretEntry, SecretStatus, Spot};
use crate::config::settings::Endpoint;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId, Tenant};
use crate::domain::secret::{Digest, Secret};
use crate::extract::percent;
use crate::hash;

/// The contents of the secret files that a list names, by the file that names them and the path as it is written there.
pub type SecretFiles = HashMap<(usize, PathBuf), Secret>;

/// What a list is built with.
pub struct Ground<'a> {
    /// The secret files it names; all of them could be read, but perhaps for those of revoked secrets.
    pub files: &'a SecretFiles,
    /// The snapshot in force, whose counters and graves are taken over.
    pub previous: Option<&'a Snapshot>,
    /// Whether a client without an upstream secret has its own sent on: with two secrets, one of them will be refused.
    pub forwards: bool,
    /// Where its clients call; none where that does not matter.
    pub endpoints: &'a [Endpoint],
    /// How long revoked records are remembered.
    pub keep_revoked: Duration,
    /// Now.
    pub now: Timestamp,
}

/// Problems of a list, each at its spot.
#[derive(Debug, Default)]
pub struct Findings {
    /// What refuses the list.
    pub errors: Vec<(Spot, String)>,
    /// What the operator should know.
    pub warnings: Vec<(Spot, String)>,
}

/// Enough errors to act on; a list of a million slips is not told a million times.
const MOST_FINDINGS: usize = 100;

impl Findings {
    fn error(&mut self, spot: Spot, message: String) {
        if self.errors.len() < MOST_FINDINGS {
            self.errors.push((spot, message));
        }
    }

    /// What is told of each of a million clients is not even written down.
    fn warn(&mut self, spot: Spot, message: impl FnOnce() -> String) {
        if self.takes_warnings() {
            self.warnings.push((spot, message()));
        }
    }

    const fn takes_warnings(&self) -> bool {
        self.warnings.len() < MOST_FINDINGS
    }
}

/// Builds the next snapshot. `hash` is the content's; `guarded` names the files that had their `[end]`.
pub fn build(
    entries: Vec<ClientEntry>,
    ground: &Ground<'_>,
    hash: u64,
    guarded: Vec<String>,
) -> (Option<Snapshot>, Findings) {
    let mut findings = Findings::default();
    let mut names = Names::default();
    let mut owners: Owners = HashMap::new();
    let (mut clients, mut parts): (_, Vec<Part>) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        names.check(&entry, &mut findings);
        let file = entry.start.file;
        let client = client(entry, 0, ground, Some(&mut owners), &mut findings);
        clients.push(client);
        match parts.last_mut().filter(|part| part.file == file) {
            Some(part) => part.clients.end = clients.len(),
            None => parts.push(Part::whole(file, clients.len())),
        }
    }
    reachable(&clients, ground.endpoints, &mut findings);
    let index = Index::of(&clients);
    let snapshot = snapshot(clients, parts, index, ground, hash, guarded);
    (findings.errors.is_empty().then_some(snapshot), findings)
}

fn snapshot(
    clients: Vec<Client>,
    parts: Vec<Part>,
    index: Index,
    ground: &Ground<'_>,
    hash: u64,
    guarded: Vec<String>,
) -> Snapshot {
    Snapshot {
        generation: ground.previous.map_or(0, |previous| previous.generation) + 1,
        hash,
        guarded,
        texts: [0; 32],
        parts,
        index,
        graveyard: graveyard(&clients, ground),
        by_key: ByKey::default(),
        clients,
    }
}

/// Tells of clients that nobody can call as, and of endpoints that nobody can use.
fn reachable(clients: &[Client], endpoints: &[Endpoint], findings: &mut Findings) {
    let mut warn = |message: String| findings.warn(Spot::default(), || message);
    for (endpoint, id) in endpoints.iter().filter_map(|endpoint| Some((endpoint, endpoint.client.as_ref()?))) {
        let sends = |client: &Client| endpoint.entrusts(&client.key) && client.upstream.is_some();
        if !clients.iter().any(sends) {
            let why =
                "an endpoint with auth = \"none\" serves it: give it one, until then each request there is refused";
            warn(format!("client {id:?} has no [client.upstream], and {why}"));
        }
    }
    let stranded = || clients.iter().filter(|client| !endpoints.iter().any(|endpoint| endpoint.reaches(&client.key)));
    if let Some(client) = stranded().next().filter(|_| !endpoints.is_empty()) {
        let (count, key) = (stranded().count(), &client.key);
        let why = if key.tenant.is_empty() {
            "have no tenant, and every endpoint's path has {tenant}"
        } else {
            "have a tenant, and no endpoint's path has {tenant}"
        };
        warn(format!("{count} of the clients, such as {key:?}, {why}: nobody can call as them"));
    }
    let templates = || endpoints.iter().map(|endpoint| &endpoint.path).filter(|path| path.has_tenant());
    for exact in endpoints.iter().map(|endpoint| &endpoint.path).filter(|path| !path.has_tenant()) {
        for (template, tenant) in templates().filter_map(|path| Some((path, path.tenant_in(exact.as_str())?))) {
            let count = clients.iter().filter(|client| client.key.tenant.as_str() == tenant).count();
            if count > 0 {
                let why = format!("{exact} wins over {template} there, and has the clients without a tenant");
                warn(format!("nobody can call {exact} as a client of tenant {tenant:?} ({count} in the list): {why}"));
            }
        }
    }
    let of_tenants = endpoints.iter().find(|endpoint| endpoint.path.has_tenant());
    if let Some(endpoint) = of_tenants.filter(|_| clients.iter().all(|client| client.key.tenant.is_empty()))
        && !clients.is_empty()
    {
        warn(format!("the endpoint {} is for clients with a tenant, and the list has none", endpoint.path));
    }
}

/// Whose each secret is, of those seen so far.
type Owners = HashMap<Digest, ClientKey>;

/// Client ids of each tenant seen so far, as written and form-decoded: two that become equal would be one to some readers.
#[derive(Default)]
struct Names(HashMap<(Tenant, Vec<u8>), ClientKey>);

impl Names {
    fn check(&mut self, entry: &ClientEntry, findings: &mut Findings) {
        let ClientKey { tenant, id } = &entry.key;
        let exact = id.as_str().as_bytes().to_vec();
        let mut decoded = Vec::new();
        let decodes = percent::decode(&exact, &mut decoded).is_ok() && decoded != exact;
        for name in [Some(exact), decodes.then_some(decoded)].into_iter().flatten() {
            match self.0.insert((tenant.clone(), name), entry.key.clone()) {
                Some(other) if other == entry.key => {
                    findings.error(entry.spot, format!("client {:?} stands in the list twice: keep one", entry.key));
                }
                Some(other) => {
                    let why = "become equal by form-decoding, so that a caller of one could pass for the other";
                    findings.error(entry.spot, format!("clients {other:?} and {:?} {why}: rename one", entry.key));
                }
                None => {}
            }
        }
    }
}

/// Makes a client, `part` being where the part of the text begins that it stands in. Without `owners` nobody looks at who
/// else has its secrets.
fn client(
    entry: ClientEntry,
    part: usize,
    ground: &Ground<'_>,
    mut owners: Option<&mut Owners>,
    findings: &mut Findings,
) -> Client {
    let before = ground.previous.and_then(|previous| previous.client(&entry.key));
    let mut records: Vec<Record> = Vec::with_capacity(entry.secrets.len());
    for secret in entry.secrets {
        let spot = secret.spot;
        if let Material::Unusable { why, .. } = &secret.material {
            findings.warn(spot, || format!("client {:?}: secret {} is refused: its hash {why}", entry.key, secret.id));
        }
        let record = record(secret, ground, &entry.key, before);
        let identity = record.identity();
        for earlier in &records {
            if earlier.id == record.id {
                findings.error(spot, format!("secret {} of client {:?} stands twice: keep one", record.id, entry.key));
            } else if earlier.identity() == identity && identity != Digest::UNKNOWN {
                let message =
                    format!("secrets {} and {} of client {:?} are the same secret", earlier.id, record.id, entry.key);
                findings.error(spot, message);
            }
        }
        if let Some(grave) = ground.previous.and_then(|previous| previous.revived(&entry.key, &record)) {
            let message = format!(
                "secret {} of client {:?} was revoked (as {}) and would come back to life: \
                 leave it revoked and add a new one",
                record.id, entry.key, grave.secret
            );
            findings.error(spot, message);
        }
        match owners.as_mut().and_then(|owners| owners.insert(identity, entry.key.clone())) {
            Some(other) if other != entry.key && identity != Digest::UNKNOWN => {
                findings.warn(spot, || format!("clients {other:?} and {:?} have the same secret", entry.key));
            }
            _ => {}
        }
        records.push(record);
    }
    let upstream = entry.upstream.map(|upstream| {
        let of = |path: &PathBuf| ground.files.get(&(entry.spot.file, path.clone()));
        let secrets: Box<[Secret]> =
            upstream.secret_files.iter().filter_map(of).map(|secret| Secret::new(secret.expose().to_vec())).collect();
        Arc::new(UpstreamIdentity {
            id: upstream.id.unwrap_or_else(|| entry.key.id.clone()),
            standing: standing(before.and_then(|client| client.upstream.as_deref()), &secrets),
            secrets,
            method: upstream.method,
            basic_encoding: upstream.basic_encoding,
        })
    });
    let profile = Profile {
        key: entry.key,
        name: entry.name.into(),
        enabled: entry.enabled,
        max_active: u8::try_from(entry.max_active).unwrap_or(u8::MAX),
        upstream,
        start: entry.start.offset - part,
    };
    let client = Client::of(profile, records, ground.now);
    client.remark(entry.spot, ground, findings);
    client
}

impl Client {
    /// What there is to say of how many of its secrets are active.
    fn remark(&self, spot: Spot, ground: &Ground<'_>, findings: &mut Findings) {
        let (key, most) = (&self.key, usize::from(self.max_active));
        let active = self.records().iter().filter(|record| record.is_alive(ground.now)).count();
        if active > MOST_ACTIVE {
            let message = format!("client {key:?} has {active} active secrets, and 8 is the most: revoke some");
            findings.error(spot, message);
        } else if active > most {
            findings.warn(spot, || format!("client {key:?} has {active} active secrets, above its limit of {most}"));
        }
        let needs_none = || self.upstream.is_some() && ground.endpoints.iter().any(|one| one.entrusts(key));
        if self.enabled && active == 0 && !needs_none() {
            findings.warn(spot, || format!("client {key:?} has no active secret: it is refused"));
        }
        if active > 1 && self.upstream.is_none() && ground.forwards {
            let why = "both are sent on, and an upstream that knows one refuses the other";
            findings
                .warn(spot, || format!("client {key:?} has {active} active secrets and no [client.upstream]: {why}"));
        }
    }
}

/// Which upstream secret works stays known while the list of them stays the same.
fn standing(before: Option<&UpstreamIdentity>, secrets: &[Secret]) -> Arc<Standing> {
    let same = |identity: &&UpstreamIdentity| {
        identity.secrets.len() == secrets.len()
            && identity.secrets.iter().zip(secrets).all(|(a, b)| bool::from(hash::of(a).matches(&hash::of(b))))
    };
    before.filter(same).map_or_else(
        || Arc::new(Standing::of_changed_list(before.map(|identity| &*identity.standing))),
        |identity| identity.standing.clone(),
    )
}

fn record(mut entry: SecretEntry, ground: &Ground<'_>, client: &ClientKey, before: Option<&Client>) -> Record {
    let from_file = |path: &PathBuf| ground.files.get(&(entry.spot.file, path.clone()));
    let of = |secret: &Secret| (Held::Fast(hash::of(secret)), secret.hint());
    let (held, hint) = match &entry.material {
        Material::Digest(digest) => (Held::Fast(*digest), None),
        Material::Slow(slow) => (Held::Slow(slow.clone(), Arc::default()), None),
        Material::Unusable { identity, .. } => (Held::Unusable(*identity), None),
        Material::Plain(secret) => of(secret),
        // One that cannot be read refuses the list elsewhere, unless it is revoked: then what was known of it serves.
        Material::File(path) => {
            from_file(path).map_or_else(|| (Held::Fast(last_known(client, &entry.id, ground.previous)), None), of)
        }
    };
    let same = |old: &&Record| old.id == entry.id && old.identity() == held.identity();
    let known = before.and_then(|client| client.records().iter().find(same));
    let uses = known.map_or_else(|| triomphe::Arc::new(UseCell::tracked_since(ground.now)), |old| old.uses.clone());
    // With who proved it: bound to the same id and the same hash.
    let held = known.map_or(held, |old| old.held.clone());
    let hint = entry.hint.take().or(hint);
    Record::new(entry, held, hint, uses)
}

/// What the list in force, or a grave of it, knows of a secret whose file cannot be read.
fn last_known(client: &ClientKey, secret: &SecretId, previous: Option<&Snapshot>) -> Digest {
    let Some(previous) = previous else { return Digest::UNKNOWN };
    let records = previous.client(client).into_iter().flat_map(|client| client.records());
    let graves = previous.graveyard.get(client).into_iter().flatten();
    let of_records = records.filter(|record| record.id == *secret).map(Record::identity);
    let of_graves = graves.filter(|grave| grave.secret == *secret).map(|grave| grave.digest);
    of_records.chain(of_graves).find(|digest| *digest != Digest::UNKNOWN).unwrap_or(Digest::UNKNOWN)
}

/// The graves of before that are still kept, and one for each revoked record of the new list.
fn graveyard(clients: &[Client], ground: &Ground<'_>) -> Graveyard {
    let mut graves = Graveyard::new();
    for (client, old) in ground.previous.iter().flat_map(|previous| &previous.graveyard) {
        let kept = old.iter().filter(|grave| ground.now.since(grave.buried) < ground.keep_revoked);
        graves.insert(client.clone(), kept.cloned().collect());
    }
    graves.retain(|_, kept| !kept.is_empty());
    for client in clients {
        client.bury(&mut graves, ground.now);
    }
    graves
}

impl Client {
    /// Remembers its revoked records.
    pub(super) fn bury(&self, graves: &mut Graveyard, now: Timestamp) {
        for record in self.records().iter().filter(|record| record.status == SecretStatus::Revoked) {
            let known = graves.entry(self.key.clone()).or_default();
            if !known.iter().any(|grave| grave.secret == record.id && grave.digest == record.identity()) {
                known.push(Grave { secret: record.id.clone(), digest: record.identity(), buried: now });
            }
        }
    }
}

impl Snapshot {
    /// The grave that a record would rise from.
    fn revived(&self, client: &ClientKey, record: &Record) -> Option<&Grave> {
        let graves = self.graveyard.get(client).filter(|_| record.status != SecretStatus::Revoked)?;
        let identity = record.identity();
        let same = |grave: &&Grave| grave.digest == identity && identity != Digest::UNKNOWN;
        graves.iter().find(|grave| grave.secret == record.id || same(grave))
    }
}

#[cfg(test)]
pub(crate) mod tests;
