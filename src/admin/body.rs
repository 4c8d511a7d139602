//! The body of a request: JSON that says one thing only, within bounds.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::answer::Fault;

/// A JSON body that may be left out; what is wrong with one is told without quoting it.
pub(super) struct Body<T>(pub(super) T);

/// Bytes that a request may have, put beside it by a door that has a bound.
#[derive(Clone, Copy)]
pub(super) struct MostBody(pub(super) u64);

/// A request to the admin API is small and comes whole.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing that is asked here is nested more than three deep.
const DEEPEST: usize = 32;

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let empty = http_body::Body::is_end_stream(request.body());
        let kind = is_json(request.headers());
        if kind == Some(false) || (kind.is_none() && !empty) {
            return Err(Fault::of_http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "expected Content-Type: application/json\n  Nothing was changed.",
            ));
        }
        if empty {
            return Ok(Self(T::default()));
        }
        let read = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Fault::too_large());
            }
            Ok(Err(_)) => return Err(Fault::invalid("the body cannot be read\n  Nothing was changed.".to_owned())),
            Err(_) => {
                let message = "the body did not arrive in time\n  Nothing was changed.";
                return Err(Fault::of_http(StatusCode::REQUEST_TIMEOUT, "timeout", message));
            }
        };
        parse(&bytes).map(Self).map_err(Fault::invalid)
    }
}

/// Stands before every route: refuses what is too large by its own word, before it comes.
pub(super) async fn bounded(request: Request, next: Next) -> Result<Response, Fault> {
    let most = request.extensions().get().map_or(u64::MAX, |MostBody(most)| *most);
    if request.body().size_hint().lower() > most {
        return Err(Fault::too_large());
    }
    Ok(next.run(request).await)
}

/// Whether the header says JSON; nothing where there is no header.
pub(super) fn is_json(headers: &HeaderMap) -> Option<bool> {
    let kinds: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    let [kind] = &*kinds else { return (!kinds.is_empty()).then_some(false) };
    let kind = kind.to_str().ok().and_then(|kind| kind.split(';').next()).unwrap_or_default();
    Some(kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads what was wished, or says why not without quoting a value.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let told_once = Strict { left: DEEPEST }.deserialize(&mut json).and_then(|()| json.end());
    told_once.map_err(|error| match error.classify() {
        Category::Data => "the body says a key twice, or is nested too deep\n  Nothing was changed.".to_owned(),
        _ => "the body is not valid JSON\n  Nothing was changed.".to_owned(),
    })?;
    serde_json::from_slice(bytes).map_err(|error| unquoted(&error.to_string()))
}

/// The library's message as far as it names keys and not values.
fn unquoted(message: &str) -> String {
    let unknown = message.split("unknown field `").nth(1).and_then(|rest| rest.split('`').next());
    let why = unknown.map_or_else(
        || "a key of the body has a value of the wrong kind".to_owned(),
        |key| format!("the body has a key that is not known here: {key}"),
    );
    format!("{why}\n  Nothing was changed.")
}

/// Goes through any JSON: of two readings of a key that stands twice neither may win, and what is nested deeper than
/// anything here is not read on.
#[derive(Clone, Copy)]
struct Strict {
    left: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        self.left.checked_sub(1).map(|left| Self { left }).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while items.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("a key stands twice"));
            }
            entries.next_value_seed(deeper)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::admin::wish::LifecycleWish;

    #[test]
    fn a_body_says_each_thing_once_and_is_not_deep() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for good in [r#"{"a":[1,-2,1.5,true,null,"x",{"a":{"a":0}}]}"#, " 7 ", &nested(DEEPEST)] {
            assert!(parse::<Value>(good.as_bytes()).is_ok(), "{good}");
        }
        for (bad, word) in [
            (r#"{"canary":1,"canary":2}"#, "twice"),
            (r#"{"a":[{"b":1,"\u0062":2}]}"#, "twice"),
            (&*nested(DEEPEST + 1), "too deep"),
            (&*nested(10_000), "too deep"),
            ("{\"a\":\"canary", "not valid JSON"),
            ("{} {}", "not valid JSON"),
            ("", "not valid JSON"),
        ] {
            let why = parse::<Value>(bad.as_bytes()).unwrap_err();
            assert!(why.contains(word) && !why.contains("canary"), "{bad}: {why}");
        }
        let wish = |text: &str| parse::<LifecycleWish>(text.as_bytes());
        assert!(wish(r#"{"force":true}"#).unwrap().force);
        let told = |text: &str| wish(text).unwrap_err().lines().next().unwrap().to_owned();
        assert_eq!(told(r#"{"forced":true}"#), "the body has a key that is not known here: forced");
        assert_eq!(told(r#"{"force":"canary"}"#), "a key of the body has a value of the wrong kind");
    }

    #[test]
    fn only_json_is_json() {
        let of = |kinds: &[&'static str]| {
            let mut headers = HeaderMap::new();
            kinds.iter().for_each(|kind| {
                headers.append(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
            });
            is_json(&headers)
        };
        assert_eq!(of(&[]), None);
        for good in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(of(&[good]), Some(true), "{good}");
        }
        for bad in
            ["text/plain", "", "application/x-www-form-urlencoded", "text/plain; application/json", "application/jsonp"]
        {
            assert_eq!(of(&[bad]), Some(false), "{bad}");
        }
        assert_eq!(of(&["application/json", "application/json"]), Some(false));
    }
}
