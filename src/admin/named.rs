//! Which client, and which of its secrets, a path of the admin API names: ids in the path, the tenant in the query.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Fault;
use super::words::Words;

use super::wish::client_key;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::spoken::named;

/// The client of `/clients/{id}`, of the tenant that `?tenant=` names.
pub(super) struct Named(pub(super) ClientKey);

/// The secret of `/clients/{id}/secrets/{secret}`.
pub(super) struct NamedSecret(pub(super) ClientKey, pub(super) SecretId);

/// `?tenant=`: absent, or empty, for a client of none.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfTenant {
    /// The client's tenant; empty, or left out, for a client of none.
    #[param(required = false, max_length = 128, pattern = r"^([A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$")]
    pub(super) tenant: Option<String>,
}

/// The ids of a path as they are written there.
#[derive(Deserialize)]
pub(super) struct Ids {
    pub(super) id: String,
    #[serde(default)]
    pub(super) secret: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let unreadable = || Fault::invalid("the path cannot be read\n  Nothing was changed.".to_owned());
        Path::from_request_parts(parts, state).await.map(|Path(ids)| ids).map_err(|_| unreadable())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        Ok(Self(read(parts, state).await?.0))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NamedSecret {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let (client, secret) = read(parts, state).await?;
        let secret = secret_id(&client, &secret)?;
        Ok(Self(client, secret))
    }
}

async fn read<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<(ClientKey, String), Fault> {
    let Ids { id, secret } = Ids::from_request_parts(parts, state).await?;
    let Words(OfTenant { tenant }) = Words::from_request_parts(parts, state).await?;
    Ok((client_key(&tenant.unwrap_or_default(), &id)?, secret))
}

pub(super) fn secret_id(client: &ClientKey, text: &str) -> Result<SecretId, Fault> {
    SecretId::parse(text).ok_or_else(|| {
        // What was typed may be the secret itself: it is not quoted.
        Fault::not_found(format!(
            "that is no secret id: those are 1 to 64 of [a-z0-9_]\n  Nothing was changed. \
             `relatch secret list {}` shows them.",
            named(client)
        ))
    })
}
