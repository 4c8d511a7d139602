//! The client list as it stands in one file: entries, each knowing its place, before any rule about the whole list.

pub mod pieces;

use std::path::PathBuf;
use std::sync::Arc;

use super::problem::{Place, Problems};
use super::reader::{FromNode, Reading, Section};
use super::tree::{Doc, Language, Value};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, ClientKey, SecretId, Tenant};
use crate::domain::oauth::BasicEncoding;
use crate::domain::secret::{Digest, Secret};
use crate::hash::{self, Kept, Slow, Unreadable};
use crate::{from_text, from_words};

/// One file of the list.
#[derive(Debug, Default)]
pub struct ClientList {
    /// The clients, in the order of the file.
    pub clients: Vec<ClientEntry>,
    /// `[end]`: how many clients and secrets the file says it has.
    pub end: Option<(usize, usize)>,
}

/// Where an entry stands: which file of those read together, and the byte in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Index of the file.
    pub file: usize,
    /// Byte offset in its text.
    pub offset: usize,
}

/// One `[[client]]`.
#[derive(Debug)]
pub struct ClientEntry {
    /// Its tenant and its id.
    pub key: ClientKey,
    /// A name for people.
    pub name: String,
    /// Whether any secret of it is accepted.
    pub enabled: bool,
    /// How many secrets may be active at once.
    pub max_active: usize,
    /// The client's own identity at the upstream; present means replace mode.
    pub upstream: Option<UpstreamEntry>,
    /// Its secrets, in the order of the file.
    pub secrets: Vec<SecretEntry>,
    /// Where it stands.
    pub spot: Spot,
    /// Where its table begins: at its header, where it has one.
    pub start: Spot,
}

/// `[client.upstream]`
#[derive(Debug)]
pub struct UpstreamEntry {
    /// The id at the upstream, where it differs.
    pub id: Option<ClientId>,
    /// Files with the upstream's secrets, tried in order.
    pub secret_files: Vec<PathBuf>,
    /// How the credentials are sent.
    pub method: UpstreamMethod,
    /// How Basic is written.
    pub basic_encoding: BasicEncoding,
}

/// `[client.upstream] method`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamMethod {
    /// As the client did.
    Same,
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
}
from_words!(UpstreamMethod, "same, basic or post",
    {"same" => Self::Same, "basic" => Self::Basic, "post" => Self::Post});
from_words!(BasicEncoding, "rfc6749 or raw", {"rfc6749" => Self::Rfc6749, "raw" => Self::Raw});

/// One `[[client.secret]]`.
#[derive(Debug)]
pub struct SecretEntry {
    /// Its id.
    pub id: SecretId,
    /// A name for people.
    pub name: String,
    /// What the operator wants of it.
    pub status: SecretStatus,
    /// What it is made of.
    pub material: Material,
    /// The last characters of it.
    pub hint: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its time comes.
    pub not_before: Option<Timestamp>,
    /// When its time is over.
    pub expires: Option<Timestamp>,
    /// A rehearsal of its end: refused until then, and accepted again by the clock alone.
    pub refused_until: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why, such as `compromised`.
    pub revoked_reason: Option<String>,
    /// Where it stands.
    pub spot: Spot,
}

/// `[[client.secret]] status`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretStatus {
    /// Accepted while its window holds.
    Active,
    /// Refused, and may be enabled again.
    Disabled,
    /// Refused for good.
    Revoked,
}
from_words!(SecretStatus, "active, disabled or revoked",
    {"active" => Self::Active, "disabled" => Self::Disabled, "revoked" => Self::Revoked});

/// What a record is verified against.
#[derive(Debug)]
pub enum Material {
    /// A digest that stands in the list.
    Digest(Digest),
    /// A slow hash that stands in the list.
    Slow(Arc<Slow>),
    /// A hash that is not verified: the record stays, and is never accepted.
    Unusable {
        /// What tells it from any other hash.
        identity: Digest,
        /// Why.
        why: Unreadable,
    },
    /// A secret that stands in the list in the clear.
    Plain(Secret),
    /// A file that holds the secret; relative to the list's folder.
    File(PathBuf),
}

