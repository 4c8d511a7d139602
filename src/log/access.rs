//! One line a request. The data plane writes its lines into a buffer of its own thread and hands it over whole.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::Log;
use super::json::Object;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::AuthResult;

/// What a line tells about a request.
pub struct Line<'l> {
    /// When it was answered.
    pub at: Timestamp,
    /// The configured client; empty where none is known.
    pub client_id: &'l str,
    /// The secret that was presented, if it is one we know.
    pub secret_id: &'l str,
    /// How client authentication ended, if it was tried.
    pub result: Option<AuthResult>,
    /// The status that was answered.
    pub status: u16,
    /// From the request's head to the answer's.
    pub took: Duration,
    /// Who called.
    pub peer: IpAddr,
    /// The request's id.
    pub request_id: &'l str,
    /// The method.
    pub method: &'l str,
    /// The configured path; "other" where none was asked for.
    pub endpoint: &'l str,
    /// What went wrong on the way to or from the upstream.
    pub error: Option<&'l str>,
}

/// The start of the current second's timestamp, so that a line need not format a date.
#[derive(Default)]
pub struct SecondCache {
    second: u64,
    text: String,
}

impl SecondCache {
    fn stamp(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let (second, millis) = (at.millis() / 1000, at.millis() % 1000);
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text = Timestamp::from_millis(second * 1000).rfc3339();
            self.text.truncate(self.text.len().saturating_sub(".000Z".len()));
        }
        out.extend_from_slice(self.text.as_bytes());
        let digit = |of: u64| b'0' + u8::try_from(of % 10).unwrap_or(0);
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }
}

impl Line<'_> {
    /// Appends the line.
    pub fn write(&self, log: &Log, cache: &mut SecondCache, out: &mut Vec<u8>) {
        if log.is_json() { self.json(cache, out) } else { self.text(cache, out) }
    }

    fn json(&self, cache: &mut SecondCache, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.raw("ts", |out| cache.stamp(self.at, out));
        object.text("level", "info");
        object.text("msg", "request");
        object.text("client_id", self.client_id);
        object.text("secret_id", self.secret_id);
        object.text("result", self.result.map_or("", AuthResult::as_str));
        object.number("status", u64::from(self.status));
        object.number("duration_us", u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX));
        object.raw("peer", |out| {
            let _infallible = write!(out, "{}", self.peer);
        });
        object.text("request_id", self.request_id);
        object.text("method", self.method);
        object.text("endpoint", self.endpoint);
        if let Some(error) = self.error {
            object.text("error", error);
        }
        object.end();
    }

    fn text(&self, cache: &mut SecondCache, out: &mut Vec<u8>) {
        cache.stamp(self.at, out);
        let _infallible = writeln!(
            out,
            " info  {} {} {} {} client={} secret={} result={} {:.1}ms request_id={}{}{}",
            self.peer,
            self.method,
            self.endpoint,
            self.status,
            plain(self.client_id),
            self.secret_id,
            self.result.map_or("-", AuthResult::as_str),
            self.took.as_secs_f64() * 1000.0,
            plain(self.request_id),
            if self.error.is_some() { " error=" } else { "" },
            plain(self.error.unwrap_or_default()),
        );
    }
}

/// Text that cannot end a line or move a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
