//! Keys of the contract that this version does not act on: a warning, as nobody is less protected than the file says.

use crate::config::reader::{FromNode, Section};
use crate::config::tree::Value;

const NO_EFFECT: &str = "has no effect in this version";

/// Whatever stands there.
struct Anything;

impl FromNode for Anything {
    const EXPECTED: &'static str = "a value";
    fn from_node(_: &Value) -> Result<Self, Option<String>> {
        Ok(Self)
    }
    fn schema() -> serde_json::Value {
        serde_json::json!(true)
    }
}

fn mention(section: &mut Section<'_, '_>, keys: &[&'static str]) {
    for key in keys {
        if section.take::<Anything>(key, NO_EFFECT).is_some() {
            section.warn(key, NO_EFFECT);
        }
    }
}

/// `[fleet]` keys.
pub(super) fn fleet(section: &mut Section<'_, '_>) {
    mention(section, &["redis", "prefix", "key_file", "max_stale"]);
}
