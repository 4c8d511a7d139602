//! What can stand in a file as one value: how each kind is read, what its schema says, and how it is written.

use serde_json::{Value as Json, json};

use super::reader::FromNode;
use super::tree::Value;

impl FromNode for String {
    const EXPECTED: &'static str = "a string";
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(None),
        }
    }
    fn schema() -> Json {
        json!({"type": "string"})
    }
    fn shown(&self) -> Json {
        json!(self)
    }
}

impl FromNode for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Bool(bool) => Ok(*bool),
            _ => Err(None),
        }
    }
    fn schema() -> Json {
        json!({"type": "boolean"})
    }
    fn shown(&self) -> Json {
        json!(self)
    }
}

/// A whole number, not negative.
impl FromNode for usize {
    const EXPECTED: &'static str = "a whole number, 0 or more";
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Integer(number) => Self::try_from(*number).map_err(|_| None),
            _ => Err(None),
        }
    }
    fn schema() -> Json {
        json!({"type": "integer", "minimum": 0})
    }
    fn shown(&self) -> Json {
        json!(self)
    }
}

/// A share: a number from 0 to 1.
impl FromNode for f64 {
    const EXPECTED: &'static str = "a share from 0.0 to 1.0";
    #[expect(clippy::cast_precision_loss, reason = "only 0 and 1 pass")]
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        let number = match value {
            Value::Integer(number) => *number as Self,
            Value::Float(number) => *number,
            _ => return Err(None),
        };
        if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(Some(format!("expected {}", Self::EXPECTED))) }
    }
    fn schema() -> Json {
        json!({"type": "number", "minimum": 0, "maximum": 1})
    }
    fn shown(&self) -> Json {
        json!(self)
    }
}

/// One or several: a single value stands for a list of one where the contract allows it.
impl<T: FromNode> FromNode for Vec<T> {
    const EXPECTED: &'static str = "a list";
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Array(items) => items
                .iter()
                .map(|item| T::from_node(&item.value))
                .collect::<Result<_, _>>()
                .map_err(|message| message.or_else(|| Some(format!("expected a list of {}", T::EXPECTED)))),
            single => T::from_node(single).map(|item| vec![item]),
        }
    }
    fn schema() -> Json {
        json!({"anyOf": [T::schema(), {"type": "array", "items": T::schema()}]})
    }
    fn shown(&self) -> Json {
        self.iter().map(T::shown).collect()
    }
}

/// Gives a type made from a string its [`FromNode`].
#[macro_export]
#[doc(hidden)]
macro_rules! from_text {
    ($type:ty, $expected:literal, $parse:expr $(, shown $shown:expr)?) => {
        impl $crate::config::reader::FromNode for $type {
            const EXPECTED: &'static str = $expected;
            fn from_node(value: &$crate::config::tree::Value) -> Result<Self, Option<String>> {
                let $crate::config::tree::Value::String(text) = value else { return Err(None) };
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(text).ok_or_else(|| Some(format!("expected {}", Self::EXPECTED)))
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string"})
            }
            $(fn shown(&self) -> serde_json::Value {
                let shown: fn(&Self) -> String = $shown;
                shown(self).into()
            })?
        }
    };
}

/// Gives an enumeration its [`FromNode`], its words being the only ones that are taken.
#[macro_export]
#[doc(hidden)]
macro_rules! from_words {
    ($type:ty, $expected:literal, {$($word:literal => $value:expr),+ $(,)?}) => {
        impl $crate::config::reader::FromNode for $type {
            const EXPECTED: &'static str = $expected;
            fn from_node(value: &$crate::config::tree::Value) -> Result<Self, Option<String>> {
                let $crate::config::tree::Value::String(text) = value else { return Err(None) };
                match text.as_str() {
                    $($word => Ok($value),)+
                    _ => Err(Some(concat!("expected ", $expected).to_owned())),
                }
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({"enum": [$($word),+]})
            }
            fn shown(&self) -> serde_json::Value {
                let words = [$(($word, $value)),+];
                words.into_iter().find(|(_, value)| value == self).map(|(word, _)| word).into()
            }
        }
    };
}

from_text!(
    std::time::Duration,
    "a duration with a unit, such as \"10s\"",
    super::values::duration,
    shown | length | super::values::written(*length)
);
from_text!(crate::domain::ids::ClientId, "a client id of 1 to 512 bytes", crate::domain::ids::ClientId::parse);
from_text!(
    crate::domain::ids::Tenant,
    "one segment of a path: up to 128 of A-Z a-z 0-9 . _ ~ -",
    crate::domain::ids::Tenant::parse
);
from_text!(crate::domain::ids::SecretId, "a secret id of 1 to 64 of [a-z0-9_]", crate::domain::ids::SecretId::parse);
from_text!(
    std::net::SocketAddr,
    "an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
    super::values::address,
    shown ToString::to_string
);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);
from_text!(
    Size,
    "a size with a unit, such as \"64KiB\"",
    |text| super::values::size(text).map(Size),
    shown | size | super::values::written_size(size.0)
);

/// A time with its offset; a TOML date-time serves as well as a string.
impl FromNode for crate::domain::clock::Timestamp {
    const EXPECTED: &'static str = "a time such as \"2026-11-21T01:30:00Z\"";
    fn from_node(value: &Value) -> Result<Self, Option<String>> {
        let (Value::String(text) | Value::Datetime(text)) = value else { return Err(None) };
        super::values::timestamp(text).ok_or_else(|| Some(format!("expected {}", Self::EXPECTED)))
    }
    fn schema() -> Json {
        json!({"type": "string", "format": "date-time"})
    }
}