/// A hash in its written form, such as `$sha256$...`.
struct Written {
    material: Material,
    /// Whether it says that it is no hash at all.
    clear: bool,
}
from_text!(
    Written,
    "a hash as \"$sha256$\" and 43 characters of unpadded base64url, or a whole one as another system wrote it: \
     argon2, bcrypt, PBKDF2, SHA-256 or SHA-512",
    Written::read
);

impl Written {
    /// Reads a hash; nothing where it is in no format at all.
    fn read(text: &str) -> Option<Self> {
        let material = match hash::read(text) {
            Ok(Kept::Fast(digest)) => Material::Digest(digest),
            Ok(Kept::Slow(slow)) => Material::Slow(slow),
            Err(Unreadable::Malformed) => return None,
            Err(why) => Material::Unusable { identity: hash::unusable(text), why },
        };
        Some(Self { material, clear: ["{noop}", "$plaintext$"].iter().any(|start| text.starts_with(start)) })
    }
}

/// A secret in the clear. A type of its own, so that its text can reach no message.
struct Clear(Secret);
impl FromNode for Clear {
    const EXPECTED: &'static str = "a string that is not empty";
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::String(text) if !text.is_empty() => Ok(Self(Secret::new(text.as_bytes().to_vec()))),
            Value::String(_) => Err(Some(format!("expected {}", Self::EXPECTED))),
            _ => Err(None),
        }
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "minLength": 1})
    }
}

/// What two secrets, one in use and one to come, need.
pub const MAX_ACTIVE: usize = 2;
/// As many as verification compares, always.
pub const MOST_ACTIVE: usize = 8;

impl ClientList {
    /// Reads one file of the list, `file` being its index among those read together. Entries are given as far as they can
    /// be read; they may be used only where there are no errors.
    pub fn parse(doc: Doc<'_>, language: Language, file: usize) -> (Option<Self>, Problems) {
        if language == Language::Toml
            && let Some(list) = pieces::read(doc.text, file)
        {
            return (Some(list), Problems::default());
        }
        let reading = Reading::of(doc);
        let node = reading.doc.parse(language, &mut reading.problems.borrow_mut());
        let list = node.map(|node| {
            let mut root = Section::root(&reading, &node);
            let list = Self::read(&mut root, file);
            root.finish();
            list
        });
        (list, reading.problems.into_inner())
    }

    pub(super) fn read(root: &mut Section<'_, '_>, file: usize) -> Self {
        let read = Self::take(root, file);
        if read.end.is_some() && read.clients.iter().any(|client| client.spot.offset > root.offset("end")) {
            root.error("end", "is not the last thing in the file: what stands behind it could be cut off unseen");
        }
        let found = read.counts();
        if let Some(said) = read.end.filter(|said| *said != found) {
            let message = format!(
                "says {} clients and {} secrets, the file has {} and {}: it was cut, or edited without its count",
                said.0, said.1, found.0, found.1
            );
            root.error("end", message);
        }
        read
    }

    /// What stands there, whatever `[end]` says of it.
    fn take(root: &mut Section<'_, '_>, file: usize) -> Self {
        let _: Option<String> = root.take("$schema", "For editors");
        let clients = root.sections("client", |section| ClientEntry::read(section, file));
        let end = root.section("end", |section| {
            let clients: usize = section.take("clients", "How many clients the file has").unwrap_or_default();
            let secrets: usize = section.take("secrets", "How many secrets the file has").unwrap_or_default();
            let whole = section.has("clients") && section.has("secrets");
            if section.given() && !whole {
                section.error("", "needs both clients and secrets: the file may have been cut");
            }
            section.given().then_some((clients, secrets))
        });
        Self { clients: clients.into_iter().flatten().collect(), end }
    }

    /// How many clients and secrets there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.clients.len(), self.clients.iter().map(|client| client.secrets.len()).sum())
    }
}

