//! One request as a server read it. Every text is Latin-1, one character for each byte.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::support::upstream::Seen;
use crate::support::{bytes, form, leak};

const REQUEST_ID: &str = "x-request-id";

/// What there is to differ in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    method: String,
    /// Path and query, as they stand.
    target: String,
    /// All values of a name, which is in lower case, in one: servers join them as they like.
    headers: BTreeMap<String, String>,
    body: String,
    /// The pairs of the body as the server's own parser has them, by name. Some have none.
    form: Option<Vec<(String, String)>>,
    /// What no upstream should be sent.
    flaws: Vec<String>,
}

impl Reading {
    /// What the recording upstream saw.
    pub(super) fn of(seen: &Seen, extra_headers: &[String]) -> Self {
        Self {
            method: seen.method.clone(),
            target: seen.target.clone(),
            headers: joined(seen.headers.iter().cloned()),
            body: latin1(&seen.body),
            form: form::pairs(&seen.body).map(|pairs| by_name(pairs.into_iter().map(coded).collect())),
            flaws: leak::sender(seen, extra_headers),
        }
    }

    /// A line of a server's journal, every text in it in hex.
    #[track_caller]
    pub(super) fn told(line: &str, extra_headers: &[String]) -> Self {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        let text = |value: &Value| unhex(value.as_str().unwrap_or_else(|| panic!("no text in {line}")));
        let pairs = |list: &Vec<Value>| list.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        let headers: Vec<_> = told["headers"].as_array().map(pairs).unwrap_or_default();
        let mut reading = Self {
            method: text(&told["method"]),
            target: text(&told["target"]),
            headers: joined(headers),
            body: text(&told["body"]),
            form: told["form"].as_array().map(pairs).map(by_name),
            flaws: Vec::new(),
        };
        let strays = reading.headers.keys().filter(|name| !leak::listed(&reading.method, name, extra_headers));
        reading.flaws = strays.map(|name| format!("header {name} is on no list")).collect();
        reading
    }

    /// The request's id.
    pub(super) fn request_id(&self) -> &str {
        self.header(REQUEST_ID).unwrap_or_default()
    }

    /// Puts marks where two runs differ by right: at the address of the upstream, and at a request id that the caller
    /// did not send.
    pub(super) fn mask(&mut self, authority: &str, sent: &[u8]) {
        for (name, value) in &mut self.headers {
            if name == "host" && value == authority {
                "@UPSTREAM@".clone_into(value);
            }
            if name == REQUEST_ID && !bytes::contains(sent, value.as_bytes()) {
                "@MADE@".clone_into(value);
            }
        }
    }

    /// What `read` has otherwise.
    pub(super) fn differences(&self, read: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut hold = |what: &str, written: &str, read: &str| {
            if written != read {
                let (written, read) = (written.escape_debug(), read.escape_debug());
                found.push(format!("read the {what} as \"{read}\", written was \"{written}\""));
            }
        };
        hold("method", &self.method, &read.method);
        // Some servers do not tell an empty query from none.
        hold("target", self.target.trim_end_matches('?'), read.target.trim_end_matches('?'));
        hold("body", &self.body, &read.body);
        for name in self.headers.keys().chain(read.headers.keys().filter(|name| !self.headers.contains_key(*name))) {
            let value = |of: &Self| of.header(name).unwrap_or("(none)").to_owned();
            hold(&format!("header {name}"), &value(self), &value(read));
        }
        if let (Some(written), Some(read)) = (&self.form, &read.form)
            && written != read
        {
            found.push(format!("read the form as {read:?}, written was {written:?}"));
        }
        found
    }

    /// What no upstream should be sent.
    pub(super) fn flaws(&self) -> &[String] {
        &self.flaws
    }

