//! What a page loads: its style, its icon, and the few lines of script behind the Copy button.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};

use super::sorry::Sorry;
use crate::admin::answer::Fault;

pub(super) async fn show(Path(name): Path<String>) -> Result<Response, Sorry> {
    let (kind, text) = match &*name {
        "page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        "icon.svg" => ("image/svg+xml", include_str!("icon.svg")),
        _ => return Err(Fault::not_found("there is no such page".to_owned()).into()),
    };
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
