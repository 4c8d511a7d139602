//! The demo's token server: client credentials only, one secret a client, tokens that mean nothing. It plays the part of
//! the server that cannot rotate; it is no model of one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::domain::mint;
use crate::domain::secret::Digest;
use crate::extract::basic::{self, Scheme};
use crate::hash;

/// The one secret of each client, as its digest.
pub type Known = HashMap<String, Digest>;

/// Starts the server on a port of its own, on a thread that ends with the process.
pub fn start(known: Known) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("demo-server".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        if let Ok(runtime) = runtime {
            runtime.block_on(serve(listener, Arc::new(known)));
        }
    })?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener, known: Arc<Known>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let known = known.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let known = known.clone();
                async move { Ok::<_, Infallible>(answer(request, &known).await) }
            });
            let _caller_went_away = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, known: &Known) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        return json(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"invalid_request"}"#.to_owned());
    }
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let Ok(body) = Limited::new(request.into_body(), 64 << 10).collect().await else {
        return json(StatusCode::PAYLOAD_TOO_LARGE, r#"{"error":"invalid_request"}"#.to_owned());
    };
    let body = body.to_bytes();
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(&body).unwrap_or_default();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let presented = match authorization {
        Some(value) => from_basic(&value),
        None => field("client_id").zip(field("client_secret")),
    };
    let proven = presented.is_some_and(|(id, secret)| {
        known.get(&id).is_some_and(|digest| bool::from(digest.matches(&hash::sha256(secret.as_bytes()))))
    });
    match field("grant_type").as_deref() {
        _ if !proven => json(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#.to_owned()),
        Some("client_credentials") => {
            let mut random = |out: &mut [u8]| super::fill(out);
            let token = mint::secret_id(&mut random).replace("sec_", "demo_token_");
            let scope =
                field("scope").map_or_else(String::new, |scope| format!(",\"scope\":{}", serde_json::json!(scope)));
            let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":300{scope}}}"#);
            json(StatusCode::OK, body)
        }
        Some(_) => json(StatusCode::BAD_REQUEST, r#"{"error":"unsupported_grant_type"}"#.to_owned()),
        None => json(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#.to_owned()),
    }
}

/// Form-decoded, as RFC 6749 has it: relatch writes it so.
fn from_basic(value: &HeaderValue) -> Option<(String, String)> {
    let Scheme::Basic(encoded) = basic::scheme(value.as_bytes()) else { return None };
    let mut text = Vec::new();
    basic::decode(encoded, &mut text).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (id, secret) = text.split_once(':')?;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&format!("id={id}&secret={secret}")).ok()?;
    let mut values = pairs.into_iter().map(|(_, value)| value);
    values.next().zip(values.next())
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
