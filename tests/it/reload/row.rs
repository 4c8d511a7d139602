//! The shape of `g-reload.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    pub(super) row: Vec<Row>,
}

/// One sidecar, and what is done to the files that it reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Group letter, number, and a letter for neighbours: `G06b`.
    pub(super) id: String,
    /// What it shows, in a few words.
    pub(super) title: String,
    /// `[clients] path`, in the row's own folder.
    #[serde(default = "clients_toml")]
    pub(super) path: String,
    /// Laid over the configuration.
    #[serde(default)]
    pub(super) config: String,
    /// A command to start it under.
    pub(super) under: Option<Under>,
    /// What the system must have for it; such rows run in a test of their own.
    pub(super) needs: Option<String>,
    /// What is done before the start: as in a step.
    #[serde(default)]
    pub(super) start: Vec<Deed>,
    /// What is done while it runs, and what must come of it.
    pub(super) step: Vec<Step>,
}

/// What takes something away from the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Under {
    /// The right to read every file, where the tests run as root.
    #[serde(rename = "ordinary rights")]
    OrdinaryRights,
    /// File events.
    #[serde(rename = "no events")]
    NoEvents,
}

impl Under {
    /// The command that does it, and then becomes what follows it.
    pub(super) fn command(self) -> &'static [&'static str] {
        match self {
            Self::OrdinaryRights if !rustix::process::geteuid().is_root() => &[],
            Self::OrdinaryRights => &["setpriv", "--bounding-set", "-dac_override,-dac_read_search"],
            Self::NoEvents => &[
                "unshare",
                "--user",
                "--map-root-user",
                "sh",
                "-c",
                "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"",
                "sh",
            ],
        }
    }
}

/// A command line of `stage`, alone or with what it writes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Deed {
    Bare(String),
    With(String, Content),
}

/// What a file is filled with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    /// As it stands.
    Text(String),
    /// A client list in short.
    List(Vec<String>),
    /// Several files.
    Files(BTreeMap<String, Self>),
}

/// One step. What it expects is waited for, together; what is left out is not looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What is done, in order.
    #[serde(default, rename = "do")]
    pub(super) deeds: Vec<Deed>,
    /// `client secret` pairs that are accepted.
    #[serde(default)]
    pub(super) accepted: Vec<String>,
    /// ... that are refused.
    #[serde(default)]
    pub(super) refused: Vec<String>,
    /// ... that are accepted at every moment until the rest has come.
    #[serde(default)]
    pub(super) always: Vec<String>,
    /// `relatch_config_last_reload_successful`.
    pub(super) gauge: Option<f64>,
    /// By how much `relatch_config_reloads_total` rises for each result: a number,
    /// or `"1+"` for at least 1. One that is not named does not move, but for
    /// `unchanged`, which a second event of the same edit may always add.
    pub(super) moves: Option<BTreeMap<String, Moves>>,
    /// By how much `relatch_config_generation` rises.
    pub(super) generation: Option<f64>,
    /// Words that stand together in one line of the log written since the step began.
    #[serde(default)]
    pub(super) log: Vec<String>,
    /// Several such lines.
    #[serde(default)]
    pub(super) lines: Vec<Vec<String>>,
    /// Which secret the upstream sees when this `client secret` is presented.
    #[serde(default)]
    pub(super) sends: BTreeMap<String, String>,
    /// Resident memory grows by no more than this.
    pub(super) rss_kib: Option<u64>,
    /// It comes within this time.
    pub(super) within_ms: Option<u64>,
    /// It still holds after this time.
    pub(super) holds_ms: Option<u64>,
}

/// How far a counter moves.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Moves {
    By(f64),
    AtLeast(String),
}

impl Moves {
    /// Whether a counter that rose by `by` did so.
    pub(super) fn allows(&self, by: f64) -> bool {
        match self {
            Self::By(exactly) => by == *exactly,
            Self::AtLeast(text) => by >= text.trim_end_matches('+').parse::<f64>().unwrap(),
        }
    }
}

fn clients_toml() -> String {
    "clients.toml".to_owned()
}
