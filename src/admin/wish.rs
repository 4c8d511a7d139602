//! What a caller of the admin API may ask: the bodies of its requests, from JSON to the words of the rules.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::answer::Fault;
use crate::config::edit::{NewClient, NewSecret};
use crate::config::values;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, ClientKey, SecretId, Tenant};
use crate::domain::mint;
use crate::domain::secret::Secret;
use crate::hash;
use crate::lifecycle::{Policy, QUIET_FOR};

/// How strict the guard is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Pass it whatever it says.
    #[serde(default)]
    pub force: bool,
    /// How long a secret must have been quiet, such as `24h`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$", default = "24h")]
    pub quiet_for: Option<String>,
}

impl Guard {
    /// How long a secret must have been quiet.
    pub(super) fn quiet_for(&self) -> Result<Duration, Fault> {
        self.quiet_for.as_deref().map_or(Ok(QUIET_FOR), |text| duration("quiet_for", text))
    }

    pub(super) fn policy(&self, now: Timestamp) -> Result<Policy, Fault> {
        Ok(Policy { now, force: self.force, quiet_for: self.quiet_for()? })
    }
}

/// `POST /api/v1/clients`
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientWish {
    /// Its id.
    #[schema(min_length = 1, max_length = 512)]
    pub id: String,
    /// Its tenant; empty for none.
    #[schema(max_length = 128, pattern = r"^([A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// Files with the upstream's secrets, as the list will name them.
    #[serde(default)]
    pub upstream_secret_files: Vec<String>,
    /// Its first secret; one is made where nothing is said of it.
    #[serde(default)]
    pub secret: SecretWish,
}

/// `POST /api/v1/clients/{id}/secrets`
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretWish {
    /// A name for people; the month where nothing is given.
    pub name: Option<String>,
    /// When its time comes, RFC 3339.
    #[schema(format = DateTime)]
    pub not_before: Option<String>,
    /// When its time is over, RFC 3339.
    #[schema(format = DateTime)]
    pub expires: Option<String>,
    /// How long it lives, such as `90d`; in place of `expires`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$")]
    pub expires_in: Option<String>,
    /// A hash of a secret that was made elsewhere.
    pub hash: Option<String>,
    /// The last characters of that secret.
    pub hint: Option<String>,
    /// A secret that was made elsewhere.
    #[schema(value_type = Option<String>, min_length = 1)]
    pub client_secret: Option<Zeroizing<String>>,
}

/// Without what must not be printed.
impl std::fmt::Debug for SecretWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretWish").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `POST /api/v1/clients/{id}/secrets/{sid}/lifecycle/...`
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleWish {
    /// Pass the guard whatever it says.
    #[serde(default)]
    pub force: bool,
    /// How long the secret must have been quiet, such as `24h`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$", default = "24h")]
    pub quiet_for: Option<String>,
    /// For `expire`: in how long; at once where nothing is said.
    #[serde(rename = "in")]
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$")]
    pub in_: Option<String>,
    /// For `rehearse`: for how long, up to `1h`.
    #[serde(rename = "for")]
    #[schema(pattern = "^([1-9]|[1-5][0-9])(s|m)$", default = "60s")]
    pub for_: Option<String>,
    /// For `revoke`: somebody has it who should not.
    #[serde(default)]
    pub compromised: bool,
}

impl LifecycleWish {
    pub(super) fn guard(&self) -> Guard {
        Guard { force: self.force, quiet_for: self.quiet_for.clone() }
    }
}

/// A client as a body names it: by its id alone where it is of no tenant, or of the one that the query names.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Whose {
    /// By its id.
    Id(WrittenId),
    /// With its tenant.
    Of(InTenant),
}

/// A client of a tenant, as a body names it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InTenant {
    /// Its tenant.
    #[schema(max_length = 128, pattern = r"^([A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$")]
    tenant: String,
    /// Its id.
    #[schema(min_length = 1, max_length = 512)]
    id: String,
}

