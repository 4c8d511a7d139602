//! Step 5: is the presented secret an active one of its client? The same work for every refusal.
//!
//! Each reading is looked up among the clients of the tenant in the path, hashed and compared over eight slots, always;
//! dummies fill the free ones, and an unknown client has nothing but dummies. Results are folded, not branched on. Why a
//! secret was refused is found out later, on another thread ([`post_mortem`]), after the same answer went out for every
//! reason.
//!
//! Slow hashes are the stated exception: a client that has one not proven yet is answered later ([`slow`]). No decoy is
//! computed for the others, because a stranger could have it computed at will.

pub mod entrusted;
pub mod slow;

use subtle::{Choice, ConditionallySelectable};

use crate::config::settings::kinds::{EndpointAuth, UnknownClients};
use crate::domain::clock::Timestamp;
use crate::domain::ids::SecretId;
use crate::domain::oauth::{AuthMethod, AuthResult, BasicEncoding};
use crate::domain::secret::Digest;
use crate::extract::{Credentials, Reading};
use crate::hash;
use crate::registry::{Client, Record, Slot, Snapshot, Tenancy};

/// Proof that a request presented an active secret of an enabled client. Only [`verify`] makes one.
pub struct Verified {
    client: Client,
    record: u32,
    method: AuthMethod,
    encoding: Option<BasicEncoding>,
}

impl Verified {
    /// Who it is.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The secret that was presented.
    pub fn record(&self) -> Option<&Record> {
        self.client.records().get(self.record as usize)
    }

    /// Index of that secret among the client's records.
    pub const fn record_index(&self) -> usize {
        self.record as usize
    }

    /// How it was presented.
    pub const fn method(&self) -> AuthMethod {
        self.method
    }

    /// Step 7: notes the use on the record's and the client's own atomics.
    pub fn note_use(&self, now: Timestamp) {
        if let Some(record) = self.record() {
            record.uses.note(now);
        }
        self.client.cells().count(AuthResult::Success);
        if let Some(encoding) = self.encoding {
            self.client.cells().count_basic(encoding);
        }
    }
}

/// What is left of refused credentials: enough to find out why, nothing that could be replayed.
pub struct Denied {
    /// The known client among the readings.
    pub client: Option<Client>,
    /// How they were presented.
    pub method: AuthMethod,
    digests: [Option<Digest>; 2],
}

/// Leave to pass unverified, because the configuration says so. Only [`Carried::without_secret`], [`Carried::unknown`] and
/// [`Carried::named`] give it.
pub struct Carried(());

impl Carried {
    /// For a request that presents no client secret, where the endpoint does not require one.
    pub fn without_secret(auth: EndpointAuth) -> Option<Self> {
        (auth == EndpointAuth::Optional).then_some(Self(()))
    }

    /// For a client that is not on the list, however its id is read and its tenant's name is spelled, where those are
    /// passed on.
    pub fn unknown(policy: UnknownClients, listed: Tenancy<'_>, credentials: &Credentials<'_>) -> Option<Self> {
        let unlisted = || credentials.may_name().all(|id| !listed.may_list(&id));
        (policy == UnknownClients::Pass && unlisted()).then_some(Self(()))
    }

    /// ... and presents no client secret, but only its id.
    pub fn named(policy: UnknownClients, listed: Tenancy<'_>, id: &[u8]) -> Option<Self> {
        (policy == UnknownClients::Pass && !listed.may_list(id)).then_some(Self(()))
    }
}

/// How verification ended.
pub enum Verdict {
    /// An active secret of an enabled client.
    Verified(Verified),
    /// Anything else.
    Denied(Denied),
    /// Two readings prove two different clients: a guess would be an authentication bypass.
    Ambiguous,
    /// Nothing known matches, and a slow record may: it must be computed.
    Slow(Box<slow::Pending>),
}

/// Verifies presented credentials against the clients of one tenant in one snapshot.
pub fn verify(listed: Tenancy<'_>, credentials: &Credentials<'_>, now: Timestamp) -> Verdict {
    let mut verified: Option<Verified> = None;
    let mut denied = Denied { client: None, method: credentials.method, digests: [None; 2] };
    let mut awaits = false;
    for (reading, kept) in credentials.readings().zip(&mut denied.digests) {
        let client = listed.client(reading.id);
        let Compared { digest, proof, record, awaits: slow } = compare(client, &reading, now);
        *kept = Some(digest);
        awaits |= slow;
        denied.client = denied.client.or_else(|| client.cloned());
        let Some(client) = client.filter(|_| bool::from(proof)) else { continue };
        match &verified {
            Some(first) if first.client.key != client.key => return Verdict::Ambiguous,
            Some(_) => {}
            None => {
                let (method, encoding) = (credentials.method, reading.encoding);
                verified = Some(Verified { client: client.clone(), record, method, encoding });
            }
        }
    }
    match verified {
        _ if awaits && slow::are_divided(listed, credentials) => Verdict::Ambiguous,
        Some(verified) => Verdict::Verified(verified),
        None if awaits => slow::pending(listed, credentials, denied, now),
        None => Verdict::Denied(denied),
    }
}

