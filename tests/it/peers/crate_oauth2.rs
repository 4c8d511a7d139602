//! The crate `oauth2` on an HTTP client of a page: one request, one connection, plain HTTP.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt::Display;

use oauth2::basic::BasicClient;
use oauth2::http::Response;
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, ErrorResponseType, HttpRequest, HttpResponse, IntrospectionUrl,
    RefreshToken, RequestTokenError, RevocationUrl, StandardErrorResponse, StandardRevocableToken,
    TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};

use super::caller::{Credentials, Endpoints, Told, Wish};
use crate::support::PATIENCE;
use crate::support::http::{Method, Wire};

/// Asks through the crate, as its documentation shows.
#[track_caller]
pub(super) fn ask(at: &Endpoints, with: Credentials<'_>, wish: Wish<'_>) -> Told {
    let auth_type = if with.method == Method::Basic { AuthType::BasicAuth } else { AuthType::RequestBody };
    // The crate revokes over https only. What ends its TLS is not there, our HTTP client overlooks the scheme.
    let revocation = at.revocation.replacen("http://", "https://", 1);
    let client = BasicClient::new(ClientId::new(with.id.to_owned()))
        .set_client_secret(ClientSecret::new(with.secret.to_owned()))
        .set_auth_type(auth_type)
        .set_token_uri(TokenUrl::new(at.token.clone()).unwrap())
        .set_introspection_url(IntrospectionUrl::new(at.introspection.clone()).unwrap())
        .set_revocation_url(RevocationUrl::new(revocation).unwrap());
    let status = Cell::new(None);
    let http = |request: HttpRequest| {
        let response = send(&request);
        status.set(Some(response.status().as_u16()));
        Ok::<_, Infallible>(response)
    };
    let told = match wish {
        Wish::Token => client.exchange_client_credentials().request(&http).map(|token| tokens(&token)).map_err(why),
        Wish::Refresh(token) => {
            let token = RefreshToken::new(token.to_owned());
            client.exchange_refresh_token(&token).request(&http).map(|token| tokens(&token)).map_err(why)
        }
        Wish::Introspect(token) => {
            let token = AccessToken::new(token.to_owned());
            let found = client.introspect(&token).request(&http);
            found.map(|found| Told { active: Some(found.active()), ..Told::default() }).map_err(why)
        }
        Wish::Revoke(token) => {
            let token = StandardRevocableToken::AccessToken(AccessToken::new(token.to_owned()));
            client.revoke_token(token).unwrap().request(&http).map(|()| Told::default()).map_err(why)
        }
    };
    Told { status: status.get(), ..told.unwrap_or_else(|failed| failed) }
}

fn tokens(token: &oauth2::basic::BasicTokenResponse) -> Told {
    Told {
        access_token: Some(token.access_token().secret().clone()),
        refresh_token: token.refresh_token().map(|token| token.secret().clone()),
        ..Told::default()
    }
}

/// What the crate made of a failure.
fn why<E>(error: RequestTokenError<Infallible, StandardErrorResponse<E>>) -> Told
where
    E: ErrorResponseType + Display + 'static,
{
    let detail = Some(format!("{error:?}"));
    match error {
        RequestTokenError::ServerResponse(said) => {
            Told { error: Some(said.error().to_string()), detail, ..Told::default() }
        }
        _ => Told { detail, ..Told::default() },
    }
}

#[track_caller]
fn send(request: &HttpRequest) -> HttpResponse {
    let authority = request.uri().authority().unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\nHost: {authority}\r\n", request.method(), request.uri().path());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", request.body().len());
    let mut wire = Wire::connect(authority.as_str().parse().unwrap());
    wire.send(&[head.as_bytes(), request.body()].concat());
    let reply = wire.read_reply(false, PATIENCE).reply();
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body).unwrap()
}