/// A client's id as somebody wrote it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(min_length = 1, max_length = 512)]
pub struct WrittenId(String);

impl Whose {
    /// As it is named best.
    pub fn of(tenant: &str, id: &str) -> Self {
        match tenant {
            "" => Self::Id(WrittenId(id.to_owned())),
            tenant => Self::Of(InTenant { tenant: tenant.to_owned(), id: id.to_owned() }),
        }
    }

    /// Which client it is, `asked` being the tenant in the query.
    pub(super) fn key(&self, asked: Option<&str>) -> Result<ClientKey, Fault> {
        match self {
            Self::Id(WrittenId(id)) => client_key(one_tenant(None, asked)?, id),
            Self::Of(InTenant { tenant, id }) => client_key(one_tenant(Some(tenant), asked)?, id),
        }
    }
}

/// The tenant that a body names, or the query: never two.
fn one_tenant<'t>(own: Option<&'t str>, asked: Option<&'t str>) -> Result<&'t str, Fault> {
    match (own, asked.unwrap_or_default()) {
        (None, asked) => Ok(asked),
        (Some(own), asked) if asked.is_empty() || own == asked => Ok(own),
        _ => Err(Fault::invalid("the query names another tenant than the body\n  Nothing was changed.".to_owned())),
    }
}

/// Which client is meant.
pub(super) fn client_key(tenant: &str, id: &str) -> Result<ClientKey, Fault> {
    let shown = |text: &str| text.chars().take(64).collect::<String>();
    let invalid = |what: &str, text: &str| Fault::invalid(format!("{:?} is no {what}", shown(text)));
    let tenant = Tenant::parse(tenant)
        .ok_or_else(|| invalid("tenant: one segment of a path, up to 128 of A-Z a-z 0-9 . _ ~ -", tenant))?;
    let id = ClientId::parse(id).ok_or_else(|| invalid("client id: 1 to 512 bytes", id))?;
    Ok(ClientKey { tenant, id })
}

/// `POST /api/v1/rotate`
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateWish {
    /// Which clients.
    #[serde(default)]
    pub clients: Vec<Whose>,
    /// A hard end for the old secrets: in how long; `0s` ends them now.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$")]
    pub grace: Option<String>,
    /// A name for the new ones.
    pub name: Option<String>,
    /// Pass the guard whatever it says.
    #[serde(default)]
    pub force: bool,
    /// How long the old ones must have been quiet, such as `24h`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$", default = "24h")]
    pub quiet_for: Option<String>,
    /// Not the secret that the same caller was given a moment ago.
    #[serde(skip)]
    pub anew: bool,
}

/// `POST /api/v1/clients/{id}/rotate`
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateOneWish {
    /// A hard end for the old secrets: in how long; `0s` ends them now.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$")]
    grace: Option<String>,
    /// A name for the new one.
    name: Option<String>,
    /// Pass the guard whatever it says.
    #[serde(default)]
    force: bool,
    /// How long the old ones must have been quiet, such as `24h`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)$", default = "24h")]
    quiet_for: Option<String>,
}

impl From<RotateOneWish> for RotateWish {
    fn from(one: RotateOneWish) -> Self {
        let RotateOneWish { grace, name, force, quiet_for } = one;
        Self { grace, name, force, quiet_for, ..Self::default() }
    }
}

impl RotateWish {
    pub(super) fn guard(&self) -> Guard {
        Guard { force: self.force, quiet_for: self.quiet_for.clone() }
    }

    pub(super) fn grace(&self) -> Result<Option<Duration>, Fault> {
        self.grace.as_deref().map(|text| duration("grace", text)).transpose()
    }
}

/// A secret that is to enter the list, and its plaintext where we made it.
pub(super) struct Made {
    pub(super) secret: NewSecret,
    /// The secret that we made, to be shown once.
    pub(super) plain: Option<Secret>,
    /// The secret that was given, to be held against those that are there.
    pub(super) given: Option<Secret>,
}