/// What comparing a reading gives.
struct Compared {
    digest: Digest,
    proof: Choice,
    record: u32,
    /// Whether a slow record of the client is still to be proven.
    awaits: bool,
}

/// One pass over eight slots. No early exit, no branch on what is presented, nor on whether it is right. What the client is,
/// whoever presents what, makes a few instructions: its slots are laid out for as many records as it has, and slow ones, which
/// most have none of, are compared besides.
fn compare(client: Option<&Client>, reading: &Reading<'_>, now: Timestamp) -> Compared {
    let digest = hash::sha256(reading.secret);
    let mut proof = Choice::from(0);
    let mut record = 0u32;
    let mut awaits = false;
    for slot in client.map_or(Slot::DUMMIES, Client::slots) {
        let accepted = slot.accepts(&digest, now);
        record.conditional_assign(&slot.record(), accepted);
        proof |= accepted;
    }
    if let Some(client) = client.filter(|client| !client.slow().is_empty()) {
        let (accepted, at) = slow::compare(client, &digest, now);
        record.conditional_assign(&at, accepted);
        proof |= accepted;
        awaits = client.awaits_proof(now);
    }
    let enabled = Choice::from(u8::from(client.is_some_and(|client| client.enabled)));
    let given = Choice::from(u8::from(!reading.secret.is_empty()));
    Compared { digest, proof: proof & enabled & given, record, awaits }
}

/// Why credentials were refused: for counters and logs only, on the control thread. The record is named when the secret
/// was one of the client's that is dead, pending or disabled.
pub fn post_mortem(denied: &Denied, now: Timestamp) -> (AuthResult, Option<&Record>) {
    let Some(client) = &denied.client else { return (AuthResult::UnknownClient, None) };
    match client.records().iter().find(|record| denied.digests.iter().flatten().any(|digest| record.held.knows(digest)))
    {
        Some(record) if !client.enabled => (AuthResult::DisabledClient, Some(record)),
        Some(record) => (record.why_refused(now), Some(record)),
        None if !client.enabled => (AuthResult::DisabledClient, None),
        None => (AuthResult::InvalidSecret, None),
    }
}

/// The secret that it would have been, where it was revoked and has left the list since.
pub fn tombstone<'s>(denied: &Denied, snapshot: &'s Snapshot) -> Option<&'s SecretId> {
    snapshot.buried(&denied.client.as_ref()?.key, |digest| denied.presented(digest))
}

