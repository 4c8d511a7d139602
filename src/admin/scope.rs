//! Which scope each route needs. What is not named here needs `admin`: a route that is forgotten is closed.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;

use super::answer::Fault;
use super::caller::Caller;
use super::compatible;
use crate::config::tokens::Scope;

/// The scope for a method of a route, as the router names it.
fn needed(method: &Method, route: &str) -> Scope {
    const CLIENTS: &str = "/api/v1/clients";
    const CLIENT: &str = "/api/v1/clients/{id}";
    const SECRETS: &str = "/api/v1/clients/{id}/secrets";
    const SECRET: &str = "/api/v1/clients/{id}/secrets/{secret}";
    const LIFECYCLE: &str = "/api/v1/clients/{id}/secrets/{secret}/lifecycle/{verb}";
    match (method.as_str(), route) {
        ("GET" | "HEAD", "/api/v1/status" | CLIENTS | CLIENT | SECRETS | SECRET) => Scope::ReadClients,
        // A session may do what its opener may, and looks at least.
        ("POST", "/api/v1/login-links") => Scope::ReadClients,
        ("POST", CLIENTS) | ("PATCH" | "DELETE", CLIENT) => Scope::UpdateClients,
        ("POST", SECRETS | LIFECYCLE | "/api/v1/clients/{id}/rotate" | "/api/v1/rotate") => Scope::UpdateClientKeys,
        _ => compatible::needed(method, route).unwrap_or(Scope::Admin),
    }
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
            ("POST", "/api/v1/login-links", Scope::ReadClients),
            ("GET", "/api/v1/login-links", Scope::Admin),
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
