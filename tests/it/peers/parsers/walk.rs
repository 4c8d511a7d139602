//! The corpus, sent through a relatch of its own to whatever stands behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::reading::{Passed, Reading};
use crate::corpus::live::{Named, setups};
use crate::corpus::sample::Sample;
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::toml_text;
use crate::support::upstream::Upstream;

/// The secret that the upstream knows in [`Mode::Replace`].
const UPSTREAM_SECRET: &str = "up s+1%41:&=";

/// What stands behind relatch.
pub(super) trait Behind {
    /// Where it is.
    fn url(&self) -> String;

    /// Every request that it read since the last look, in order. `extra_headers` may stand in one as well.
    fn read(&mut self, extra_headers: &[String]) -> Vec<Reading>;
}

/// The recording upstream of the corpus.
pub(super) struct Recorder {
    upstream: Upstream,
    mark: usize,
}

impl Recorder {
    pub(super) fn start() -> Self {
        Self { upstream: Upstream::start(), mark: 0 }
    }
}

impl Behind for Recorder {
    fn url(&self) -> String {
        self.upstream.url()
    }

    fn read(&mut self, extra_headers: &[String]) -> Vec<Reading> {
        let seen = self.upstream.since(self.mark);
        self.mark += seen.len();
        seen.iter().map(|seen| Reading::of(seen, extra_headers)).collect()
    }
}

/// What is done with the credentials of the callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    /// What the set-up of the case says.
    Own,
    /// `credential = "assert"`.
    Assert,
    /// Every client has another id and secret at the upstream.
    Replace,
}

/// Cases that one relatch takes.
pub(super) struct Stage<'c> {
    name: String,
    mode: Mode,
    named: Named,
    samples: Vec<&'c Sample>,
}

impl<'c> Stage<'c> {
    /// Every case in its own set-up, and those of the plain guard in every mode.
    pub(super) fn all(samples: &'c [Sample]) -> Vec<Self> {
        let mut stages = BTreeMap::<_, Vec<&Sample>>::new();
        for sample in samples {
            let modes: &[Mode] = match sample.setup() {
                "guard" => &[Mode::Own, Mode::Assert, Mode::Replace],
                _ => &[Mode::Own],
            };
            for mode in modes {
                stages.entry((sample.setup(), *mode)).or_default().push(sample);
            }
        }
        let setups = setups();
        let stage = |((setup, mode), samples): ((&str, Mode), _)| {
            let name = format!("{setup}, {mode:?}");
            Self { name, mode, named: setups[setup].clone(), samples }
        };
        stages.into_iter().map(stage).collect()
    }

    fn setup(&self) -> Setup {
        let setup = self.named.setup();
        match self.mode {
            Mode::Own => setup,
            Mode::Assert => setup.config("upstream.credential = \"assert\""),
            Mode::Replace => {
                setup.file("upstream.secret", UPSTREAM_SECRET).clients_text(&with_identities(self.named.clients()))
            }
        }
    }

    fn passed(&self) -> Passed<'static> {
        match self.mode {
            Mode::Assert => Passed::Asserted,
            Mode::Replace => Passed::Replaced { prefix: "up-", secret: UPSTREAM_SECRET },
            Mode::Own if self.name.starts_with("assert") => Passed::Asserted,
            Mode::Own => Passed::AsPresented,
        }
    }
}

/// What came of one case.
pub(super) struct Observed<'c> {
    pub(super) stage: &'c str,
    pub(super) id: &'c str,
    pub(super) title: &'c str,
    pub(super) statuses: Vec<u16>,
    /// How many requests may have been read for it.
    pub(super) most: usize,
    pub(super) readings: Vec<Reading>,
    pub(super) faults: Vec<String>,
}

/// Sends every case of every stage, one after the other.
pub(super) fn walk<'c>(stages: &'c [Stage<'_>], behind: &mut impl Behind) -> Vec<Observed<'c>> {
    stages.iter().flat_map(|stage| stage.walk(behind)).collect()
}

impl Stage<'_> {
    fn walk(&self, behind: &mut impl Behind) -> Vec<Observed<'_>> {
        let relatch = self.setup().upstream_url(&behind.url()).start();
        let probe = self.named.probe();
        let mut observed = Vec::new();
        let mut last = String::new();
        for sample in &self.samples {
            let follow_id = format!("after-{}", sample.id());
            let heard = sample.send(relatch.proxy(), &probe, &follow_id);
            let (behind_it, readings): (Vec<_>, Vec<_>) =
                behind.read(relatch.extra_headers()).into_iter().partition(|reading| reading.request_id() == follow_id);
            let mut faults: Vec<String> = heard.fault.into_iter().collect();
            if behind_it.len() != 1 {
                faults.push(format!("the good request behind it was read {} times", behind_it.len()));
            }
            let (id, title, stage) = (sample.id(), sample.title(), self.name.as_str());
            let (statuses, most) = (heard.statuses, heard.most);
            observed.push(Observed { stage, id, title, statuses, most, readings, faults });
            last = follow_id;
        }
        relatch.access_line(&last);
        if let Some(one) = observed.last_mut() {
            let late = behind.read(relatch.extra_headers()).into_iter();
            one.faults.extend(late.map(|reading| format!("read after the end: {reading}")));
        }
        let clients = authenticated(&relatch);
        let url = behind.url();
        let authority = url.split_once("://").map_or("", |(_, authority)| authority);
        for (one, sample) in observed.iter_mut().zip(&self.samples) {
            for reading in &mut one.readings {
                one.faults.extend_from_slice(reading.flaws());
                for client in clients.get(reading.request_id()).into_iter().flatten() {
                    one.faults.extend(reading.not_from(client, self.passed()));
                }
                reading.mask(authority, &sample.sent());
            }
        }
        observed
    }
}

/// Whom relatch says that it authenticated, by request id.
fn authenticated(relatch: &Sidecar) -> BTreeMap<String, BTreeSet<String>> {
    let mut clients = BTreeMap::<String, BTreeSet<String>>::new();
    for line in relatch.log_lines().iter().filter(|line| line["msg"] == "request" && line["status"] == 200) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        if !text("client_id").is_empty() {
            clients.entry(text("request_id")).or_default().insert(text("client_id"));
        }
    }
    clients
}

/// The client list, each client with another id and secret at the upstream.
fn with_identities(clients: &str) -> String {
    let mut list: toml::Table = clients.parse().unwrap_or_else(|why| panic!("{why}"));
    for client in list.get_mut("client").and_then(|clients| clients.as_array_mut()).into_iter().flatten() {
        let Some(client) = client.as_table_mut() else { continue };
        let mut identity = toml::Table::new();
        let id = client["id"].as_str().unwrap_or_default();
        identity.insert("id".to_owned(), format!("up-{id}").into());
        identity.insert("secret_file".to_owned(), "@DIR@/upstream.secret".into());
        client.insert("upstream".to_owned(), identity.into());
    }
    toml_text::write(&list)
}
