//! A provider: its management API over TLS as the SDKs of Auth0, Okta and Hydra expect it, and a token endpoint, over TLS
//! and without, that takes the secrets which that API has made. It fails where a test wants it to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// The token for the management API.
pub(super) const TOKEN: &str = "management-t0ken-5d1e";
/// The application there, and the client's id at its token endpoint.
pub(super) const APP: &str = "3MVG9lKcPoNINVBIPJjd";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Auth0,
    Okta,
    Hydra,
}

/// What becomes of a request to make a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 429, with these seconds.
    Busy(u64),
    /// This status, and nothing done.
    Before(u16),
    /// It is done, and the answer is this status.
    After(u16),
    /// It is done, and the connection ends.
    Lost,
    /// It is done, and the answer is no JSON.
    Garbled,
    /// Where another was to be asked: a page elsewhere.
    Redirect,
}

struct Entry {
    id: String,
    secret: String,
    active: bool,
    created: String,
}

/// What the tests look at and change.
pub(super) struct Far {
    kind: Kind,
    /// The newest first.
    secrets: Vec<Entry>,
    made: usize,
    pub(super) faults: VecDeque<Fault>,
    /// Requests to the management API.
    pub(super) calls: Vec<String>,
    /// A new secret is not known for so long.
    pub(super) slow: Duration,
    known_at: Option<Instant>,
    /// Whether the secret is told by a GET.
    pub(super) tells: bool,
    /// What an authenticated client_credentials request gets in place of a token.
    pub(super) no_grant: Option<&'static str>,
    /// Whether it says so before it looks at the secret.
    pub(super) lax: bool,
    /// Whether the token endpoint refuses everything but what it began with.
    pub(super) forgets: bool,
    /// Every token request: whether it was granted.
    pub(super) tokens: Vec<bool>,
}

pub(super) struct Server {
    pub(super) far: Arc<Mutex<Far>>,
    pub(super) tls: SocketAddr,
    pub(super) plain: SocketAddr,
    /// Who signed its certificate.
    pub(super) ca: String,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Server {
    pub(super) fn start(kind: Kind, first: &str) -> Self {
        let far = Far {
            kind,
            secrets: Vec::new(),
            made: 0,
            faults: VecDeque::new(),
            calls: Vec::new(),
            slow: Duration::ZERO,
            known_at: None,
            tells: true,
            no_grant: None,
            lax: false,
            forgets: false,
            tokens: Vec::new(),
        };
        let far = Arc::new(Mutex::new(far));
        far.lock().unwrap().add(first);
        let (ca, config) = certificates();
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (tls_listener, plain_listener) = (listen(), listen());
        let (tls, plain) = (tls_listener.local_addr().unwrap(), plain_listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let state = Arc::clone(&far);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = tokio::task::LocalSet::new();
            tasks.spawn_local(accept(tls_listener, Some(tokio_rustls::TlsAcceptor::from(config)), Arc::clone(&state)));
            tasks.spawn_local(accept(plain_listener, None, state));
            // Ends, and all connections with it, when the test drops its end.
            tasks.block_on(&runtime, async { _ = stopped.await });
        });
        Self { far, tls, plain, ca, _stop: stop }
    }

    pub(super) fn far(&self) -> std::sync::MutexGuard<'_, Far> {
        self.far.lock().unwrap()
    }

    /// The base of the management API.
    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}", self.tls.port())
    }

    pub(super) fn write_ca(&self, folder: &Path) {
        std::fs::write(folder.join("ca.pem"), &self.ca).unwrap();
    }
}

impl Far {
    fn add(&mut self, secret: &str) -> usize {
        self.made += 1;
        let (id, created) = (format!("ocs{}", self.made), format!("2026-11-21T00:00:{:02}.000Z", self.made));
        self.secrets.insert(0, Entry { id, secret: secret.to_owned(), active: true, created });
        0
    }

    /// The secrets that are taken, the newest first.
    pub(super) fn taken(&self) -> Vec<String> {
        self.secrets.iter().filter(|entry| entry.active).map(|entry| entry.secret.clone()).collect()
    }

    /// How often a secret was made here, by a request.
    pub(super) fn makes(&self) -> usize {
        self.made - 1
    }

