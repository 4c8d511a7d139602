//! What an answer of the upstream says about the secret it was sent. Servers say it in different ways.

use std::sync::LazyLock;

use http::StatusCode;
use memchr::memmem;

/// What an answer says about the client's authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was right: the answer is about the rest of the request, or a token.
    Accepted,
    /// It was refused, and nothing was acted on.
    Refused,
    /// Nothing: the upstream is overloaded or broken.
    Unclear,
}

/// Errors that speak of the request and not of who sent it, whatever the status (RFC 6749 section 5.2, RFC 8628
/// section 3.5, RFC 8707 section 2, RFC 9449 section 5). The client was authenticated before the server got to them.
const OF_THE_REQUEST: [&str; 13] = [
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unsupported_grant_type",
    "authorization_pending",
    "slow_down",
    "expired_token",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "interaction_required",
    "login_required",
    "consent_required",
];
/// Refusals that come with a 200.
const OF_A_SUCCESS: [&str; 2] = ["incorrect_client_credentials", "invalid_client"];
/// A refusing answer is read up to here to see what it refuses.
const MOST_ERROR: usize = 64 << 10;
/// ... and one that says 200 up to here: an error is short, and a token is not kept waiting.
const MOST_SUCCESS: usize = 512;

/// How much of the body is worth reading to tell; nothing where the status says all.
pub fn worth_reading(status: StatusCode) -> Option<usize> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => Some(MOST_ERROR),
        StatusCode::OK => Some(MOST_SUCCESS),
        _ => None,
    }
}

/// What an answer says. `body` is the whole of it, where it is no longer than [`worth_reading`]. Any 401 refuses the client
/// unless it speaks of the request; a 400 and a 200 do by their own words only.
pub fn said(status: StatusCode, body: Option<&[u8]>) -> Said {
    let error = || body.and_then(error_of);
    match status {
        StatusCode::UNAUTHORIZED if !error().is_some_and(|error| OF_THE_REQUEST.contains(&&*error)) => Said::Refused,
        StatusCode::BAD_REQUEST if error().as_deref() == Some("invalid_client") => Said::Refused,
        StatusCode::OK if body.is_some_and(mentions_an_error) => match error() {
            Some(error) if OF_A_SUCCESS.contains(&&*error) => Said::Refused,
            _ => Said::Accepted,
        },
        // 408 and 425 come before anything was looked at, as 429 does.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Said::Unclear,
        status if status.is_server_error() => Said::Unclear,
        _ => Said::Accepted,
    }
}

/// Spares a token the parser.
fn mentions_an_error(body: &[u8]) -> bool {
    // Made once: to make it is more work than to search an answer with it.
    static ERROR: LazyLock<memmem::Finder<'_>> = LazyLock::new(|| memmem::Finder::new("error"));
    body.len() <= MOST_SUCCESS && ERROR.find(body).is_some()
}

/// The `error` of an OAuth error answer (RFC 6749 section 5.2), in JSON or, as GitHub has it, in a form.
pub fn error_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        error: String,
    }
    let in_form = || {
        let rest = body.strip_prefix(b"error=")?;
        std::str::from_utf8(rest.split(|b| *b == b'&').next()?).ok().map(str::to_owned)
    };
    serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.error).or_else(in_form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_client_moves_on() {
        use Said::*;
        for (status, body, expected) in [
            (401, r#"{"error":"invalid_client"}"#, Refused),
            (401, r#"{"error":"unauthorized_client"}"#, Refused),
            (401, r#"{"error":"access_denied"}"#, Refused),
            (401, "", Refused),
            (401, "<html>", Refused),
            (401, r#"{"error":"invalid_grant"}"#, Accepted),
            (401, r#"{"error":"use_dpop_nonce"}"#, Accepted),
            (400, r#"{"error":"invalid_client"}"#, Refused),
            (400, r#"{"error":"invalid_grant"}"#, Accepted),
            (400, r#"{"error":"invalid_request"}"#, Accepted),
            (400, r#"{"error":"unauthorized_client"}"#, Accepted),
            (400, "", Accepted),
            (403, r#"{"error":"invalid_client"}"#, Accepted),
            (408, "", Unclear),
            (429, r#"{"error":"invalid_client"}"#, Unclear),
            (500, r#"{"error":"invalid_client"}"#, Unclear),
            (503, "", Unclear),
            (200, r#"{"access_token":"x"}"#, Accepted),
            (200, r#"{"access_token":"error"}"#, Accepted),
            (200, r#"{"error":"incorrect_client_credentials","error_description":"d"}"#, Refused),
            (200, "error=incorrect_client_credentials&error_description=d", Refused),
            (200, r#"{"error":"bad_verification_code"}"#, Accepted),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(said(status, Some(body.as_bytes())), expected, "{status} {body}");
        }
        assert_eq!(said(StatusCode::UNAUTHORIZED, None), Refused, "too long to be read");
        assert_eq!(said(StatusCode::BAD_REQUEST, None), Accepted);
    }
}
