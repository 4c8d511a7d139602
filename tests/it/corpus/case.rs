//! The shape of a corpus file.
//!
//! Texts that go on the wire (`raw`, `body`, header values) are Latin-1: each
//! character up to U+00FF is the byte of that number, so that TOML can say any
//! byte. Marks inside them are filled in by `request`.

use serde::Deserialize;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub(super) case: Vec<Case>,
}

/// The good request that a case departs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Base {
    /// Basic credentials, a form with `grant_type` alone.
    #[default]
    R0,
    /// The same credentials in the body.
    R1,
    /// R0 with a chunked body; `body` is then the chunk stream itself.
    R0C,
}

/// One request and what may come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Group letter, number, and a letter for neighbours: `A01b`.
    pub(super) id: String,
    /// What is wrong (or right) with the request, in a few words.
    pub(super) title: String,
    /// The set-up in `setups.toml` that takes it.
    #[serde(default = "guard")]
    pub(super) setup: String,

    /// Where to start from.
    #[serde(default)]
    pub(super) base: Base,
    /// The whole request in place of `base` and every change to it.
    pub(super) raw: Option<String>,
    /// The request line, part by part.
    pub(super) method: Option<String>,
    pub(super) target: Option<String>,
    pub(super) version: Option<String>,
    /// `id:secret` in UTF-8, sent as Basic credentials exactly as it stands.
    pub(super) basic: Option<String>,
    /// The `Authorization` value itself.
    pub(super) authorization: Option<String>,
    /// The `Content-Type` value.
    pub(super) content_type: Option<String>,
    /// The `Content-Length` value; counted when absent.
    pub(super) content_length: Option<String>,
    /// Headers to leave out.
    #[serde(default)]
    pub(super) headers_remove: Vec<String>,
    /// Header lines before the others.
    #[serde(default)]
    pub(super) headers_first: Vec<(String, String)>,
    /// Header lines after the others.
    #[serde(default)]
    pub(super) headers_add: Vec<(String, String)>,
    /// Whole lines after the others, for what is no `name: value`.
    #[serde(default)]
    pub(super) header_lines: Vec<String>,
    /// The body.
    pub(super) body: Option<String>,
    /// Marks that stand for many bytes.
    #[serde(default)]
    pub(super) repeat: Vec<Repeat>,
    /// Sends the request this many times in a row; `@N@` counts.
    #[serde(default = "once")]
    pub(super) times: usize,

    pub(super) expect: Expect,
}

/// `mark` becomes `with`, `times` times over; `@I@` in it counts from 0.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    pub(super) mark: String,
    pub(super) with: String,
    pub(super) times: usize,
}

/// A word of `kind`, or several where more than one answer is safe.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    One(String),
    Any(Vec<String>),
}

impl Words {
    /// The words.
    pub(super) fn list(&self) -> Vec<&str> {
        match self {
            Self::One(word) => vec![word],
            Self::Any(words) => words.iter().map(String::as_str).collect(),
        }
    }
}

/// What may come of a request. Left out means: not looked at, or the default said here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// The first answer, or with `times` each of them.
    pub(super) answer: Words,
    /// Further answers on the connection, in order. None by default.
    #[serde(default)]
    pub(super) then: Vec<Words>,
    /// The `error` of a JSON answer, where the word does not fix it.
    pub(super) error: Option<String>,
    /// True: closed afterwards. False: a good request on the same connection
    /// works. By default either.
    pub(super) close: Option<bool>,
    /// How many requests the upstream may see; by default one for each pass.
    pub(super) upstream: Option<Vec<usize>>,
    /// Bytes that the upstream, the log and the answers never show.
    #[serde(default)]
    pub(super) forbid: Vec<String>,
    /// The decoded form at the upstream: in order, but for the credentials,
    /// which may stand anywhere.
    pub(super) form: Option<Vec<(String, String)>>,
    /// Pairs that the form at the upstream has.
    #[serde(default)]
    pub(super) form_has: Vec<(String, String)>,
    /// Names that the form at the upstream lacks.
    #[serde(default)]
    pub(super) form_lacks: Vec<String>,
    /// Headers that the upstream sees exactly once with this value.
    #[serde(default)]
    pub(super) headers_upstream: Vec<(String, String)>,
    /// Headers that the upstream does not see.
    #[serde(default)]
    pub(super) headers_absent: Vec<String>,
    /// Id and secret that the upstream reads in Basic, form-decoded or as they stand.
    pub(super) basic_upstream: Option<(String, String)>,
    /// Target at the upstream; `/token` by default.
    pub(super) target_upstream: Option<String>,
    /// Method at the upstream; POST by default.
    pub(super) method_upstream: Option<String>,
    /// Headers of the first answer.
    #[serde(default)]
    pub(super) headers_answer: Vec<(String, String)>,
    /// Allowed `result` of the access line.
    pub(super) result: Option<Vec<String>>,
    /// Whether a `100 Continue` comes before the answer. By default either.
    #[serde(rename = "continue")]
    pub(super) interim: Option<bool>,
    /// The answer equals that of this earlier case, byte by byte, but for `Date`.
    pub(super) same_as: Option<String>,
    /// Time until the first answer.
    pub(super) within_ms: Option<u64>,
    /// Resident memory may grow by so much.
    pub(super) rss_kib: Option<u64>,
}

fn guard() -> String {
    "guard".to_owned()
}

fn once() -> usize {
    1
}