    /// Another administrator makes one.
    pub(super) fn make_elsewhere(&mut self, secret: &str) {
        if self.kind == Kind::Auth0 {
            self.secrets.clear();
        }
        self.add(secret);
    }

    /// Another administrator deletes one.
    pub(super) fn remove(&mut self, id: &str) {
        self.secrets.retain(|entry| entry.id != id);
    }

    fn takes(&self, secret: &str) -> bool {
        let known = |entry: &Entry| {
            let oldest = self.secrets.last().is_some_and(|oldest| oldest.id == entry.id) && self.made == 1;
            entry.active && (oldest || (!self.forgets && self.known_at.is_none_or(|at| Instant::now() >= at)))
        };
        // Only the newest is new.
        self.secrets
            .iter()
            .enumerate()
            .any(|(at, entry)| entry.secret == secret && (at > 0 && entry.active || known(entry)))
    }

    /// What a request to make one does.
    fn make(&mut self) -> &Entry {
        if self.kind == Kind::Auth0 {
            self.secrets.clear();
        }
        let secret = format!("far-made-s3cr3t-{:04}-{:?}", self.made, self.kind);
        self.add(&secret);
        self.known_at = Some(Instant::now() + self.slow);
        self.secrets.truncate(6);
        &self.secrets[0]
    }

    fn fault(&self, status: u16, words: &str) -> Response<Full<Bytes>> {
        let body = match self.kind {
            Kind::Auth0 => json!({"statusCode": status, "error": words, "message": words, "errorCode": "e"}),
            Kind::Okta => json!({"errorCode": "E0000001", "errorSummary": words, "errorCauses": []}),
            Kind::Hydra => json!({"error": words, "error_description": words, "status_code": status}),
        };
        reply(status, &body)
    }

    fn object(&self, entry: &Entry, with_secret: bool) -> Value {
        let secret = with_secret.then_some(&entry.secret);
        let mut object = match self.kind {
            Kind::Okta => json!({
                "id": entry.id, "status": if entry.active { "ACTIVE" } else { "INACTIVE" }, "created": entry.created,
                "secret_hash": "yk4SVx4sUWVJVbHt6M-UPA", "_links": {},
            }),
            Kind::Auth0 => json!({"client_id": APP, "name": "App", "jwt_configuration": {"alg": "RS256"}}),
            Kind::Hydra => {
                json!({"client_id": APP, "client_name": "App", "token_endpoint_auth_method": "client_secret_basic"})
            }
        };
        if let Some(secret) = secret {
            object["client_secret"] = json!(secret);
        }
        object
    }

