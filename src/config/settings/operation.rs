//! `[state]` and `[fleet]`: what stands around the token path.

use std::path::{Path, PathBuf};

use super::address::Target;
use super::later;
use crate::config::reader::Section;
use crate::from_words;

/// `[state]`
#[derive(Clone, Debug)]
pub struct State {
    /// Where last use is kept over restarts.
    pub path: PathBuf,
}

/// `[fleet]`
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Whether other instances see uses that this one does not.
    pub instances: Instances,
    /// A Prometheus that scrapes all of them.
    pub prometheus: Option<Target>,
}

/// `[fleet] instances`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// This one sees every use.
    One,
    /// Last use is believed only when it comes from all of them.
    Many,
}
from_words!(Instances, "one or many", {"one" => Self::One, "many" => Self::Many});

/// Beside the configuration, where the commands that read the same file find it.
const STATE: &str = "relatch.state";

impl State {
    pub(super) fn read(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let path: String = section.or("path", "Where last use is kept over restarts", STATE.to_owned());
        if path.is_empty() {
            section.error("path", "expected a file's name");
        }
        Self { path: base.join(path) }
    }
}

impl Fleet {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        later::fleet(section);
        Self {
            instances: section.or("instances", "one, or many that share the list", Instances::One),
            prometheus: section.take("prometheus", "A Prometheus that scrapes all instances"),
        }
    }
}
