//! Whether the token endpoint takes a secret: a token, or an error that it gives only to who is authenticated.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use zeroize::Zeroizing;

use super::site::Site;
use super::{Far, failed, usage};
use crate::attempt::Said;
use crate::attempt::answer::{error_of, said};
use crate::config::clients::UpstreamMethod;
use crate::config::settings::tls::ClientTls;
use crate::config::settings::upstream::HostPolicy;
use crate::domain::oauth::BasicEncoding;
use crate::domain::secret::Secret;
use crate::extract::basic;
use crate::extract::percent::encode;
use crate::management::base::Base;
use crate::management::link::{Answer, Link};

/// The token endpoint, and how a client speaks there.
pub(super) struct TokenEndpoint {
    link: Link,
    path: String,
    host: Option<HeaderValue>,
    id: String,
    method: UpstreamMethod,
    encoding: BasicEncoding,
    form: Vec<u8>,
    runtime: tokio::runtime::Runtime,
}

/// What it says to a secret.
pub(super) struct Seen {
    /// Whether it takes it.
    pub(super) said: Said,
    /// What came, for people.
    pub(super) words: String,
}

/// What nobody has as a secret, to see whether the endpoint looks at it at all.
const NOBODYS: &[u8] = b"not-the-secret-of-this-client";

impl TokenEndpoint {
    /// Of the arguments, else of the configuration: the egress endpoint of the client, else the first.
    pub(super) fn of(far: &Far, site: &Site) -> anyhow::Result<Self> {
        let settings = &site.settings;
        let (base, path, host, tls) = match &far.token_url {
            Some(url) => {
                let base = Base::parse(url).filter(Base::is_closed);
                let why = || usage("--token-url: expected an https URL (http only on this machine)");
                let tls = ClientTls { ca: far.ca.clone(), ..ClientTls::default() };
                (base.ok_or_else(why)?, "".into(), None, tls)
            }
            None => {
                let own = settings.endpoints.iter().find(|endpoint| {
                    endpoint.is_egress() && endpoint.client.as_ref().is_none_or(|id| *id == site.client.id)
                });
                let endpoint = own.or(settings.endpoints.first());
                let path =
                    endpoint.map_or("/".into(), |endpoint| endpoint.upstream_path.of(site.client.tenant.as_str()));
                let base = Base::parse(&settings.upstream.target.to_string());
                let base = base.ok_or_else(|| usage("where is the token endpoint? --token-url URL names it"))?;
                let host = match &settings.upstream.host {
                    HostPolicy::Fixed(name) => Some(name.clone()),
                    HostPolicy::Preserve | HostPolicy::Upstream => None,
                };
                // As the instance goes there.
                (base, path, host, settings.upstream.tls.clone().unwrap_or_default())
            }
        };
        let path = if base.prefix.is_empty() && path.is_empty() { "/".into() } else { path };
        let link = Link::secured(base, &tls, settings.upstream.connect_timeout);
        let link = link.map_err(|unusable| failed(&unusable.to_string()))?;
        let mut form =
            far.grant_params.clone().unwrap_or_else(|| "grant_type=client_credentials".to_owned()).into_bytes();
        for (name, value) in [("scope", &far.scope), ("audience", &far.audience)] {
            let Some(value) = value else { continue };
            form.extend_from_slice(format!("&{name}=").as_bytes());
            encode(value.as_bytes(), &mut form);
        }
        Ok(Self {
            link,
            path: path.into_owned(),
            host,
            id: site.upstream_id().to_owned(),
            method: site.upstream.method,
            encoding: site.upstream.basic_encoding,
            form,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Where it is.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.link.base(), self.path)
    }

    /// Shows it a secret.
    pub(super) fn ask(&self, secret: &Secret) -> Seen {
        let answer = match self.send(secret.expose()) {
            Ok(answer) => answer,
            Err(words) => return Seen { said: Said::Unclear, words },
        };
        let (status, body) = (answer.status, Some(answer.body.as_slice()));
        let error = error_of(&answer.body);
        let words = error.as_ref().map_or_else(|| status.to_string(), |error| format!("{} {error}", status.as_u16()));
        match said(status, body) {
            Said::Accepted if status == StatusCode::OK && is_token(&answer.body) => {
                Seen { said: Said::Accepted, words: "a token".to_owned() }
            }
            // An error about the rest of the request: a server may have come to it before it looked at the secret. One that
            // gives the same to a secret which is nobody's has not told anything.
            Said::Accepted if error.is_some() => match self.send(NOBODYS) {
                Ok(other) if said(other.status, Some(&other.body)) == Said::Refused => {
                    Seen { said: Said::Accepted, words: format!("{words}, which a wrong secret does not get") }
                }
                _ => Seen { said: Said::Unclear, words: format!("{words}, and a wrong secret gets no other answer") },
            },
            Said::Accepted => Seen { said: Said::Unclear, words: format!("{words}, which no token endpoint says") },
            said => Seen { said, words },
        }
    }

    fn send(&self, secret: &[u8]) -> Result<Answer, String> {
        let mut form = Zeroizing::new(self.form.clone());
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = http::Method::POST;
        let headers = request.headers_mut();
        headers.extend(self.host.clone().map(|host| (header::HOST, host)));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let id = self.id.as_bytes();
        let coded = |bytes: &[u8]| {
            let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
            encode(bytes, &mut out);
            out
        };
        if self.method == UpstreamMethod::Post {
            for (name, value) in [("client_id", id), ("client_secret", secret)] {
                form.extend_from_slice(format!("&{name}=").as_bytes());
                form.extend_from_slice(&coded(value));
            }
        } else {
            let value = match self.encoding {
                BasicEncoding::Raw => basic::write(id, secret),
                BasicEncoding::Rfc6749 => basic::write(&coded(id), &coded(secret)),
            };
            let mut value = HeaderValue::from_str(&value).map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        *request.body_mut() = Bytes::copy_from_slice(&form);
        self.runtime.block_on(self.link.send(&self.path, request)).map_err(|error| error.to_string())
    }
}

fn is_token(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Token {
        access_token: Zeroizing<String>,
    }
    serde_json::from_slice::<Token>(body).is_ok_and(|token| !token.access_token.is_empty())
}
