//! A sidecar that takes case after case, and its set-up by name.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::corpus_dir;
use crate::support::http::{Method, Outcome, Reply, Wire, token_request};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::tunnel::{self, Tunnel};
use crate::support::upstream::{Seen, Upstream};
use crate::support::{bytes, leak};

/// One entry of `setups.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// What it is for.
    story: String,
    /// Take everything that is not said here from this one.
    like: Option<String>,
    /// Laid over the harness's configuration.
    #[serde(default)]
    config: String,
    /// The client list.
    clients: Option<String>,
    /// More files of the directory.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Wrong secrets that its cases present: they may not show either.
    #[serde(default)]
    canaries: Vec<String>,
    /// Id and secret that always work.
    probe: Option<(String, String)>,
    /// `config` of its ancestors and its own, in that order.
    #[serde(skip)]
    layers: Vec<String>,
}

/// Every set-up by its name, parents (one step up, no further) resolved.
pub(crate) fn setups() -> BTreeMap<String, Named> {
    let text = std::fs::read_to_string(corpus_dir().join("setups.toml")).unwrap();
    let wire: BTreeMap<String, Named> = toml::from_str(&text).unwrap_or_else(|why| panic!("setups.toml: {why}"));
    let resolve = |name: &String, own: &Named| {
        assert!(!own.story.is_empty(), "set-up {name} has no story");
        let mut own = own.clone();
        own.layers = vec![own.config.clone()];
        if let Some(parent) = own.like.as_ref().map(|like| &wire[like]) {
            own.clients = own.clients.or_else(|| parent.clients.clone());
            own.probe = own.probe.or_else(|| parent.probe.clone());
            own.canaries.extend(parent.canaries.iter().cloned());
            own.layers.insert(0, parent.config.clone());
            own.files.extend(parent.files.clone());
        }
        (name.clone(), own)
    };
    wire.iter().map(|(name, own)| resolve(name, own)).collect()
}

impl Named {
    /// What to start, but for its upstream.
    pub(crate) fn setup(&self) -> Setup {
        let mut setup = Sidecar::guard().clients_text(self.clients());
        for layer in &self.layers {
            setup = setup.config(layer);
        }
        for (file, content) in &self.files {
            setup = setup.file(file, content);
        }
        for canary in &self.canaries {
            setup = setup.canary(canary);
        }
        setup
    }

    /// The client list.
    pub(crate) fn clients(&self) -> &str {
        self.clients.as_deref().unwrap_or_default()
    }

    /// Id and secret that always work.
    pub(crate) fn probe(&self) -> (String, String) {
        self.probe.clone().expect("a set-up has a probe")
    }
}

/// A running set-up with its upstream.
pub(crate) struct Live {
    pub(crate) sidecar: Sidecar,
    pub(crate) upstream: Upstream,
    /// Id and secret that always work.
    pub(crate) probe: (String, String),
    /// Answers kept for `same_as`, by case id and whether it came over HTTP/2.
    pub(super) answers: HashMap<(String, bool), Vec<u8>>,
    mark: usize,
    fragments: usize,
    log_mark: usize,
    tunnel: Option<Tunnel>,
}

impl Live {
    /// Starts the set-up of this name, with a certificate if it is to be `secured`.
    #[track_caller]
    pub(crate) fn start(name: &str, setups: &BTreeMap<String, Named>, secured: bool) -> Self {
        let named = setups.get(name).unwrap_or_else(|| panic!("no set-up {name}"));
        let upstream = Upstream::start();
        let mut setup = named.setup().upstream(&upstream);
        let probe = named.probe();
        let (mark, fragments, log_mark) = (0, 0, 0);
        let answers = HashMap::new();
        let ca = Ca::new();
        if secured {
            let pair = ca.issue(&[tunnel::NAME]);
            setup = setup.file("tls.crt", &pair.cert).file("tls.key", &pair.key);
            setup = setup.config("[proxy.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n");
        }
        let sidecar = setup.start();
        let tunnel = secured.then(|| Tunnel::to(sidecar.proxy(), tunnel::caller(&ca, None, &["http/1.1"])));
        Self { sidecar, upstream, probe, answers, mark, fragments, log_mark, tunnel }
    }

    /// Where to connect.
    pub(super) fn front(&self) -> SocketAddr {
        self.tunnel.as_ref().map_or_else(|| self.sidecar.proxy(), Tunnel::entrance)
    }

    /// Forgets what came before. Requests that arrived since the last look came
    /// too late for the case that caused them: they are the finding.
    pub(crate) fn turn_page(&mut self) -> Vec<String> {
        let late = self.upstream.since(self.mark);
        self.mark += late.len();
        self.fragments = self.upstream.fragments().len();
        self.log_mark = self.sidecar.log().len();
        let shown = |raw| format!("upstream, after its end: {}", bytes::escape(raw));
        late.iter().map(|seen| shown(&seen.raw)).collect()
    }

    /// What the upstream saw since the last look, but for `own` requests.
    pub(crate) fn seen(&mut self, own: &str) -> Vec<Seen> {
        let seen = self.upstream.since(self.mark);
        self.mark += seen.len();
        let foreign = |seen: &Seen| seen.request_id() != Some(own);
        seen.iter().map(|seen| Seen::clone(seen)).filter(foreign).collect()
    }

    /// Ends of requests that the upstream never saw whole, since the page was turned.
    pub(crate) fn fragments(&self) -> Vec<Vec<u8>> {
        self.upstream.fragments().split_off(self.fragments)
    }

    /// What was logged since the page was turned.
    pub(crate) fn log(&self) -> String {
        self.sidecar.log().split_off(self.log_mark)
    }

    /// A good request on a connection of its own.
    pub(crate) fn ask(&self, request_id: &str) -> Result<Reply, String> {
        ask(self.front(), &self.probe, request_id)
    }

    /// The standing promises over everything that happened.
    pub(crate) fn finish(mut self) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(100));
        let mut broken = self.turn_page();
        if !self.sidecar.is_alive() {
            broken.push("the process has ended".to_owned());
        } else {
            broken.extend(leak::silence(&self.sidecar));
        }
        broken
    }
}

/// A good request with this id and secret, on a connection of its own.
pub(super) fn ask(proxy: SocketAddr, (id, secret): &(String, String), request_id: &str) -> Result<Reply, String> {
    let mut wire = Wire::connect(proxy);
    wire.send(&token_request(Method::Basic, id, secret, request_id));
    match wire.read_reply(false, Duration::from_secs(6)) {
        Outcome::Reply(reply) if reply.status == 200 => Ok(reply),
        other => Err(format!("a good request afterwards got {other:?}")),
    }
}
