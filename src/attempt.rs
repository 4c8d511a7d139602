//! Step 9, the rule of it: when an upstream's answer means "your upstream secret is wrong", and which one to try next.
//!
//! Pure. Only a refusal of the client's authentication moves on to the next secret, because the upstream then acted on
//! nothing; everything else goes back to the caller as it is.

use http::StatusCode;

/// Where a request stands in the list of a client's upstream secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    first: usize,
    tried: usize,
    of: usize,
}

impl Attempts {
    /// Begins with the secret that worked last.
    pub const fn starting_at(working: usize, of: usize) -> Self {
        Self { first: if working < of { working } else { 0 }, tried: 0, of }
    }

    /// Index of the secret to send now.
    pub const fn current(self) -> usize {
        (self.first + self.tried) % if self.of == 0 { 1 } else { self.of }
    }

    /// Whether the secret that worked last was refused.
    pub const fn has_moved(self) -> bool {
        self.tried > 0
    }

    /// The attempt after one that was refused; nothing when each was tried once.
    pub fn next(self) -> Option<Self> {
        let next = Self { tried: self.tried + 1, ..self };
        (next.tried < next.of).then_some(next)
    }
}

/// Whether a status can mean a refusal of the client's authentication, so that the body is worth reading: 401 by most
/// servers, 400 by some.
pub fn may_refuse_client(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::BAD_REQUEST
}

/// Whether an answer refuses the client's authentication. Any 401 does, unless it speaks of the grant; a 400 does when
/// it says `invalid_client`.
pub fn refuses_client(status: StatusCode, error: Option<&str>) -> bool {
    match status {
        StatusCode::UNAUTHORIZED => error != Some("invalid_grant"),
        StatusCode::BAD_REQUEST => error == Some("invalid_client"),
        _ => false,
    }
}

/// The `error` of an OAuth error answer (RFC 6749 section 5.2).
pub fn error_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        error: String,
    }
    serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_tried_once_beginning_with_the_one_that_worked() {
        let walk = |working, of| {
            let mut at = Some(Attempts::starting_at(working, of));
            std::iter::from_fn(move || {
                let now = at?;
                at = now.next();
                Some(now.current())
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(walk(0, 1), [0]);
        assert_eq!(walk(1, 3), [1, 2, 0]);
        assert_eq!(walk(9, 2), [0, 1]);
    }

    #[test]
    fn only_a_refusal_of_the_client_moves_on() {
        for (status, body, refused) in [
            (401, r#"{"error":"invalid_client"}"#, true),
            (401, r#"{"error":"unauthorized_client"}"#, true),
            (401, r#"{"error":"access_denied"}"#, true),
            (401, "", true),
            (401, r#"{"error":"invalid_grant"}"#, false),
            (400, r#"{"error":"invalid_client"}"#, true),
            (400, r#"{"error":"invalid_grant"}"#, false),
            (400, r#"{"error":"invalid_request"}"#, false),
            (400, "", false),
            (403, r#"{"error":"invalid_client"}"#, false),
            (429, r#"{"error":"invalid_client"}"#, false),
            (500, r#"{"error":"invalid_client"}"#, false),
            (200, r#"{"access_token":"x"}"#, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refuses_client(status, error_of(body.as_bytes()).as_deref()), refused, "{status} {body}");
        }
    }
}