    /// What is wrong with whom it is from, where relatch authenticated `client`.
    pub(super) fn not_from(&self, client: &str, passed: Passed<'_>) -> Vec<String> {
        let client = latin1(client.as_bytes());
        let asserted = self.header("x-relatch-client-id");
        let (basic, post) = (self.basic(), self.post());
        let mut faults = Vec::new();
        match passed {
            Passed::Asserted => {
                if asserted.and_then(|value| form::decode(value.replace('+', "%2B").as_bytes())) != Some(utf8(&client))
                {
                    faults.push(format!("the identity header says {asserted:?}, not {client:?}"));
                }
                if basic.is_some() || post.1.is_some() {
                    faults.push("a credential beside the identity header".to_owned());
                }
            }
            Passed::Replaced { prefix, secret } => {
                let wanted = (format!("{prefix}{client}"), latin1(secret.as_bytes()));
                let readings: Vec<_> = basic.iter().map(decoded).chain(both(post.clone())).collect();
                if readings != [wanted] {
                    faults.push(format!("the credentials are {readings:?}"));
                }
            }
            Passed::AsPresented => {
                let own = |id: &str| id == client || id.strip_prefix("up-") == Some(&client);
                let ids: Vec<_> = basic.iter().flat_map(|pair| [pair.0.clone(), decoded(pair).0]).collect();
                let by_post = post.0.iter().all(|id| own(id)) && (basic.is_some() || post.0.is_some());
                if !by_post || !(ids.is_empty() || ids.iter().any(|id| own(id))) {
                    faults.push(format!("it is from {ids:?} in Basic and {:?} in the body, not {client:?}", post.0));
                }
            }
        }
        if asserted.is_some() && !matches!(passed, Passed::Asserted) {
            faults.push(format!("an identity header: {asserted:?}"));
        }
        faults
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Id and secret as they stand in the base64.
    fn basic(&self) -> Option<(String, String)> {
        let plain = latin1(&bytes::unbase64(self.header("authorization")?.strip_prefix("Basic ")?)?);
        plain.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
    }

    /// Id and secret in the form; where the server has no parser for it, read by ours.
    fn post(&self) -> (Option<String>, Option<String>) {
        let ours = || form::pairs(self.body.as_bytes()).unwrap_or_default();
        let pairs = self.form.clone().unwrap_or_else(|| ours().into_iter().map(coded).collect());
        let value = |wanted| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        (value("client_id"), value("client_secret"))
    }
}

/// What was done with the caller's credentials.
#[derive(Debug, Clone, Copy)]
pub(super) enum Passed<'p> {
    /// The identity header stands for them.
    Asserted,
    /// Another id, which begins so, and this secret stand for them.
    Replaced { prefix: &'p str, secret: &'p str },
    /// The id is the client's or begins with `up-` before it.
    AsPresented,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} ", self.method, self.target, self.headers)?;
        f.write_str(&bytes::escape(self.body.as_bytes()))
    }
}

/// One entry a name, the values cut at every comma and joined again.
fn joined(lines: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in lines {
        let value = value.split(',').map(str::trim).collect::<Vec<_>>().join(", ");
        let all = headers.entry(name.to_ascii_lowercase());
        all.and_modify(|all| *all = format!("{all}, {value}")).or_insert(value);
    }
    headers
}

/// In order of their names; pairs of one name stay in their own. The order of the others shows in the body.
fn by_name(mut pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs
}

fn decoded((id, secret): &(String, String)) -> (String, String) {
    let decode =
        |text: &String| form::decode(text.as_bytes()).map_or_else(|| text.clone(), |text| latin1(text.as_bytes()));
    (decode(id), decode(secret))
}

fn both((id, secret): (Option<String>, Option<String>)) -> Option<(String, String)> {
    Some((id?, secret?))
}

fn coded((name, value): (String, String)) -> (String, String) {
    (latin1(name.as_bytes()), latin1(value.as_bytes()))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Back from Latin-1.
fn utf8(text: &str) -> String {
    String::from_utf8_lossy(&text.chars().map(|c| c as u8).collect::<Vec<_>>()).into_owned()
}

fn unhex(hex: &str) -> String {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    hex.as_bytes().chunks(2).map(|pair| char::from(byte(pair).unwrap_or_else(|| panic!("no hex: {hex}")))).collect()
}
