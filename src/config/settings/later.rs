//! Keys of the contract that this version does not act on. Where ignoring one would leave somebody less protected than
//! the file says, it is refused; where it only takes comfort away, it is a warning.

use crate::config::reader::{FromNode, Section};
use crate::config::tree::Value;

const NOT_YET: &str = "is not in this version: take it out";
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

fn refuse(section: &mut Section<'_, '_>, keys: &[&'static str]) {
    for key in keys {
        if section.take::<Anything>(key, NOT_YET).is_some() {
            section.error(key, NOT_YET);
        }
    }
}

fn mention(section: &mut Section<'_, '_>, keys: &[&'static str]) {
    for key in keys {
        if section.take::<Anything>(key, NO_EFFECT).is_some() {
            section.warn(key, NO_EFFECT);
        }
    }
}

/// A setting whose one value is what this version does anyway.
fn only_false(section: &mut Section<'_, '_>, key: &'static str) {
    if section.or(key, NOT_YET, false) {
        section.error(key, format!("true {NOT_YET}"));
    }
}

/// TLS towards the upstream.
pub(super) fn tls(section: &mut Section<'_, '_>) {
    refuse(section, &["tls"]);
}

/// `[upstream] http2`
pub(super) fn http2(section: &mut Section<'_, '_>) {
    only_false(section, "http2");
}

/// `[log] audit`
pub(super) fn audit(section: &mut Section<'_, '_>) {
    mention(section, &["audit"]);
}

/// `[fleet]` keys.
pub(super) fn fleet(section: &mut Section<'_, '_>) {
    mention(section, &["redis", "prefix", "key_file", "max_stale"]);
}
