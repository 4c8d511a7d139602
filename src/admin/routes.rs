//! The routes: what can be looked at and what can be changed. Shaped like the secret resource that existing SDKs know.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Fault;
use super::change::Wish;
use super::ground::{Ground, View};
use super::object::{ClientObject, SecretObject};
use super::page::login;
use super::wish::Guard;
use super::{body, clients, compatible, instance, journal, list, rotate, scope, secrets};
use crate::domain::ids::{ClientKey, SecretId, Tenant};
use crate::domain::secret::Secret;
use crate::domain::segment::encoded;
use crate::lifecycle::{Action, Refused};

/// All routes over one ground.
pub fn router(ground: Arc<Ground>) -> Router {
    Router::from(documented())
        .merge(compatible::routes())
        .fallback(|| async { Fault::not_found("there is no such path in the admin API".to_owned()) })
        .method_not_allowed_fallback(|| async { Fault::of_method() })
        .route_layer(from_fn(body::bounded))
        .route_layer(from_fn(scope::guard))
        .route_layer(from_fn_with_state(ground.clone(), journal::keep))
        .layer(from_fn_with_state(ground.clone(), compatible::refusal::told))
        .with_state(ground)
}

/// The routes of our own API, each with its description: none is served that is not described.
pub(super) fn documented() -> OpenApiRouter<Arc<Ground>> {
    OpenApiRouter::default()
        .routes(routes!(list::clients, clients::add))
        .routes(routes!(clients::show, clients::set, clients::remove))
        .routes(routes!(secrets::list, secrets::add))
        .routes(routes!(secrets::show))
        .routes(routes!(secrets::change))
        .routes(routes!(rotate::one))
        .routes(routes!(rotate::several))
        .routes(routes!(instance::show_status))
        .routes(routes!(instance::show_config))
        .routes(routes!(instance::show_log_level, instance::set_log_level))
        .routes(routes!(instance::list_tokens))
        .routes(routes!(instance::reload))
        .routes(routes!(login::link))
        .routes(routes!(instance::describe))
}

impl Ground {
    /// Every client, in the order of the pages.
    pub async fn clients(&self) -> Vec<ClientObject> {
        let view = self.view(None).await;
        let clients = view.snapshot.from_tenant(&Tenant::default());
        clients.map(|client| ClientObject::of(&view, client)).collect()
    }

    /// One wish of one client, refused or done.
    pub(super) async fn change_one(
        self: &Arc<Self>,
        view: &Arc<View>,
        client: &ClientKey,
        action: Action,
        guard: Guard,
        given: Option<Secret>,
        wanted: impl Fn(&View) -> Result<(), Fault> + Send + Sync,
    ) -> Result<(), Fault> {
        let wish = Wish { client: client.clone(), action, policy: guard.policy(view.now)?, given };
        self.change(view, vec![wish], wanted).await?.into_iter().collect::<Result<Vec<bool>, Refused>>()?;
        Ok(())
    }
}

pub(super) fn client_object(view: &View, id: &ClientKey) -> Result<ClientObject, Fault> {
    let client = view.snapshot.client(id).ok_or_else(|| Refused::NoClient(id.clone()))?;
    Ok(ClientObject::of(view, client))
}

pub(super) fn secret_object(
    view: &View,
    client: &ClientKey,
    secret: &SecretId,
    plain: Option<&Secret>,
) -> Result<SecretObject, Fault> {
    let mut found = client_object(view, client)?.secrets.into_iter().find(|object| object.id == secret.as_str());
    if let Some(object) = &mut found {
        object.client_secret = plain.and_then(text);
    }
    found.ok_or_else(|| Refused::NoSecret { client: client.clone(), secret: secret.clone() }.into())
}

/// A secret of our own making is ASCII.
pub(super) fn text(secret: &Secret) -> Option<String> {
    std::str::from_utf8(secret.expose()).ok().map(str::to_owned)
}

/// Where a client is, or a secret of it.
pub(super) fn place(client: &ClientKey, secret: Option<&SecretId>) -> String {
    let secret = secret.map(|secret| format!("/secrets/{secret}")).unwrap_or_default();
    let tenant = match client.tenant.as_str() {
        "" => String::new(),
        tenant => format!("?tenant={tenant}"),
    };
    format!("/api/v1/clients/{}{secret}{tenant}", encoded(client.id.as_str()))
}
