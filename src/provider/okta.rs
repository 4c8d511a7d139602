//! Okta: the secrets of an application. Two at the most; one is deactivated before it can be deleted. The secret itself is
//! told when it is made, and by some of its APIs in the list too.

use http::Method;
use serde::Deserialize;

use super::{Ask, Call, FarSecret, WithSecret, encoded, read, words};

/// A third one is a 400.
pub(super) const MOST: usize = 2;

pub(super) fn call(app: &str, ask: Ask<'_>) -> Option<Call> {
    let all = format!("/api/v1/apps/{}/credentials/secrets", encoded(app));
    let (method, path, body) = match ask {
        Ask::Show => (Method::GET, all, None),
        Ask::Make => (Method::POST, all, Some("{}")),
        Ask::Deactivate(id) => (Method::POST, format!("{all}/{}/lifecycle/deactivate", encoded(id)), None),
        Ask::Activate(id) => (Method::POST, format!("{all}/{}/lifecycle/activate", encoded(id)), None),
        Ask::Delete(id) => (Method::DELETE, format!("{all}/{}", encoded(id)), None),
        Ask::DropOlder => return None,
    };
    Some(Call { method, path, body })
}

#[derive(Deserialize)]
struct Object {
    id: String,
    status: Option<String>,
    created: Option<String>,
    #[serde(flatten)]
    held: WithSecret,
}

impl From<Object> for FarSecret {
    fn from(object: Object) -> Self {
        let active = object.status.as_deref() != Some("INACTIVE");
        Self { id: Some(object.id), active, created: object.created, secret: object.held.secret() }
    }
}

pub(super) fn shown(body: &[u8]) -> Option<Vec<FarSecret>> {
    read::<Vec<Object>>(body).map(|all| all.into_iter().map(FarSecret::from).collect())
}

pub(super) fn made(body: &[u8]) -> Option<FarSecret> {
    read::<Object>(body).map(FarSecret::from)
}

/// `{"errorCode":"E0000001","errorSummary":"...","errorCauses":[{"errorSummary":"..."}]}`
pub(super) fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fault {
        error_summary: Option<String>,
        #[serde(default)]
        error_causes: Vec<Self>,
    }
    let Some(fault) = read::<Fault>(body) else { return String::new() };
    words(fault.error_summary, fault.error_causes.into_iter().find_map(|cause| cause.error_summary))
}
