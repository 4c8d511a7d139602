//! Auth0 Management API v2. There is one secret; a new one ends it at once, and may need half a minute to be known
//! everywhere. `client_secret` is shown to a token with `read:client_keys`.

use http::Method;
use serde::Deserialize;

use super::{Ask, Call, FarSecret, WithSecret, encoded, read, words};

pub(super) fn call(app: &str, ask: Ask<'_>) -> Option<Call> {
    let client = format!("/api/v2/clients/{}", encoded(app));
    match ask {
        Ask::Show => Some(Call { method: Method::GET, path: client, body: None }),
        Ask::Make => Some(Call { method: Method::POST, path: format!("{client}/rotate-secret"), body: None }),
        Ask::Deactivate(_) | Ask::Activate(_) | Ask::Delete(_) | Ask::DropOlder => None,
    }
}

pub(super) fn shown(body: &[u8]) -> Option<Vec<FarSecret>> {
    read::<WithSecret>(body).map(|client| vec![client.only()])
}

pub(super) fn made(body: &[u8]) -> Option<FarSecret> {
    read::<WithSecret>(body).map(WithSecret::only)
}

/// `{"statusCode":400,"error":"Bad Request","message":"...","errorCode":"invalid_body"}`
pub(super) fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fault {
        message: Option<String>,
        error_code: Option<String>,
    }
    read::<Fault>(body).map(|fault| words(fault.message, fault.error_code)).unwrap_or_default()
}
