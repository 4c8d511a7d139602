//! Who looks at the page: the session of the request, and what it may do.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::session::Visit;
use super::sorry::Sorry;
use crate::admin::answer::Fault;
use crate::admin::caller::Caller;
use crate::config::tokens::Scope;

/// Somebody in a session.
pub(super) struct Guest {
    pub(super) visit: Visit,
    pub(super) caller: Caller,
}

impl Guest {
    /// Whether the buttons that change something are for this one.
    pub(super) fn may_change(&self) -> bool {
        self.caller.may(Scope::UpdateClientKeys)
    }

    /// The same, as a condition.
    pub(super) fn must_change(&self) -> Result<(), Fault> {
        if self.may_change() { Ok(()) } else { Err(Fault::forbidden(Scope::UpdateClientKeys)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Guest {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Sorry> {
        let found = (parts.extensions.get::<Visit>(), parts.extensions.get::<Caller>());
        let (visit, caller) = match found {
            (Some(visit), Some(caller)) => (visit, caller),
            (Some(_), None) => return Err(Fault::token_is_gone().into()),
            (None, _) => return Err(Fault::no_session().into()),
        };
        if !caller.may(Scope::ReadClients) {
            return Err(Fault::forbidden(Scope::ReadClients).into());
        }
        Ok(Self { visit: visit.clone(), caller: caller.clone() })
    }
}
