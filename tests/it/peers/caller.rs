//! The programs that ask for tokens, all with one face.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::process::Peer;
use super::{crate_oauth2, curl};
use crate::support::http::Method;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// npm openid-client. Form-encodes Basic, even `-` and `_`.
    OpenidClient,
    /// npm oauth4webapi. As openid-client.
    Oauth4webapi,
    /// npm simple-oauth2 as it comes: form-encodes Basic.
    SimpleOauth2Strict,
    /// npm simple-oauth2 with its loose encoding: Basic raw.
    SimpleOauth2Loose,
    /// Authlib's session. Basic raw.
    Authlib,
    /// requests-oauthlib. Basic raw.
    RequestsOauthlib,
    /// curl -u and --data-urlencode. Basic raw.
    Curl,
    /// The crate `oauth2`. Form-encodes Basic.
    CrateOauth2,
}

/// Everybody.
pub(super) const ALL: [Caller; 8] = [
    Caller::OpenidClient,
    Caller::Oauth4webapi,
    Caller::SimpleOauth2Strict,
    Caller::SimpleOauth2Loose,
    Caller::Authlib,
    Caller::RequestsOauthlib,
    Caller::Curl,
    Caller::CrateOauth2,
];

/// Both ways to present a secret.
pub(super) const METHODS: [Method; 2] = [Method::Basic, Method::Post];

/// Where to ask.
pub(super) struct Endpoints {
    /// The token endpoint's URL.
    pub(super) token: String,
    /// The introspection endpoint's URL.
    pub(super) introspection: String,
    /// The revocation endpoint's URL.
    pub(super) revocation: String,
}

impl Endpoints {
    /// The endpoints at these three paths.
    pub(super) fn at(address: SocketAddr, paths: [&str; 3]) -> Self {
        let [token, introspection, revocation] = paths.map(|path| format!("http://{address}{path}"));
        Self { token, introspection, revocation }
    }
}

/// With what to ask.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    /// The client id.
    pub(super) id: &'a str,
    /// The secret.
    pub(super) secret: &'a str,
    /// How it is presented.
    pub(super) method: Method,
}

/// What to ask for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    /// A token, by client credentials.
    Token,
    /// A token for a refresh token.
    Refresh(&'a str),
    /// Whether this access token is active.
    Introspect(&'a str),
    /// The end of this access token.
    Revoke(&'a str),
}

/// What came of it, in the caller's eyes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Told {
    /// Of the HTTP answer, if there was one.
    pub(super) status: Option<u16>,
    /// The OAuth error code, or else the library's word for what went wrong.
    pub(super) error: Option<String>,
    /// More of it, for people.
    #[expect(dead_code, reason = "read by whoever reads why a test failed")]
    pub(super) detail: Option<String>,
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) active: Option<bool>,
}

impl Told {
    /// A token was granted.
    pub(super) fn granted(&self) -> bool {
        self.status == Some(200) && self.access_token.is_some()
    }

    /// The credentials were refused, in the words of RFC 6749.
    pub(super) fn refused(&self) -> bool {
        self.status == Some(401) && self.error.as_deref() == Some("invalid_client")
    }
}

impl Caller {
    /// Asks and waits for what comes of it.
    #[track_caller]
    pub(super) fn ask(self, at: &Endpoints, with: Credentials<'_>, wish: Wish<'_>) -> Told {
        let Some(peer) = self.peer() else {
            return if self == Self::Curl { curl::ask(at, with, wish) } else { crate_oauth2::ask(at, with, wish) };
        };
        let mut line = json!({
            "token_url": at.token,
            "introspection_url": at.introspection,
            "revocation_url": at.revocation,
            "client_id": with.id,
            "client_secret": with.secret,
            "method": if with.method == Method::Basic { "basic" } else { "post" },
            "encoding": if self == Self::SimpleOauth2Loose { "loose" } else { "strict" },
            "grant": "client_credentials",
        });
        match wish {
            Wish::Token => {}
            Wish::Refresh(token) => {
                line["grant"] = "refresh_token".into();
                line["refresh_token"] = token.into();
            }
            Wish::Introspect(token) => {
                line["action"] = "introspect".into();
                line["token"] = token.into();
            }
            Wish::Revoke(token) => {
                line["action"] = "revoke".into();
                line["token"] = token.into();
            }
        }
        // A test that failed with the peer in hand leaves the peer as good as it was.
        let told = peer.lock().unwrap_or_else(PoisonError::into_inner).ask(&line);
        serde_json::from_value(told).unwrap()
    }

    /// Whether it can ask about a token.
    pub(super) fn introspects(self) -> bool {
        !matches!(self, Self::SimpleOauth2Strict | Self::SimpleOauth2Loose)
    }

    /// Whether it writes Basic as it is, against RFC 6749 section 2.3.1.
    pub(super) fn writes_basic_raw(self) -> bool {
        matches!(self, Self::SimpleOauth2Loose | Self::Authlib | Self::RequestsOauthlib | Self::Curl)
    }

    /// The process behind it, one for all tests; it ends when ours does, because its stdin ends then.
    fn peer(self) -> Option<&'static Mutex<Peer>> {
        const SCRIPTS: [&str; 5] = [
            "clients/openid-client.mjs",
            "clients/oauth4webapi.mjs",
            "clients/simple-oauth2.mjs",
            "clients/authlib_client.py",
            "clients/requests_oauthlib_client.py",
        ];
        static RUNNING: [OnceLock<Mutex<Peer>>; SCRIPTS.len()] = [const { OnceLock::new() }; SCRIPTS.len()];
        let at = match self {
            Self::OpenidClient => 0,
            Self::Oauth4webapi => 1,
            Self::SimpleOauth2Strict | Self::SimpleOauth2Loose => 2,
            Self::Authlib => 3,
            Self::RequestsOauthlib => 4,
            Self::Curl | Self::CrateOauth2 => return None,
        };
        Some(RUNNING[at].get_or_init(|| Mutex::new(Peer::start(SCRIPTS[at]))))
    }
}