impl Denied {
    /// Whether it was the secret of this digest that was presented.
    pub fn presented(&self, digest: &Digest) -> bool {
        self.digests.iter().flatten().any(|presented| presented == digest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::clients::ClientList;
    use crate::config::settings::kinds::BasicDecoding;
    use crate::config::tree::{Doc, Language};
    use crate::extract::form::Form;
    use crate::extract::{Presented, Scratch, extract};
    use crate::registry::build::{Ground, SecretFiles, build};

    pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    pub(super) fn snapshot(text: &str) -> Snapshot {
        snapshot_after(text, None)
    }

    pub(super) fn snapshot_after(text: &str, previous: Option<&Snapshot>) -> Snapshot {
        let list = ClientList::parse(Doc { name: "f", text }, Language::Toml, 0).0.unwrap();
        let files = SecretFiles::new();
        let ground = Ground {
            files: &files,
            previous,
            forwards: false,
            endpoints: &[],
            keep_revoked: Duration::ZERO,
            now: Timestamp::MIN,
        };
        build(list.clients, &ground, 0, Vec::new()).0.unwrap()
    }

    fn list() -> Snapshot {
        snapshot(
            r#"
            [[client]]
            id = "c1"
            max_active_secrets = 8
            secret = [
              { id = "old", secret = "one" },
              { id = "new", secret = "two" },
              { id = "gone", secret = "revoked", status = "revoked" },
              { id = "off", secret = "disabled", status = "disabled" },
              { id = "late", secret = "pending", not_before = "2026-11-19T00:00:00Z" },
              { id = "past", secret = "expired", expires = "2026-11-17T00:00:00Z" },
            ]
            [[client]]
            id = "off"
            enabled = false
            secret = [{ id = "s", secret = "one" }]
            [[client]]
            id = "a:b"
            secret = [{ id = "s", secret = "c" }]
            [[client]]
            id = "x"
            secret = [{ id = "s", secret = "a b" }]
            [[client]]
            id = "empty"
            "#,
        )
    }

    fn verdict(body: &str) -> Result<String, (AuthResult, Option<String>)> {
        let form = Form::parse(body.as_bytes()).unwrap();
        let mut scratch = Scratch::default();
        let Presented::Secret(credentials) = extract(None, &form, BasicDecoding::Both, &mut scratch).unwrap() else {
            panic!("nothing presented in {body}")
        };
        match verify(list().tenancy(""), &credentials, NOW) {
            Verdict::Verified(verified) => Ok(verified.record().unwrap().id.to_string()),
            Verdict::Denied(denied) => {
                let (result, record) = post_mortem(&denied, NOW);
                Err((result, record.map(|record| record.id.to_string())))
            }
            Verdict::Ambiguous | Verdict::Slow(_) => panic!("neither"),
        }
    }

    #[test]
    fn every_active_secret_is_accepted_and_every_dead_one_tells_why_afterwards() {
        use AuthResult::*;
        for (id, secret, expected) in [
            ("c1", "one", Ok("old")),
            ("c1", "two", Ok("new")),
            ("c1", "three", Err((InvalidSecret, None))),
            ("c1", "revoked", Err((RevokedSecret, Some("gone")))),
            ("c1", "disabled", Err((DisabledSecret, Some("off")))),
            ("c1", "pending", Err((NotYetValidSecret, Some("late")))),
            ("c1", "expired", Err((ExpiredSecret, Some("past")))),
            ("off", "one", Err((DisabledClient, Some("s")))),
            ("off", "two", Err((DisabledClient, None))),
            ("C1", "one", Err((UnknownClient, None))),
            ("nobody", "one", Err((UnknownClient, None))),
            ("empty", "one", Err((InvalidSecret, None))),
        ] {
            let body = format!("client_id={id}&client_secret={secret}");
            let expected = expected.map(str::to_owned).map_err(|(result, id)| (result, id.map(str::to_owned)));
            assert_eq!(verdict(&body), expected, "{body}");
        }
    }

    #[test]
    fn a_listed_client_is_not_unknown_because_its_tenant_is_spelled_in_other_capitals() {
        let of = |tenant: &str, id: &str| format!("[[client]]\ntenant = \"{tenant}\"\nid = \"{id}\"\n");
        let list = snapshot(
            &[of("master", "c1"), of("Shop", "c1"), of("SHOP", "c2"), "[[client]]\nid = \"c3\"\n".into()].concat(),
        );
        let passes = |policy, tenant: &str, id: &str| {
            let body = format!("client_id={id}&client_secret=x");
            let form = Form::parse(body.as_bytes()).unwrap();
            let mut scratch = Scratch::default();
            let Presented::Secret(credentials) = extract(None, &form, BasicDecoding::Both, &mut scratch).unwrap()
            else {
                panic!("nothing presented in {body}")
            };
            let listed = list.tenancy(tenant);
            let carried = Carried::unknown(policy, listed, &credentials).is_some();
            assert_eq!(Carried::named(policy, listed, id.as_bytes()).is_some(), carried, "{tenant} {id}");
            carried
        };
        for (tenant, id, expected) in [
            ("master", "c1", false),
            ("Master", "c1", false),
            ("MASTER", "c1", false),
            ("shop", "c1", false),
            ("Shop", "c1", false),
            ("sHOP", "c2", false),
            ("Master", "c2", true),
            ("master", "C1", true),
            ("master2", "c1", true),
            ("", "c1", true),
            ("", "c3", false),
            ("master", "c3", true),
        ] {
            assert_eq!(passes(UnknownClients::Pass, tenant, id), expected, "{tenant} {id}");
            assert!(!passes(UnknownClients::Refuse, tenant, id), "{tenant} {id}");
        }
    }

    #[test]
    fn windows_open_at_not_before_and_close_at_expires() {
        let text = "[[client]]\nid = \"c\"\n[[client.secret]]\nid = \"s\"\nsecret = \"x\"\nnot_before = 2026-01-01T00:00:00Z\nexpires = 2026-01-02T00:00:00Z\n";
        let snapshot = snapshot(text);
        let start = crate::config::values::timestamp("2026-01-01T00:00:00Z").unwrap().millis();
        let day = 86_400_000;
        let form = Form::parse(b"client_id=c&client_secret=x").unwrap();
        for (at, accepted) in [(start - 1, false), (start, true), (start + day - 1, true), (start + day, false)] {
            let mut scratch = Scratch::default();
            let Presented::Secret(credentials) = extract(None, &form, BasicDecoding::Both, &mut scratch).unwrap()
            else {
                panic!()
            };
            let verdict = verify(snapshot.tenancy(""), &credentials, Timestamp::from_millis(at));
            assert_eq!(matches!(verdict, Verdict::Verified(_)), accepted, "{at}");
        }
    }

    #[test]
    fn either_reading_of_basic_may_prove_the_client() {
        let form = Form::parse(b"").unwrap();
        for (credential, accepted) in
            [("x:a b", true), ("x:a+b", true), ("x:a%20b", true), ("a%3Ab:c", true), ("x:a%2Bb", false)]
        {
            let (id, secret) = credential.split_once(':').unwrap();
            let value = crate::extract::basic::write(id.as_bytes(), secret.as_bytes());
            let mut scratch = Scratch::default();
            let Presented::Secret(credentials) =
                extract(Some(value.as_bytes()), &form, BasicDecoding::Both, &mut scratch).unwrap()
            else {
                panic!()
            };
            let list = list();
            let verdict = verify(list.tenancy(""), &credentials, NOW);
            assert_eq!(matches!(verdict, Verdict::Verified(_)), accepted, "{credential}");
        }
    }
}
