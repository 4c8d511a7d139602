//! The words of OAuth 2.0 that we speak: refusals (RFC 6749 section 5.2) and the results of client authentication.

/// Why a request is refused. It has no free text, so that nothing the caller sent can travel in it; the one map to
/// HTTP answers is in `proxy::respond`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401 `invalid_client`: wrong, unknown, expired, disabled, revoked or missing credentials, all alike.
    InvalidClient,
    /// 400 `invalid_request`: malformed, repeated or doubled credentials, or a form that can be read in two ways.
    InvalidRequest,
    /// 400 and the connection is closed: two requests could be seen in it, or none.
    BadFraming,
    /// 429: too many failures of this id from this source. Carries the seconds until the next try counts afresh.
    Throttled(u32),
    /// 503: a slow hash is to be computed and there is no room for it. Carries the seconds to wait.
    Busy(u32),
    /// 404: no endpoint of ours.
    NotFound,
    /// 405: an endpoint of ours, not by this method.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    BodyTimeout,
    /// 413: the body is larger than the endpoint takes.
    TooLarge,
    /// 415: a content coding that we do not undo.
    UnsupportedEncoding,
    /// 417: an expectation other than `100-continue` (RFC 9110 section 10.1.1).
    ExpectationFailed,
    /// 421: a Host that this instance does not answer for.
    Misdirected,
}

/// How client authentication ended: the closed set of `result` in `relatch_client_authentications_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthResult {
    /// An active secret of an enabled client.
    Success,
    /// The client is known, the secret is not.
    InvalidSecret,
    /// A secret of the client whose time is over.
    ExpiredSecret,
    /// A secret of the client whose time has not come.
    NotYetValidSecret,
    /// A secret of the client that is switched off.
    DisabledSecret,
    /// A secret of the client that was revoked.
    RevokedSecret,
    /// Any secret of a client that is switched off.
    DisabledClient,
    /// Answered 429 instead of 401, or 503 where there was no room to find out.
    Throttled,
    /// No client of that id.
    UnknownClient,
    /// No client secret in the request.
    MissingCredentials,
    /// More than one method of client authentication (RFC 6749 section 2.3).
    MultipleMethods,
    /// Credentials or a form that cannot be read.
    MalformedRequest,
}

impl AuthResult {
    /// The results that are counted under a client's own id; the others are counted under the empty id.
    pub const OF_A_CLIENT: [Self; 8] = [
        Self::Success,
        Self::InvalidSecret,
        Self::ExpiredSecret,
        Self::NotYetValidSecret,
        Self::DisabledSecret,
        Self::RevokedSecret,
        Self::DisabledClient,
        Self::Throttled,
    ];

    /// The results that are counted under the empty client id: nothing a stranger sends becomes a label.
    pub const OF_NOBODY: [Self; 5] =
        [Self::UnknownClient, Self::MissingCredentials, Self::MultipleMethods, Self::MalformedRequest, Self::Throttled];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::InvalidSecret => "invalid_secret",
            Self::ExpiredSecret => "expired_secret",
            Self::NotYetValidSecret => "not_yet_valid_secret",
            Self::DisabledSecret => "disabled_secret",
            Self::RevokedSecret => "revoked_secret",
            Self::DisabledClient => "disabled_client",
            Self::Throttled => "throttled",
            Self::UnknownClient => "unknown_client",
            Self::MissingCredentials => "missing_credentials",
            Self::MultipleMethods => "multiple_methods",
            Self::MalformedRequest => "malformed_request",
        }
    }
}

/// How a client proved itself: RFC 6749 section 2.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// `client_secret_basic`: the Authorization header.
    Basic,
    /// `client_secret_post`: the form.
    Post,
}

impl AuthMethod {
    /// As it is written down.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Post => "post",
        }
    }
}

/// Which reading of HTTP Basic matched: the closed set of `encoding` in `relatch_basic_encoding_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Both parts form-encoded before base64, as RFC 6749 section 2.3.1 has it.
    Rfc6749,
    /// As they are, as RFC 7617 has it and as many libraries do.
    Raw,
}
