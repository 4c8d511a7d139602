//! The request corpus: every `[[case]]` in `tests/corpus` is sent to a real
//! sidecar (in one piece, torn into several, through TLS, and over HTTP/2 where
//! it is about more than HTTP/1.1), and what came back, what the upstream saw and
//! what was logged are held against it.
//!
//! Cases are data because the list grows with every trick that somebody finds:
//! a new one is five lines of TOML. One relatch runs for each set-up of a file
//! and takes its cases in order; all failures of a file are reported together.
//! `CORPUS_ONLY=B05,C01` runs the cases whose ids start so.

mod case;
mod exchange;
mod judge;
mod kind;
pub(crate) mod live;
pub(crate) mod request;
pub(crate) mod sample;

use std::collections::BTreeMap;
use std::path::PathBuf;

use case::{Case, Cases};
use live::Live;

/// The files of cases.
const FILES: [&str; 7] = [
    "a-parameters.toml",
    "b-basic.toml",
    "c-framing.toml",
    "d-path-method.toml",
    "j-json.toml",
    "n-egress.toml",
    "q-parsers.toml",
];

/// How a request goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// In one write, as far as the socket takes it.
    Whole,
    /// In several writes with pauses: where a read ends must not change a decision.
    Torn,
    /// In one write, through TLS.
    Secured,
    /// Over HTTP/2, where it says something there.
    Streams,
}

impl Shape {
    /// Whether a case says something in this shape.
    fn fits(self, case: &Case) -> bool {
        match self {
            Self::Whole | Self::Secured => true,
            Self::Torn => request::can_be_torn(case),
            Self::Streams => request::translated(case).is_some(),
        }
    }
}

#[test]
fn a_parameters_have_one_reading_or_are_refused() {
    run("a-parameters.toml");
}

#[test]
fn b_basic_credentials_have_one_reading_or_are_refused() {
    run("b-basic.toml");
}

#[test]
fn c_framing_has_one_reading_or_the_connection_ends() {
    run("c-framing.toml");
}

#[test]
fn d_only_the_one_path_and_method_pass() {
    run("d-path-method.toml");
}

#[test]
fn n_no_secret_goes_out_but_the_upstreams_own() {
    run("n-egress.toml");
}

#[test]
fn j_json_has_one_reading_or_is_refused() {
    run("j-json.toml");
}

#[test]
fn q_what_parsers_disagree_about_has_one_reading_or_is_refused() {
    run("q-parsers.toml");
}

/// Runs every case of one file and reports all that failed.
#[track_caller]
fn run(file: &str) {
    let cases = read(file);
    let mut by_setup: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| chosen(case)) {
        by_setup.entry(&case.setup).or_default().push(case);
    }
    let setups = live::setups();
    let mut failures = Vec::new();
    let mut ran = 0;
    for (name, cases) in by_setup {
        for shapes in [&[Shape::Whole, Shape::Torn, Shape::Streams][..], &[Shape::Secured]] {
            let mut live = Live::start(name, &setups, shapes == [Shape::Secured]);
            for case in &cases {
                for shape in shapes.iter().filter(|shape| shape.fits(case)) {
                    ran += 1;
                    failures.extend(judge::run(case, *shape, &mut live));
                }
            }
            failures.extend(live.finish().into_iter().map(|why| format!("set-up {name}: {why}")));
        }
    }
    assert!(failures.is_empty(), "{} of {ran} runs of {file} failed:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Reads one file of cases; an id that is used twice is a mistake.
fn read(file: &str) -> Vec<Case> {
    let path = corpus_dir().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let cases = toml::from_str::<Cases>(&text).unwrap_or_else(|why| panic!("{file}: {why}"));
    let mut ids: Vec<&str> = cases.case.iter().map(|case| case.id.as_str()).collect();
    ids.sort_unstable();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "{file}: two cases {twice:?}");
    cases.case
}

/// Whether this case is to run.
fn chosen(case: &Case) -> bool {
    let only = std::env::var("CORPUS_ONLY").unwrap_or_default();
    only.is_empty() || only.split(',').any(|prefix| case.id.starts_with(prefix))
}

/// Where the data is.
fn corpus_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Every case of every file must build, whether or not a binary is there to take it.
#[test]
fn every_case_is_well_formed() {
    let setups = live::setups();
    for file in FILES {
        let cases = read(file);
        for case in &cases {
            assert!(setups.contains_key(&case.setup), "{}: set-up {}", case.id, case.setup);
            request::build(case);
            judge::check_words(case, &cases);
        }
    }
}