impl ClientEntry {
    fn read(section: &mut Section<'_, '_>, file: usize) -> Option<Self> {
        let id: Option<ClientId> = section.must("id", "The client_id, exact bytes");
        let tenant_doc = "Whose it is, as {tenant} in the path says it: the same id may stand in two tenants";
        let tenant: Option<Tenant> = section.take("tenant", tenant_doc);
        // One that cannot be read is an error: its client is not to be taken for one that has none.
        let tenant = if section.has("tenant") { tenant } else { Some(Tenant::default()) };
        let name = section.or("name", "For people", String::new());
        let enabled = section.or("enabled", "Whether any secret of it is accepted", true);
        let max_active = section.or("max_active_secrets", "1 to 8", MAX_ACTIVE);
        if !(1..=MOST_ACTIVE).contains(&max_active) {
            section.error("max_active_secrets", "expected 1 to 8");
        }
        let upstream = section.section("upstream", UpstreamEntry::read);
        let secrets = section.sections("secret", |secret| SecretEntry::read(secret, file));
        let spot = Spot { file, offset: section.offset("id") };
        let start = Spot { file, offset: section.offset("") };
        let secrets = secrets.into_iter().flatten().collect();
        let key = ClientKey { tenant: tenant?, id: id? };
        Some(Self { key, name, enabled, max_active, upstream, secrets, spot, start })
    }
}

impl UpstreamEntry {
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let id = section.take("id", "The id at the upstream; default: the same");
        let one: Option<String> = section.take("secret_file", "A file with the upstream's secret");
        let several: Option<Vec<String>> = section.take("secret_files", "Several, tried in order");
        let method = section.or("method", "same, basic or post", UpstreamMethod::Same);
        let basic_encoding = section.or("basic_encoding", "rfc6749 or raw", BasicEncoding::Rfc6749);
        if !section.given() {
            return None;
        }
        let secret_files = match (one, several) {
            (Some(one), None) => vec![one],
            (None, Some(several)) => several,
            (Some(_), Some(_)) => {
                section.error("secret_file", "stands beside secret_files: keep one of them");
                Vec::new()
            }
            (None, None) => Vec::new(),
        };
        if secret_files.is_empty() || secret_files.iter().any(String::is_empty) {
            section.error(
                "",
                "needs secret_file = \"...\" or secret_files = [...]: replace mode sends the upstream's secret",
            );
        }
        let secret_files = secret_files.into_iter().map(PathBuf::from).collect();
        Some(Self { id, secret_files, method, basic_encoding })
    }
}

impl SecretEntry {
    fn read(section: &mut Section<'_, '_>, file: usize) -> Option<Self> {
        let id: Option<SecretId> = section.must("id", "Unique within the client");
        let name = section.or("name", "For people", String::new());
        let status = section.or("status", "active, disabled or revoked", SecretStatus::Active);
        let hash: Option<Written> = section.take("hash", "$sha256$..., or as another system wrote it");
        let plain: Option<Clear> = section.take("secret", "In the clear, for a first try");
        let from: Option<String> = section.take("secret_file", "A file that holds the secret");
        let given = ["hash", "secret", "secret_file"].iter().filter(|key| section.has(key)).count();
        if given != 1 {
            section.error("", "needs exactly one of hash, secret and secret_file");
        }
        if plain.is_some() {
            section.warn("secret", "stands here in the clear: put hash = \"$sha256$...\" or secret_file in its place");
        }
        if hash.as_ref().is_some_and(|hash| hash.clear) {
            section.warn("hash", "stands here in the clear: put hash = \"$sha256$...\" in its place");
        }
        let material = hash
            .map(|hash| hash.material)
            .or_else(|| plain.map(|plain| Material::Plain(plain.0)))
            .or_else(|| from.map(|path| Material::File(path.into())));
        let hint = section.take("hint", "The last characters, to tell two secrets apart");
        let created = section.take("created", "When it was made");
        let not_before = section.take("not_before", "When its time comes");
        let expires = section.take("expires", "When its time is over");
        let refused_until = section.take("refused_until", "A rehearsal: refused until then, accepted again after it");
        let revoked_at: Option<Timestamp> = section.take("revoked_at", "When it was revoked");
        let revoked_reason: Option<String> = section.take("revoked_reason", "Why, such as compromised");
        if status != SecretStatus::Revoked && (revoked_at.is_some() || revoked_reason.is_some()) {
            section.error(
                "status",
                "stands beside revoked_at or revoked_reason: write status = \"revoked\" or take those out",
            );
        }
        if let (Some(start), Some(end)) = (not_before, expires)
            && end <= start
        {
            section.error("expires", "is not after not_before: the secret would never be accepted");
        }
        let spot = Spot { file, offset: section.offset("id") };
        let (id, material) = (id?, material?);
        Some(Self {
            id,
            name,
            status,
            material,
            hint,
            created,
            not_before,
            expires,
            refused_until,
            revoked_at,
            revoked_reason,
            spot,
        })
    }
}

