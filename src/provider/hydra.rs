//! Ory Hydra's admin API. The client's secret is replaced; five older ones go on working until they are dropped, all
//! together. None of them is ever shown.

use http::Method;
use serde::Deserialize;

use super::{Ask, Call, FarSecret, WithSecret, encoded, read, words};

pub(super) fn call(app: &str, ask: Ask<'_>) -> Option<Call> {
    let client = format!("/admin/clients/{}", encoded(app));
    let rotate = format!("{client}/secrets/rotate");
    match ask {
        Ask::Show => Some(Call { method: Method::GET, path: client, body: None }),
        Ask::Make => Some(Call { method: Method::POST, path: rotate, body: None }),
        Ask::DropOlder => Some(Call { method: Method::DELETE, path: rotate, body: None }),
        Ask::Deactivate(_) | Ask::Activate(_) | Ask::Delete(_) => None,
    }
}

/// The client is there; of its secrets nothing is told.
pub(super) fn shown(body: &[u8]) -> Option<Vec<FarSecret>> {
    read::<WithSecret>(body).map(|_client| Vec::new())
}

pub(super) fn made(body: &[u8]) -> Option<FarSecret> {
    read::<WithSecret>(body).map(WithSecret::only)
}

/// `{"error":"...","error_description":"...","error_hint":"..."}`
pub(super) fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Fault {
        error: Option<String>,
        error_description: Option<String>,
    }
    read::<Fault>(body).map(|fault| words(fault.error_description, fault.error)).unwrap_or_default()
}
