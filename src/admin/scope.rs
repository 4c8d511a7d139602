//! Which scope each route needs. What is not named here needs `admin`: a route that is forgotten is closed.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;

use super::answer::Fault;
use super::caller::Caller;
use super::compatible;
use crate::config::tokens::Scope;

/// The scope for each method of each route, as the router names it.
pub(super) const NEEDED: [(&str, &str, Scope); 18] = [
    ("GET", "/api/v1/clients", Scope::ReadClients),
    ("POST", "/api/v1/clients", Scope::UpdateClients),
    ("GET", "/api/v1/clients/{id}", Scope::ReadClients),
    ("PATCH", "/api/v1/clients/{id}", Scope::UpdateClients),
    ("DELETE", "/api/v1/clients/{id}", Scope::UpdateClients),
    ("GET", "/api/v1/clients/{id}/secrets", Scope::ReadClients),
    ("POST", "/api/v1/clients/{id}/secrets", Scope::UpdateClientKeys),
    ("GET", "/api/v1/clients/{id}/secrets/{secret}", Scope::ReadClients),
    ("POST", "/api/v1/clients/{id}/secrets/{secret}/lifecycle/{verb}", Scope::UpdateClientKeys),
    ("POST", "/api/v1/clients/{id}/rotate", Scope::UpdateClientKeys),
    ("POST", "/api/v1/rotate", Scope::UpdateClientKeys),
    ("GET", "/api/v1/status", Scope::ReadClients),
    ("GET", "/api/v1/config", Scope::Admin),
    ("GET", "/api/v1/log-level", Scope::Admin),
    ("PUT", "/api/v1/log-level", Scope::Admin),
    ("GET", "/api/v1/tokens", Scope::Admin),
    ("POST", "/-/reload", Scope::Admin),
    ("GET", "/openapi.json", Scope::ReadClients),
];

/// The scope for a method of a route. Who may look may ask for the head alone.
pub(super) fn needed(method: &Method, route: &str) -> Scope {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let named = NEEDED.iter().find(|(of, path, _)| *of == method.as_str() && *path == route);
    let admin = || compatible::needed(method, route).unwrap_or(Scope::Admin);
    named.map_or_else(admin, |(.., scope)| *scope)
}

/// Stands before every route: lets through who has its scope.
pub(super) async fn guard(request: Request, next: Next) -> Result<Response, Fault> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let scope = needed(request.method(), route);
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.may(scope) => Ok(next.run(request).await),
        _ => Err(Fault::forbidden(scope)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_needs_its_scope_and_what_is_not_known_needs_admin() {
        for (method, route, scope) in [
            ("GET", "/api/v1/status", Scope::ReadClients),
            ("GET", "/api/v1/clients", Scope::ReadClients),
            ("HEAD", "/api/v1/clients/{id}", Scope::ReadClients),
            ("GET", "/api/v1/clients/{id}/secrets", Scope::ReadClients),
            ("GET", "/api/v1/clients/{id}/secrets/{secret}", Scope::ReadClients),
            ("POST", "/api/v1/clients", Scope::UpdateClients),
            ("PATCH", "/api/v1/clients/{id}", Scope::UpdateClients),
            ("DELETE", "/api/v1/clients/{id}", Scope::UpdateClients),
            ("POST", "/api/v1/clients/{id}/secrets", Scope::UpdateClientKeys),
            ("POST", "/api/v1/clients/{id}/secrets/{secret}/lifecycle/{verb}", Scope::UpdateClientKeys),
            ("POST", "/api/v1/clients/{id}/rotate", Scope::UpdateClientKeys),
            ("POST", "/api/v1/rotate", Scope::UpdateClientKeys),
            ("POST", "/-/reload", Scope::Admin),
            ("GET", "/api/v1/config", Scope::Admin),
            ("PUT", "/api/v1/log-level", Scope::Admin),
            ("GET", "", Scope::Admin),
            ("POST", "/api/v1/status", Scope::Admin),
            ("get", "/api/v1/status", Scope::Admin),
            ("DELETE", "/api/v1/clients", Scope::Admin),
            ("GET", "/api/v1/clients/{id}/", Scope::Admin),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(needed(&method, route), scope, "{method} {route}");
        }
    }
}
