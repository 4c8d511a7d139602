//! `GET /api/v2/clients`: the list by Auth0's filters, and page by page in both of its ways.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::object;
use crate::admin::answer::Fault;
use crate::admin::ground::Ground;
use crate::admin::words::Words;
use crate::domain::ids::Tenant;
use crate::registry::{Client, Snapshot};

/// As many as Auth0 gives.
const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 100;
/// What a client with a secret may be there.
pub(super) const APP_TYPES: [&str; 2] = ["non_interactive", "regular_web"];

/// What may be asked. The other filters there are about what is not known here.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    tenant: Option<String>,
    fields: Option<String>,
    include_fields: Option<bool>,
    /// By number,
    page: Option<usize>,
    per_page: Option<usize>,
    include_totals: Option<bool>,
    /// ... or each behind the one before: what that named as `next`.
    from: Option<String>,
    take: Option<usize>,
    is_global: Option<bool>,
    is_first_party: Option<bool>,
    app_type: Option<String>,
}

pub(super) async fn list(
    State(ground): State<Arc<Ground>>,
    Words(asked): Words<Listing>,
) -> Result<Json<Value>, Fault> {
    let name = asked.tenant.as_deref().unwrap_or_default();
    let tenant = Tenant::parse(name).ok_or_else(|| Fault::invalid("tenant: one segment of a path".to_owned()))?;
    let list = ground.snapshot.load();
    Ok(Json(match (&asked.from, asked.take) {
        (None, None) => asked.by_number(&list, &tenant)?,
        _ => asked.behind(&list, &tenant)?,
    }))
}

impl Listing {
    /// A page by its number, as an array or with the totals around it.
    fn by_number(&self, list: &Snapshot, tenant: &Tenant) -> Result<Value, Fault> {
        let limit = size("per_page", self.per_page)?;
        let start = self.page.unwrap_or(0).saturating_mul(limit);
        let of_tenant = || list.from_tenant(tenant).take_while(|client| client.key.tenant == *tenant);
        let found = || of_tenant().filter(|_| self.wants_ours());
        let clients: Vec<Value> = found().skip(start).take(limit).map(|client| self.shown(client)).collect();
        Ok(match self.include_totals {
            Some(true) => json!({"start": start, "limit": limit, "total": found().count(), "clients": clients}),
            _ => Value::Array(clients),
        })
    }

    /// A page behind a client, be that one still there or not. What else an SDK says of pages of its own accord, such as
    /// that it wants the totals, has no meaning beside it.
    fn behind(&self, list: &Snapshot, tenant: &Tenant) -> Result<Value, Fault> {
        if self.page.is_some_and(|page| page > 0) {
            return Err(Fault::invalid(
                "page, or from and take: either pages by number or each behind the one before".to_owned(),
            ));
        }
        let limit = size("take", self.take)?;
        let first = list.behind(tenant, self.from.as_deref().unwrap_or_default());
        let mut left = first.take_while(|client| client.key.tenant == *tenant).filter(|_| self.wants_ours());
        let page: Vec<_> = left.by_ref().take(limit).collect();
        let clients: Vec<Value> = page.iter().map(|client| self.shown(client)).collect();
        let last = page.last().filter(|_| left.next().is_some());
        let mut answer = json!({"clients": clients});
        if let (Some(last), Value::Object(answer)) = (last, &mut answer) {
            answer.insert("next".to_owned(), last.key.id.as_str().into());
        }
        Ok(answer)
    }

    /// Whether the filters let the clients here through, who are alike in all of this: none is the global one, none belongs
    /// to somebody else, and each is of a type that has a secret.
    fn wants_ours(&self) -> bool {
        let app_type =
            self.app_type.as_deref().is_none_or(|types| types.split(',').any(|one| APP_TYPES.contains(&one.trim())));
        self.is_global != Some(true) && self.is_first_party != Some(false) && app_type
    }

    fn shown(&self, client: &Client) -> Value {
        Picked { fields: self.fields.as_deref(), include: self.include_fields }.of(object(client, None))
    }
}

/// Which fields of a client are wanted, or not wanted.
pub(super) struct Picked<'q> {
    /// With commas; all of them where nothing stands there.
    pub(super) fields: Option<&'q str>,
    pub(super) include: Option<bool>,
}

impl Picked<'_> {
    pub(super) fn of(&self, mut object: Map<String, Value>) -> Value {
        if let Some(fields) = self.fields.filter(|fields| !fields.trim().is_empty()) {
            let include = self.include.unwrap_or(true);
            object.retain(|key, _| fields.split(',').any(|field| field.trim() == key) == include);
        }
        Value::Object(object)
    }
}

fn size(key: &str, asked: Option<usize>) -> Result<usize, Fault> {
    match asked.unwrap_or(DEFAULT_PAGE) {
        size @ 1..=LARGEST_PAGE => Ok(size),
        _ => Err(Fault::invalid(format!("{key}: expected 1 to {LARGEST_PAGE}: ask for what is left by further pages"))),
    }
}