    fn manage(
        &mut self,
        method: &Method,
        path: &str,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Option<Response<Full<Bytes>>> {
        self.calls.push(format!("{method} {path}"));
        let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
        let wanted = match self.kind {
            Kind::Auth0 => Some(format!("Bearer {TOKEN}")),
            Kind::Okta => Some(format!("SSWS {TOKEN}")),
            Kind::Hydra => None,
        };
        if wanted.as_deref() != authorization {
            return Some(self.fault(401, "Invalid token provided"));
        }
        let base = match self.kind {
            Kind::Auth0 => format!("/api/v2/clients/{APP}"),
            Kind::Okta => format!("/api/v1/apps/{APP}/credentials/secrets"),
            Kind::Hydra => format!("/admin/clients/{APP}"),
        };
        let Some(rest) = path.strip_prefix(&base) else { return Some(self.fault(404, "Not found")) };
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        match (self.kind, method.as_str(), parts.as_slice()) {
            (Kind::Auth0, "POST", ["rotate-secret"]) | (Kind::Hydra, "POST", ["secrets", "rotate"]) => {
                assert!(body.is_empty() && !headers.contains_key(header::CONTENT_TYPE), "as the SDKs send it: no body");
                self.faulty(200)
            }
            (Kind::Okta, "POST", []) => {
                assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), json!({}), "as the SDKs send it");
                if self.secrets.len() >= 2 {
                    return Some(self.fault(400, "You can have two secrets at most"));
                }
                self.faulty(201)
            }
            (Kind::Auth0 | Kind::Hydra, "GET", []) => {
                let shows = self.tells && self.kind == Kind::Auth0;
                Some(reply(200, &self.object(&self.secrets[0], shows)))
            }
            (Kind::Okta, "GET", []) => {
                let all: Vec<_> = self.secrets.iter().map(|entry| self.object(entry, self.tells)).collect();
                Some(reply(200, &json!(all)))
            }
            (Kind::Hydra, "DELETE", ["secrets", "rotate"]) => {
                self.secrets.truncate(1);
                Some(reply(200, &self.object(&self.secrets[0], false)))
            }
            (Kind::Okta, "POST", [id, "lifecycle", verb]) => {
                let active = *verb == "activate";
                if !active && self.taken().len() < 2 {
                    return Some(self.fault(400, "the only one"));
                }
                let Some(at) = self.secrets.iter().position(|entry| entry.id == *id) else {
                    return Some(self.fault(404, "Not found"));
                };
                self.secrets[at].active = active;
                Some(reply(200, &self.object(&self.secrets[at], false)))
            }
            (Kind::Okta, "DELETE", [id]) => match self.secrets.iter().position(|entry| entry.id == *id) {
                Some(at) if self.secrets[at].active => Some(self.fault(400, "Deactivate it first")),
                Some(at) => {
                    self.secrets.remove(at);
                    Some(Response::builder().status(204).body(Full::default()).unwrap())
                }
                None => Some(self.fault(404, "Not found")),
            },
            _ => Some(self.fault(405, "Method not allowed")),
        }
    }

    /// Makes one, unless a fault comes first; the answer is lost where there is none.
    fn faulty(&mut self, status: u16) -> Option<Response<Full<Bytes>>> {
        let fault = self.faults.pop_front();
        match fault {
            Some(Fault::Busy(seconds)) => {
                let mut answer = self.fault(429, "Too many requests");
                answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                return Some(answer);
            }
            Some(Fault::Before(status)) => return Some(self.fault(status, "It failed")),
            Some(Fault::Redirect) => {
                let answer = Response::builder().status(307).header(header::LOCATION, "/elsewhere");
                return Some(answer.body(Full::default()).unwrap());
            }
            _ => {}
        }
        self.make();
        match fault {
            Some(Fault::After(status)) => Some(self.fault(status, "It failed")),
            Some(Fault::Lost) => None,
            Some(Fault::Garbled) => Some(Response::new("<html>".into())),
            _ => Some(reply(status, &self.object(&self.secrets[0], true))),
        }
    }

    fn token(&mut self, headers: &http::HeaderMap) -> Response<Full<Bytes>> {
        let granted = headers.get(header::AUTHORIZATION).and_then(|value| {
            let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
            let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).ok()?).ok()?;
            let (id, secret) = pair.split_once(':')?;
            (id == APP && self.takes(secret)).then_some(())
        });
        self.tokens.push(granted.is_some());
        match (granted, self.no_grant) {
            (_, Some(error)) if self.lax => reply(400, &json!({"error": error})),
            (None, _) => reply(401, &json!({"error": "invalid_client"})),
            (Some(()), Some(error)) => reply(400, &json!({"error": error})),
            (Some(()), None) => reply(200, &json!({"access_token": "t", "token_type": "bearer", "expires_in": 60})),
        }
    }
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
    answer.header(header::CONTENT_TYPE, "application/json").body(Full::from(body.to_string())).unwrap()
}

async fn accept(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, far: Arc<Mutex<Far>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (tls, far) = (tls.clone(), Arc::clone(&far));
        tokio::task::spawn_local(async move {
            match tls {
                None => serve(stream, far).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, far).await,
                    Err(_refused_by_the_caller) => {}
                },
            }
        });
    }
}

async fn serve(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, far: Arc<Mutex<Far>>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let far = Arc::clone(&far);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            let mut far = far.lock().unwrap();
            let answer = match (&head.method, head.uri.path()) {
                (&Method::POST, "/token") => Ok::<_, Infallible>(Some(far.token(&head.headers))),
                (method, path) => Ok(far.manage(method, path, &head.headers, &body)),
            };
            answer.map_or_else(|never| match never {}, |answer| answer.ok_or_else(|| io::Error::other("lost")))
        }
    });
    _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// A root and a server's certificate under it.
fn certificates() -> (String, Arc<rustls::ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    (ca.pem(), Arc::new(config))
}
