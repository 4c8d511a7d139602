//! The state file, read as anybody could: a header, then lines of a checksum and JSON.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What stands in it.
pub(super) struct Kept {
    path: PathBuf,
    /// The lines in order.
    pub(super) lines: Vec<Value>,
}

impl Kept {
    /// Reads it; stops the test at a line that is not whole.
    #[track_caller]
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().skip(1).filter(|line| !line.is_empty()).map(|line| {
            let (sum, json) = line.split_once(' ').unwrap();
            assert_eq!(u32::from_str_radix(sum, 16).unwrap(), crc32fast::hash(json.as_bytes()), "{line}");
            serde_json::from_str(json).unwrap()
        });
        Self { path: path.into(), lines: lines.collect() }
    }

    /// The last word on each member of a secret's lines; null where there is no line.
    pub(super) fn of(&self, secret: &str) -> Value {
        let key = self.lines.iter().rfind(|line| line["secret"] == secret).map(|line| &line["key"]);
        let mut all = BTreeMap::new();
        for line in self.lines.iter().filter(|line| Some(&line["key"]) == key) {
            all.extend(line.as_object().unwrap().clone());
        }
        if all.is_empty() { Value::Null } else { Value::Object(all.into_iter().collect()) }
    }

    /// Appends a line with a right checksum, as the one of this secret but for these members.
    #[track_caller]
    pub(super) fn append(&self, secret: &str, members: &Value) {
        let mut line = self.of(secret);
        for (name, value) in members.as_object().unwrap() {
            line[name] = value.clone();
        }
        let json = line.to_string();
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).unwrap();
        writeln!(file, "{:08x} {json}", crc32fast::hash(json.as_bytes())).unwrap();
    }
}
