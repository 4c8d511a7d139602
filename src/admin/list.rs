//! The list page by page, in the order of tenants and ids: a page begins behind a client, be that one still there or not.
#![expect(unused_qualifications, reason = "of what utoipa makes")]

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{self, HeaderValue};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Fault;
use super::etag::{Tag, Tagged};
use super::ground::{Ground, View};
use super::object::ClientObject;
use super::words::Words;
use crate::domain::ids::Tenant;
use crate::domain::segment::encoded;
use crate::registry::Client;

/// Clients of a page where nothing is said.
const USUAL: usize = 100;
/// And at the most: a page of these is made within a few milliseconds.
pub const MOST: usize = 1000;

/// Which part of the list is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Only the clients of this tenant; empty for those of none.
    #[param(required = false, max_length = 128, pattern = r"^([A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$")]
    tenant: Option<String>,
    /// The id of the client that the page before ended with,
    #[param(required = false)]
    after: Option<String>,
    /// ... and its tenant, where the list has tenants; empty where it has none.
    #[param(required = false, max_length = 128, pattern = r"^([A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$")]
    after_tenant: Option<String>,
    /// How many clients at the most.
    #[param(required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// List the clients
///
/// A page of them with their secrets, by tenant and then by id. The header Link names the next page; the last one has none.
#[utoipa::path(
    get,
    path = "/api/v1/clients",
    operation_id = "listClients",
    tag = "clients",
    params(Page),
    responses((status = 200, description = "A page of the list.", body = Vec<ClientObject>,
        headers(("Link" = String, description = "The next page, with rel=\"next\"; absent on the last."))))
)]
pub(super) async fn clients(
    State(ground): State<Arc<Ground>>,
    Words(page): Words<Page>,
) -> Result<impl IntoResponse, Fault> {
    let page = page.checked()?;
    let view = ground.view(None).await;
    let (shown, next) = page.of(&view)?;
    let objects: Vec<ClientObject> = shown.iter().map(|client| ClientObject::of(&view, client)).collect();
    let link = next.map(|next| [(header::LINK, next)]);
    Ok((axum::response::AppendHeaders(link.into_iter().flatten()), Tagged(Tag::of_list(&view.snapshot), objects)))
}

/// A page that can be asked for.
struct Asked {
    tenant: Option<Tenant>,
    after: Option<(Option<Tenant>, String)>,
    limit: usize,
}

impl Page {
    fn checked(self) -> Result<Asked, Fault> {
        let tenant = |key: &str, name: Option<String>| {
            let why =
                || Fault::invalid(format!("{key}: expected one segment of a path, up to 128 of A-Z a-z 0-9 . _ ~ -"));
            name.map(|name| Tenant::parse(&name).ok_or_else(why)).transpose()
        };
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Fault::invalid(format!("limit: expected 1 to {MOST}; Link in the answer names the next page")));
        }
        let (of, behind) = (tenant("tenant", self.tenant)?, tenant("after_tenant", self.after_tenant)?);
        let after = self.after.map(|after| (behind.or(of.clone()), after));
        Ok(Asked { tenant: of, after, limit })
    }
}

impl Asked {
    /// The clients of the page, and where the next one is.
    fn of<'v>(&self, view: &'v View) -> Result<(Vec<&'v Client>, Option<HeaderValue>), Fault> {
        let list = &view.snapshot;
        let whole = Tenant::default();
        let of = self.tenant.as_ref();
        let first: Box<dyn Iterator<Item = &Client>> = match &self.after {
            Some((None, _)) if list.of_tenants().next().is_some() => {
                let next = "Say which with after_tenant: the tenant of the last client of the page before, empty where it \
                            has none.";
                return Err(Fault::invalid(format!("after may name clients of several tenants\n  {next}")));
            }
            Some((tenant, id)) => Box::new(list.behind(tenant.as_ref().unwrap_or(&whole), id)),
            None => Box::new(list.from_tenant(of.unwrap_or(&whole))),
        };
        let mut asked = first
            .skip_while(|client| of.is_some_and(|of| client.key.tenant < *of))
            .take_while(|client| of.is_none_or(|of| client.key.tenant == *of));
        let shown: Vec<_> = asked.by_ref().take(self.limit).collect();
        let last = shown.last().filter(|_| asked.next().is_some());
        let next = last.and_then(|last| self.behind(last, list.of_tenants().next().is_some()));
        Ok((shown, next))
    }

    /// Where the page behind this client is.
    fn behind(&self, last: &Client, tenants: bool) -> Option<HeaderValue> {
        let (tenant, id) = (last.key.tenant.as_str(), encoded(last.key.id.as_str()));
        let whose = match &self.tenant {
            Some(_) => format!("tenant={tenant}&"),
            None if tenants => format!("after_tenant={tenant}&"),
            None => String::new(),
        };
        HeaderValue::from_str(&format!("</api/v1/clients?{whose}limit={}&after={id}>; rel=\"next\"", self.limit)).ok()
    }
}
