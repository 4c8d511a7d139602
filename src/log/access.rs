//! One line a request. The data plane writes its lines into a buffer of its own thread and hands it over whole.

use std::io::Write;
use std::time::Duration;

use super::Log;
use super::json;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;
use crate::domain::oauth::AuthResult;
use crate::domain::request_id::RequestId;
use crate::domain::source::Source;

/// What a line tells about a request.
pub struct Line<'l> {
    /// When it was answered.
    pub at: Timestamp,
    /// The configured client, where one is known. A tenant that nobody configured is not shown: a caller may have written
    /// anything in its place.
    pub client: Option<&'l ClientKey>,
    /// The secret that was presented, if it is one we know.
    pub secret_id: &'l str,
    /// How client authentication ended, if it was tried.
    pub result: Option<AuthResult>,
    /// The status that was answered.
    pub status: u16,
    /// From the request's head to the answer's.
    pub took: Duration,
    /// Who called.
    pub peer: Source,
    /// The request's id.
    pub request_id: Option<&'l RequestId>,
    /// The method.
    pub method: &'l str,
    /// The configured path; "other" where none was asked for.
    pub endpoint: &'l str,
    /// What went wrong on the way to or from the upstream.
    pub error: Option<&'l str>,
}

/// What a line has in common with the one before: the date and time up to the second, and often the caller.
#[derive(Default)]
pub struct LineCache {
    second: u64,
    text: String,
    peer: Option<(Source, String)>,
}

impl LineCache {
    fn peer(&mut self, peer: Source, out: &mut Vec<u8>) {
        if self.peer.as_ref().is_none_or(|(known, _)| *known != peer) {
            self.peer = Some((peer, peer.to_string()));
        }
        out.extend_from_slice(self.peer.as_ref().map_or("", |(_, text)| text).as_bytes());
    }

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
    pub fn write(&self, log: &Log, cache: &mut LineCache, out: &mut Vec<u8>) {
        if log.is_json() { self.json(cache, out) } else { self.text(cache, out) }
    }

    fn client_id(&self) -> &str {
        self.client.map_or("", |client| client.id.as_str())
    }

    fn tenant(&self) -> Option<&str> {
        self.client.map(|client| client.tenant.as_str()).filter(|tenant| !tenant.is_empty())
    }

    /// Written piece by piece: this runs for every request.
    fn json(&self, cache: &mut LineCache, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"{\"ts\":\"");
        cache.stamp(self.at, out);
        out.extend_from_slice(b"\",\"level\":\"info\",\"msg\":\"request\",\"client_id\":\"");
        json::escape(self.client_id(), out);
        if let Some(tenant) = self.tenant() {
            out.extend_from_slice(b"\",\"tenant\":\"");
            out.extend_from_slice(tenant.as_bytes());
        }
        out.extend_from_slice(b"\",\"secret_id\":\"");
        out.extend_from_slice(self.secret_id.as_bytes());
        out.extend_from_slice(b"\",\"result\":\"");
        out.extend_from_slice(self.result.map_or("", AuthResult::as_str).as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        out.extend_from_slice(number.format(self.status).as_bytes());
        out.extend_from_slice(b",\"duration_us\":");
        out.extend_from_slice(number.format(u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)).as_bytes());
        out.extend_from_slice(b",\"peer\":\"");
        cache.peer(self.peer, out);
        out.extend_from_slice(b"\",\"request_id\":\"");
        match self.request_id {
            Some(id) if id.is_made() => out.extend_from_slice(id.bytes()),
            Some(id) => json::escape(id.as_str(), out),
            None => {}
        }
        out.extend_from_slice(b"\",\"method\":\"");
        // A token (RFC 9110 section 5.6.2): nothing in it needs an escape.
        out.extend_from_slice(self.method.as_bytes());
        out.extend_from_slice(b"\",\"endpoint\":\"");
        // No path with anything to escape in it can be configured.
        out.extend_from_slice(self.endpoint.as_bytes());
        if let Some(error) = self.error {
            out.extend_from_slice(b"\",\"error\":\"");
            json::escape(error, out);
        }
        out.extend_from_slice(b"\"}\n");
    }

    fn text(&self, cache: &mut LineCache, out: &mut Vec<u8>) {
        cache.stamp(self.at, out);
        let _infallible = writeln!(
            out,
            " info  {} {} {} {} client={}{}{} secret={} result={} {:.1}ms request_id={}{}{}",
            self.peer,
            self.method,
            self.endpoint,
            self.status,
            plain(self.client_id()),
            if self.tenant().is_some() { " tenant=" } else { "" },
            self.tenant().unwrap_or_default(),
            self.secret_id,
            self.result.map_or("-", AuthResult::as_str),
            self.took.as_secs_f64() * 1000.0,
            plain(self.request_id.map_or("", RequestId::as_str)),
            if self.error.is_some() { " error=" } else { "" },
            plain(self.error.unwrap_or_default()),
        );
    }
}

/// Text that cannot end a line or move a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, Tenant};

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_is_called() {
        for client_id in ["billing", "\"}\n{\"", "\u{e9}\u{2028}\\", "<img src=x>"] {
            let client = ClientKey::from(ClientId::parse(client_id).unwrap());
            let request_id = RequestId::said(b"a\"c");
            let line = Line {
                at: Timestamp::from_millis(1_795_224_600_007),
                client: Some(&client),
                secret_id: "sec_1",
                result: Some(AuthResult::Success),
                status: 200,
                took: Duration::from_micros(1234),
                peer: Source::from(std::net::IpAddr::from([127, 0, 0, 1])),
                request_id: request_id.as_ref(),
                method: "POST",
                endpoint: "/oauth/token",
                error: Some("a \"b\""),
            };
            let mut out = Vec::new();
            line.json(&mut LineCache::default(), &mut out);
            assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(
                read,
                serde_json::json!({
                    "ts": "2026-11-21T01:30:00.007Z", "level": "info", "msg": "request", "client_id": client_id,
                    "secret_id": "sec_1", "result": "success", "status": 200, "duration_us": 1234, "peer": "127.0.0.1",
                    "request_id": "a\"c", "method": "POST", "endpoint": "/oauth/token", "error": "a \"b\"",
                })
            );
            let client = ClientKey { tenant: Tenant::parse("master").unwrap(), ..client.clone() };
            let (mut json, mut text) = (Vec::new(), Vec::new());
            let line = Line { client: Some(&client), ..line };
            line.json(&mut LineCache::default(), &mut json);
            line.text(&mut LineCache::default(), &mut text);
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!((&json["client_id"], &json["tenant"]), (&read["client_id"], &"master".into()));
            assert!(String::from_utf8(text).unwrap().contains(" tenant=master secret="));
        }
    }
}