struct Material {
    hash: String,
    hint: Option<String>,
    plain: Option<Secret>,
    given: Option<Secret>,
}

impl SecretWish {
    /// Makes the secret, or takes the one that was given.
    pub(super) fn make(&self, now: Timestamp) -> Result<Made, Fault> {
        let Material { hash, hint, plain, given } = self.material()?;
        let time = |key: &str, text: &Option<String>| match text.as_deref() {
            Some(text) => match values::timestamp(text) {
                Some(at) => Ok(Some(at.rfc3339())),
                None => Err(Fault::invalid(format!("{key}: expected a time such as \"2026-11-21T01:30:00Z\""))),
            },
            None => Ok(None),
        };
        let expires = match (&self.expires, &self.expires_in) {
            (Some(_), Some(_)) => return Err(Fault::invalid("give either expires or expires_in".to_owned())),
            (_, Some(length)) => Some(now.plus(duration("expires_in", length)?).rfc3339()),
            (expires, None) => time("expires", expires)?,
        };
        let secret = NewSecret {
            id: secret_id()?,
            name: self.name.clone().unwrap_or_else(|| now.rfc3339().chars().take(7).collect()),
            hash,
            hint,
            created: now.rfc3339(),
            not_before: time("not_before", &self.not_before)?,
            expires,
        };
        Ok(Made { secret, plain, given })
    }

    fn material(&self) -> Result<Material, Fault> {
        match (&self.hash, &self.client_secret) {
            (Some(_), Some(_)) => Err(Fault::invalid("give either hash or client_secret".to_owned())),
            (Some(hash), None) => match hash::read(hash) {
                Ok(_) => Ok(Material { hash: hash.clone(), hint: self.hint.clone(), plain: None, given: None }),
                Err(why) => Err(Fault::invalid(format!("the hash {why}"))),
            },
            (None, Some(text)) if text.is_empty() => Err(Fault::invalid("the secret is empty".to_owned())),
            (None, Some(text)) => {
                let secret = Secret::new(text.as_bytes().to_vec());
                let (hash, hint) = (hash::keep(&secret, salt()?), secret.hint());
                Ok(Material { hash, hint, plain: None, given: Some(secret) })
            }
            (None, None) => {
                let mut failed = false;
                let secret = mint::secret(|bytes| failed |= getrandom::fill(bytes).is_err());
                if failed {
                    return Err(no_random());
                }
                let (hash, hint) = (hash::write(&hash::of(&secret)), secret.hint());
                Ok(Material { hash, hint, plain: Some(secret), given: None })
            }
        }
    }
}

impl ClientWish {
    /// Which client it is to be, of the tenant that the body names, or the query.
    pub(super) fn key(&self, asked: Option<&str>) -> Result<ClientKey, Fault> {
        let own = Some(&*self.tenant).filter(|own| !own.is_empty());
        client_key(one_tenant(own, asked)?, &self.id)
    }

    pub(super) fn new_client(&self, key: ClientKey, secrets: Vec<NewSecret>) -> NewClient {
        NewClient { key, name: self.name.clone(), upstream_secret_files: self.upstream_secret_files.clone(), secrets }
    }
}

fn secret_id() -> Result<SecretId, Fault> {
    let mut failed = false;
    let id = mint::secret_id(|bytes| failed |= getrandom::fill(bytes).is_err());
    SecretId::parse(&id).filter(|_| !failed).ok_or_else(no_random)
}

fn salt() -> Result<[u8; 16], Fault> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| no_random())?;
    Ok(salt)
}

pub(super) fn no_random() -> Fault {
    Fault::failed("the system's random source failed\n  Nothing was changed.".to_owned())
}

pub(super) fn duration(key: &str, text: &str) -> Result<Duration, Fault> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    values::duration(text)
        .ok_or_else(|| Fault::invalid(format!("{key}: expected a duration with a unit, such as \"24h\"")))
}
