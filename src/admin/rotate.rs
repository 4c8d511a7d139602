//! Rotations: one client by its own route, or many in one write of the list.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Fault, FaultObject};
use super::body::Body;
use super::caller::Caller;
use super::change::Wish;
use super::etag::{IfMatch, Tag, Tagged};
use super::ground::{Ground, View};
use super::journal::Journal;
use super::named::{Named, OfTenant};
use super::object::SecretObject;
use super::repeat::Asked;
use super::routes::secret_object;
use super::wish::{Made, RotateOneWish, RotateWish, SecretWish};
use super::words::Words;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Secret;
use crate::lifecycle::{Action, Refused};

/// What became of each client's rotation.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct RotationsObject {
    /// One a client, in the order they were asked for.
    pub results: Vec<RotationObject>,
}

/// What became of one client's rotation.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct RotationObject {
    /// The client's id.
    pub client_id: String,
    /// The client's tenant; absent where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Its new secret, with the plaintext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretObject>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultObject>,
}

/// Rotate a client's secret
///
/// Makes a new one, shown in this one answer; the old ones go on working until they are revoked, or for `grace`. Asked again
/// by the same caller within three minutes, and before the new one is used, it answers the same.
#[utoipa::path(
    post,
    path = "/api/v1/clients/{id}/rotate",
    operation_id = "rotateClient",
    tag = "secrets",
    params(("id" = String, Path, description = "The client's id."), OfTenant),
    request_body = RotateOneWish,
    responses((status = 200, description = "The new secret.", body = SecretObject))
)]
pub(super) async fn one(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    Named(client): Named,
    if_match: IfMatch,
    Body(wish): Body<RotateOneWish>,
) -> Result<Tagged<SecretObject>, Fault> {
    let wish = RotateWish::from(wish);
    let wanted = |view: &View| if_match.holds(&Tag::of(view, &client)?);
    let rotated = ground.rotate(&caller, vec![client.clone()], &wish, wanted).await?.into_iter().next();
    let (_, result) = rotated.ok_or_else(|| Fault::invalid("no client is named".to_owned()))?;
    let object = result?;
    let list = ground.snapshot.load();
    let client = list.client(&client).ok_or_else(|| Fault::from(Refused::NoClient(client.clone())))?;
    Ok(Tagged(Tag::of_client(client), object))
}

/// Rotate the secrets of several clients
///
/// In one write of the list. What a rule refuses for one client is told in its place, and does not hold up the others.
#[utoipa::path(
    post,
    path = "/api/v1/rotate",
    operation_id = "rotateClients",
    tag = "secrets",
    request_body = RotateWish,
    responses((status = 200, description = "What became of each, in the order asked for.", body = RotationsObject))
)]
pub(super) async fn several(
    State(ground): State<Arc<Ground>>,
    Words(asked): Words<OfTenant>,
    Extension(caller): Extension<Caller>,
    if_match: IfMatch,
    Body(wish): Body<RotateWish>,
) -> Result<Json<RotationsObject>, Fault> {
    let ids = wish.clients.iter().map(|client| client.key(asked.tenant.as_deref())).collect::<Result<Vec<_>, _>>()?;
    let wanted = |view: &View| if_match.holds(&Tag::of_list(&view.snapshot));
    let rotated = ground.rotate(&caller, ids, &wish, wanted).await?;
    let object = |(client, result): (ClientKey, Result<SecretObject, Fault>)| {
        let (secret, fault) = match result {
            Ok(secret) => (Some(secret), None),
            Err(fault) => (None, Some(fault.object())),
        };
        RotationObject { client_id: client.id.to_string(), tenant: client.tenant.to_string(), secret, fault }
    };
    Ok(Json(RotationsObject { results: rotated.into_iter().map(object).collect() }))
}

impl Ground {
    /// A new secret for each client, or what stands against it; for a retry of the same caller the one it had.
    pub(super) async fn rotate(
        self: &Arc<Self>,
        caller: &Caller,
        ids: Vec<ClientKey>,
        wish: &RotateWish,
        wanted: impl Fn(&View) -> Result<(), Fault> + Send + Sync,
    ) -> Result<Vec<(ClientKey, Result<SecretObject, Fault>)>, Fault> {
        let mut named = HashSet::new();
        if let Some(twice) = ids.iter().find(|client| !named.insert(*client)) {
            return Err(Fault::invalid(format!("client {twice} is named twice\n  Nothing was changed.")));
        }
        let _turn = self.turn().await?;
        self.catch_up().await?;
        let alone = || if let [one] = &*ids { Some(one) } else { None };
        let guard = wish.guard();
        let view = self.view_back(alone(), guard.quiet_for()?).await;
        let (policy, grace) = (guard.policy(view.now)?, wish.grace()?);
        let asked = Asked { caller: caller.identity(), grace, name: wish.name.clone() };
        let template = SecretWish { name: wish.name.clone(), ..SecretWish::default() };
        let mut had: HashMap<ClientKey, (SecretId, Secret)> = HashMap::new();
        let mut made: HashMap<ClientKey, (SecretId, Option<Secret>)> = HashMap::new();
        let mut wishes = Vec::new();
        for client in &ids {
            let unused = |secret: &SecretId| view.is_unused(client, secret);
            let again = || self.repeats.again(client, &asked, view.now, unused);
            if let Some(again) = (!wish.anew).then(again).flatten() {
                Journal::current(self).repeated(client, &again.0);
                had.insert(client.clone(), again);
                continue;
            }
            let Made { secret, plain, .. } = template.make(view.now)?;
            made.insert(client.clone(), (secret.id.clone(), plain));
            wishes.push(Wish { client: client.clone(), action: Action::Rotate { secret, grace }, policy, given: None });
        }
        // Who asks again for what was done holds the state before it.
        if !wishes.is_empty() {
            wanted(&view)?;
        }
        let new: Vec<ClientKey> = wishes.iter().map(|wish| wish.client.clone()).collect();
        let granted = if wishes.is_empty() { Vec::new() } else { self.change(&view, wishes, wanted).await? };
        let mut settled: HashMap<ClientKey, Result<bool, _>> = new.into_iter().zip(granted).collect();
        let view = self.view(alone()).await;
        let results = ids.into_iter().map(|client| {
            let result = match (had.get(&client), settled.remove(&client), made.get(&client)) {
                (Some((secret, plain)), ..) => secret_object(&view, &client, secret, Some(plain)),
                (None, Some(Ok(_)), Some((secret, plain))) => {
                    if let Some(plain) = plain {
                        self.repeats.remember(client.clone(), asked.clone(), secret.clone(), plain, view.now);
                    }
                    secret_object(&view, &client, secret, plain.as_ref())
                }
                (None, Some(Err(refused)), _) => Err(refused.into()),
                // Each is one of the two.
                _ => Err(Fault::failed(format!("nothing is known of client {client}"))),
            };
            (client, result)
        });
        Ok(results.collect())
    }
}

impl View {
    /// Whether a secret is there, active, and nobody has used it.
    fn is_unused(&self, client: &ClientKey, secret: &SecretId) -> bool {
        let client = self.snapshot.client(client);
        let record = client.and_then(|client| client.records().iter().find(|record| record.id == *secret));
        record.is_some_and(|record| {
            record.state(self.now) == crate::registry::SecretState::Active && record.uses.uses() == 0
        })
    }
}