/// Where a spot is, given the files that were read together.
pub fn place(docs: &[Doc<'_>], spot: Spot) -> Place {
    docs.get(spot.file).map_or_else(|| Place::whole(""), |doc| doc.place(spot.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let (_, problems) = ClientList::parse(Doc { name: "clients.toml", text }, Language::Toml, 0);
        problems.errors.iter().map(ToString::to_string).collect()
    }

    const HASH: &str = "hash = \"$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU\"";

    #[test]
    fn a_list_is_read() {
        let text = format!(
            "#:schema ./x.json\n[[client]]\nid = \"billing\"\n[client.upstream]\nsecret_files = [\"a\", \"b\"]\n\
             [[client.secret]]\nid = \"sec_1\"\n{HASH}\ncreated = 2026-11-21T01:30:00Z\n[end]\nclients = 1\nsecrets = 1\n"
        );
        let (list, problems) = ClientList::parse(Doc { name: "f", text: &text }, Language::Toml, 0);
        let list = list.unwrap_or_else(|| panic!("{problems:?}"));
        assert_eq!(list.end, Some((1, 1)));
        assert_eq!(list.clients[0].upstream.as_ref().unwrap().secret_files.len(), 2);
        assert!(list.clients[0].secrets[0].created.is_some());
    }

    #[test]
    fn every_slip_is_named_and_no_secret_is_shown() {
        let client = |rest: &str| format!("[[client]]\nid = \"c\"\n[[client.secret]]\nid = \"s\"\n{rest}\n");
        for (text, word) in [
            (client(""), "exactly one of"),
            (client(&format!("{HASH}\nsecret = \"canary\"")), "exactly one of"),
            (client("hash = \"$sha256$canary\""), "expected a hash"),
            (client("hash = \"canary\""), "expected a hash"),
            (client("secret = \"\""), "not empty"),
            (client("secret = 42"), "found a whole number"),
            (client(&format!("{HASH}\nexpires = -1")), "expected a time"),
            (client(&format!("{HASH}\nexpires = 9e99")), "expected a time"),
            (client(&format!("{HASH}\nexpires = nan")), "expected a time"),
            (client(&format!("{HASH}\nstatus = \"gone\"")), "active, disabled or revoked"),
            (client(&format!("{HASH}\nrevoked_reason = \"x\"")), "status"),
            (client(&format!("{HASH}\nnot_before = 2026-01-02T00:00:00Z\nexpires = 2026-01-01T00:00:00Z")), "never"),
            ("[[client]]\n".to_owned(), "id: is missing"),
            ("[[client]]\nid = \"c\"\ntenant = \"a/b\"\n".to_owned(), "client[0].tenant: expected one segment"),
            ("[[client]]\nid = \"c\"\ntenant = \"..\"\n".to_owned(), "client[0].tenant: expected one segment"),
            ("[[client]]\nid = \"c\"\nmax_active_secrets = 9\n".to_owned(), "1 to 8"),
            ("[[client]]\nid = \"c\"\n[client.upstream]\nmethod = \"basic\"\n".to_owned(), "secret_file"),
            ("[end]\nclients = 1\nsecrets = 0\n".to_owned(), "says 1 clients"),
            ("[end]\nclients = 0\n".to_owned(), "needs both"),
        ] {
            let errors = errors(&text);
            assert!(errors.iter().any(|error| error.contains(word)), "{text}: {errors:?}");
            assert!(!errors.concat().contains("canary"), "{errors:?}");
        }
    }
}
