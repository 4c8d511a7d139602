//! Step 2, the rule of it: a request's head, gone over once. What could be read in two ways is refused here.
//!
//! A missing or second Host, a transfer coding beside chunked and any Expect but one are good HTTP by the letter; they end
//! here.

use http::Version;

use crate::domain::host::is_host;
use crate::domain::oauth::Refusal;
use crate::domain::request_id::RequestId;
use crate::message::fields::{Fields, Value};
use crate::message::name::Name;

/// The fields that decide something, each known to stand at most once.
#[derive(Default)]
pub struct Head<'h> {
    /// Host; absent in HTTP/1.0 only.
    pub host: Option<Value<'h>>,
    /// Authorization.
    pub authorization: Option<Value<'h>>,
    /// The caller's request id, if it is one that can be passed and logged.
    pub request_id: Option<RequestId>,
    /// Whether a browser says on whose behalf it asks.
    pub origin: bool,
    content_type: Option<Value<'h>>,
}

impl<'h> Head<'h> {
    /// Goes over the fields once.
    pub fn check(version: Version, fields: &'h Fields) -> Result<Self, Refusal> {
        let mut head = Self::default();
        let (mut coding, mut proof) = (None, None);
        for field in fields.iter() {
            let value = field.value;
            let place = match field.name {
                Name::Host => &mut head.host,
                Name::Authorization => &mut head.authorization,
                Name::ContentType => &mut head.content_type,
                Name::TransferEncoding => &mut coding,
                Name::Dpop => &mut proof,
                Name::ContentEncoding if !value.eq_ignore_ascii_case(b"identity") => {
                    return Err(Refusal::UnsupportedEncoding);
                }
                Name::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                    return Err(Refusal::ExpectationFailed);
                }
                Name::Origin => {
                    head.origin = true;
                    continue;
                }
                Name::XRequestId => {
                    head.request_id = head.request_id.or_else(|| RequestId::said(&value));
                    continue;
                }
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Refusal::BadFraming);
            }
        }
        if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
            return Err(Refusal::BadFraming);
        }
        match head.host {
            Some(host) if is_host(&host) => Ok(head),
            None if version == Version::HTTP_10 => Ok(head),
            _ => Err(Refusal::BadFraming),
        }
    }

    /// Whether the body may be read as a form: its media type is the form's, in UTF-8. An empty body needs none.
    pub fn is_form(&self, body_is_empty: bool) -> bool {
        match self.content_type {
            None => body_is_empty,
            Some(value) => is_of_type(&value, b"application/x-www-form-urlencoded"),
        }
    }

    /// Whether the body says that it is JSON, in UTF-8.
    pub fn is_json(&self) -> bool {
        self.content_type.is_some_and(|value| is_of_type(&value, b"application/json"))
    }
}

/// Whether a media type is this one, with no parameter but a charset of UTF-8.
fn is_of_type(media_type: &[u8], wanted: &[u8]) -> bool {
    // As nearly everybody writes it.
    if media_type == wanted {
        return true;
    }
    let mut parts = media_type.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        && parts.all(|parameter| {
            let Some(at) = parameter.iter().position(|b| *b == b'=') else { return parameter.is_empty() };
            let (name, value) = parameter.split_at_checked(at).unwrap_or_default();
            let value = value.get(1..).unwrap_or_default();
            let bare = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
            name.eq_ignore_ascii_case(b"charset") && bare.eq_ignore_ascii_case(b"utf-8")
        })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn check(lines: &[(&'static str, &'static str)]) -> Result<bool, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Head::check(Version::HTTP_11, &Fields::of_map(&headers)).map(|head| head.is_form(false))
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let host = ("host", "a");
        for (lines, refusal) in [
            (vec![], Refusal::BadFraming),
            (vec![host, host], Refusal::BadFraming),
            (vec![("host", "a b")], Refusal::BadFraming),
            (vec![host, ("transfer-encoding", "gzip, chunked")], Refusal::BadFraming),
            (vec![host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], Refusal::BadFraming),
            (vec![host, ("authorization", "a"), ("authorization", "a")], Refusal::BadFraming),
            (vec![host, ("content-type", "a"), ("content-type", "b")], Refusal::BadFraming),
            (vec![host, ("dpop", "a"), ("dpop", "b")], Refusal::BadFraming),
            (vec![host, ("content-encoding", "gzip")], Refusal::UnsupportedEncoding),
            (vec![host, ("expect", "banana")], Refusal::ExpectationFailed),
        ] {
            assert_eq!(check(&lines), Err(refusal), "{lines:?}");
        }
    }

    #[test]
    fn a_form_is_told_by_its_media_type() {
        for (value, form) in [
            ("application/x-www-form-urlencoded", true),
            ("Application/X-WWW-Form-Urlencoded; Charset=\"utf-8\"", true),
            ("application/x-www-form-urlencoded;charset=UTF-8", true),
            ("application/x-www-form-urlencoded;", true),
            ("application/x-www-form-urlencoded; charset=utf-7", false),
            ("application/x-www-form-urlencoded, application/json", false),
            ("application/json", false),
            ("multipart/form-data", false),
            ("", false),
        ] {
            assert_eq!(check(&[("host", "a"), ("content-type", value)]), Ok(form), "{value}");
        }
    }
}
