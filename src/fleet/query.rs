//! One question to Prometheus' HTTP API, and its answer read strictly.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::settings::address::Target;
use crate::config::settings::tls::ClientTls;
use crate::domain::ids::{ClientId, ClientKey, SecretId, Tenant};
use crate::extract::percent;
use crate::tls::HTTP_11;
use crate::tls::client::link;

/// For a whole question. Somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer about 100,000 secrets takes about 12 MiB.
const MOST_BYTES: usize = 32 << 20;

/// A value and its labels.
#[derive(Debug)]
pub(super) struct Labelled {
    labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Labelled {
    /// The value of a label; empty where it has none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The secret that it is about.
    pub(super) fn secret(&self) -> Option<(ClientKey, SecretId)> {
        let (tenant, id) = (Tenant::parse(self.label("tenant"))?, ClientId::parse(self.label("client_id"))?);
        Some((ClientKey { tenant, id }, SecretId::parse(self.label("secret_id"))?))
    }
}

/// The values of an expression now, or why they cannot be had.
pub(super) async fn ask(target: &Target, expression: &str) -> Result<Vec<Labelled>, String> {
    let of = |why: String| format!("Prometheus at {target} {why}");
    match tokio::time::timeout(PATIENCE, exchange(target, expression)).await {
        Ok(Ok((status, body))) => read(status, &body).map_err(of),
        Ok(Err(why)) => Err(of(why)),
        Err(_) => Err(of(format!("did not answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn exchange(target: &Target, expression: &str) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|e| cannot(&e))?;
    let Some(name) = target.server_name() else { return converse(stream, target, expression).await };
    let side = link(&ClientTls::default(), &[HTTP_11]).map_err(|e| cannot(&e))?;
    // On the heap: a handshake is large, and few have one.
    let secured = Box::pin(TlsConnector::from(side.config()).connect(name, stream)).await.map_err(|e| cannot(&e))?;
    Box::pin(converse(secured, target, expression)).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    target: &Target,
    expression: &str,
) -> Result<(StatusCode, Bytes), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| cannot(&e))?;
    let mut path = b"/api/v1/query?query=".to_vec();
    percent::encode(expression.as_bytes(), &mut path);
    let request = Request::get(path.as_slice())
        .header(HOST, &target.authority)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("relatch/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|e| cannot(&e))?;
    let asking = async move {
        let answer = sender.send_request(request).await.map_err(|e| cannot(&e))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await.map_err(|e| cannot(&*e))?;
        // The sender goes here, and the connection ends with it.
        Ok((status, body.to_bytes()))
    };
    // Driven together: whoever asks may have no place for a task of its own.
    let (answer, _how_the_connection_ended) = tokio::join!(asking, connection);
    answer
}

fn cannot(error: &dyn std::error::Error) -> String {
    format!("cannot be asked: {error}")
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    /// What makes the answer less than whole.
    #[serde(default)]
    warnings: Vec<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

fn read(status: StatusCode, body: &[u8]) -> Result<Vec<Labelled>, String> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let Some(answer) = answer else { return Err(format!("answered {status}, and not as Prometheus does")) };
    if status != StatusCode::OK || answer.status != "success" {
        return Err(format!("answered {status}: {}", answer.error));
    }
    if let Some(warning) = answer.warnings.first() {
        return Err(format!("has no whole answer: {warning}"));
    }
    let data = answer.data.filter(|data| data.result_type == "vector").ok_or("answered without values")?;
    let labelled = |sample: Sample| match sample.value.1.parse() {
        Ok(value) if f64::is_finite(value) => Ok(Labelled { labels: sample.metric, value }),
        _ => Err(format!("answered {:?}, which is no number", sample.value.1)),
    };
    data.result.into_iter().map(labelled).collect()
}
