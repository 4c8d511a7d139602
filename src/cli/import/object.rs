//! Reading JSON and YAML without ever quoting it: messages name keys and places, never values.

use anyhow::{anyhow, bail};
use serde_json::{Map, Value};

use super::Refused;
use crate::config::values;
use crate::domain::clock::Timestamp;

/// The JSON of a file.
pub(super) fn json(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).map_err(|error| bad_json(&error))
}

/// Why a text is no JSON: the place alone, as the parser's own words may quote it.
pub(super) fn bad_json(error: &serde_json::Error) -> anyhow::Error {
    anyhow!("not valid JSON at line {}, column {}", error.line(), error.column())
}

/// The YAML of a file. JSON is YAML too, and is read as what it is.
pub(super) fn yaml(text: &str) -> anyhow::Result<Value> {
    if text.trim_start().starts_with(['{', '[']) {
        return json(text);
    }
    serde_saphyr::from_str(text).map_err(|error| match error.location() {
        Some(place) => anyhow!("not valid YAML at line {}, column {}", place.line(), place.column()),
        None => anyhow!("not valid YAML"),
    })
}

/// The list in `value` itself or under the first of `paths` that is there; each path is keys from the outside in.
pub(super) fn entries<'v>(value: &'v Value, paths: &[&[&str]]) -> anyhow::Result<&'v [Value]> {
    if let Value::Array(entries) = value {
        return Ok(entries);
    }
    for path in paths {
        let found = path.iter().try_fold(value, |at, key| Object::of(at)?.get(key));
        if let Some(Value::Array(entries)) = found {
            return Ok(entries);
        }
    }
    let names: Vec<_> = paths.iter().map(|path| path.join(".")).collect();
    match names.as_slice() {
        [] => bail!("is not a list of clients"),
        names => bail!("has no list of clients: expected one under {}", names.join(" or ")),
    }
}

/// An entry with its keys. A key is found in any case where it does not stand there exactly: .NET reads its files so, and
/// databases answer with names in capitals.
#[derive(Clone, Copy)]
pub(super) struct Object<'v>(&'v Map<String, Value>);

impl<'v> Object<'v> {
    pub(super) fn of(value: &'v Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// A value that is there and not null.
    pub(super) fn get(self, key: &str) -> Option<&'v Value> {
        let same = |(name, value): (&String, &'v Value)| name.eq_ignore_ascii_case(key).then_some(value);
        self.0.get(key).or_else(|| self.0.iter().find_map(same)).filter(|value| !value.is_null())
    }

    /// The object under a key.
    pub(super) fn object(self, key: &str) -> Option<Self> {
        self.get(key).and_then(Self::of)
    }

    /// Text that is there and not empty.
    pub(super) fn text(self, key: &str) -> Result<Option<&'v str>, Refused> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Refused::new(format!("{key} is not text"))),
        }
    }

    /// Text for people, where it is there.
    pub(super) fn label(self, key: &str) -> String {
        self.text(key).ok().flatten().unwrap_or_default().to_owned()
    }

    /// true or false; databases also write 1 and 0, as numbers or text.
    pub(super) fn flag(self, key: &str, default: bool) -> Result<bool, Refused> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::Number(number)) if number.as_u64().is_some_and(|number| number < 2) => {
                Ok(number.as_u64() == Some(1))
            }
            Some(Value::String(text)) if text == "true" || text == "1" => Ok(true),
            Some(Value::String(text)) if text == "false" || text == "0" => Ok(false),
            Some(_) => Err(Refused::new(format!("{key} is neither true nor false"))),
        }
    }

    /// When something ends, as a written time. One that cannot be read refuses the entry: it would live on without.
    pub(super) fn end(self, key: &str) -> Result<Option<Timestamp>, Refused> {
        self.text(key)?.map(|text| time(text).ok_or_else(|| Refused::no_time(key))).transpose()
    }

    /// When something ends, in seconds since 1970, as a number or text; 0 is never.
    pub(super) fn end_seconds(self, key: &str) -> Result<Option<Timestamp>, Refused> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let seconds = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match seconds.and_then(|seconds| seconds.checked_mul(1000)) {
            None => Err(Refused::no_time(key)),
            Some(0) => Ok(None),
            Some(millis) => Ok(Some(Timestamp::from_millis(millis))),
        }
    }

    /// When something was made: only for people, so one that cannot be read is left out.
    pub(super) fn made(self, key: &str) -> Option<Timestamp> {
        self.end(key).or_else(|_| self.end_seconds(key)).ok().flatten()
    }
}

/// A time as databases write it: RFC 3339, or without an offset and then in UTC.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    values::timestamp(text).or_else(|| {
        let time: jiff::civil::DateTime = text.parse().ok()?;
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        u64::try_from(time.as_millisecond()).ok().map(Timestamp::from_millis)
    })
}
