//! Rotations: one client by its own route, or many in one write of the list.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};

use super::answer::{Fault, FaultObject};
use super::body::Body;
use super::caller::Caller;
use super::change::Wish;
use super::ground::{Ground, View};
use super::journal::Journal;
use super::named::{Named, OfTenant};
use super::object::SecretObject;
use super::repeat::Asked;
use super::routes::secret_object;
use super::wish::{Made, RotateWish, SecretWish};
use super::words::Words;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Secret;
use crate::lifecycle::Action;

/// What became of each client's rotation.
#[derive(Debug, Deserialize, Serialize)]
pub struct RotationsObject {
    /// One a client, in the order they were asked for.
    pub results: Vec<RotationObject>,
}

/// What became of one client's rotation.
#[derive(Debug, Deserialize, Serialize)]
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

pub(super) async fn one(
    State(ground): State<Arc<Ground>>,
    Extension(caller): Extension<Caller>,
    Named(client): Named,
    Body(wish): Body<RotateWish>,
) -> Result<Json<SecretObject>, Fault> {
    if !wish.clients.is_empty() {
        let why = "the path names the client, and the body names clients too: several go to /api/v1/rotate";
        return Err(Fault::invalid(format!("{why}\n  Nothing was changed.")));
    }
    let rotated = ground.rotate(&caller, vec![client], &wish).await?.into_iter().next();
    rotated.map_or_else(|| Err(Fault::invalid("no client is named".to_owned())), |(_, result)| result.map(Json))
}

pub(super) async fn several(
    State(ground): State<Arc<Ground>>,
    Words(asked): Words<OfTenant>,
    Extension(caller): Extension<Caller>,
    Body(wish): Body<RotateWish>,
) -> Result<Json<RotationsObject>, Fault> {
    let ids = wish.clients.iter().map(|client| client.key(asked.tenant.as_deref())).collect::<Result<Vec<_>, _>>()?;
    let rotated = ground.rotate(&caller, ids, &wish).await?;
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
    ) -> Result<Vec<(ClientKey, Result<SecretObject, Fault>)>, Fault> {
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
            if let Some(again) = self.repeats.again(client, &asked, view.now, unused) {
                Journal::current(self).repeated(client, &again.0);
                had.insert(client.clone(), again);
                continue;
            }
            let Made { secret, plain, .. } = template.make(view.now)?;
            made.insert(client.clone(), (secret.id.clone(), plain));
            wishes.push(Wish { client: client.clone(), action: Action::Rotate { secret, grace }, policy, given: None });
        }
        let new: Vec<ClientKey> = wishes.iter().map(|wish| wish.client.clone()).collect();
        let granted = if wishes.is_empty() { Vec::new() } else { self.change(&view, wishes).await? };
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
                _ => Err(Fault::invalid(format!("client {client} is named twice"))),
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
        let record = client.and_then(|client| client.records.iter().find(|record| record.id == *secret));
        record.is_some_and(|record| {
            record.state(self.now) == crate::registry::SecretState::Active && record.uses.uses() == 0
        })
    }
}
