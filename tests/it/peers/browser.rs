//! A real browser, told what to do line by line.

use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::process::Peer;

/// Headless Chromium with one page.
pub(super) struct Browser(Mutex<Peer>);

/// How it is opened.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) dark: bool,
    pub(super) width: u32,
    pub(super) script: bool,
}

/// As on a desk.
pub(super) const DESK: Window = Window { dark: false, width: 1280, script: true };
/// As in a hand.
pub(super) const PHONE: Window = Window { dark: false, width: 360, script: true };

impl Browser {
    /// Starts one.
    #[track_caller]
    pub(super) fn start() -> Self {
        let browser = Self(Mutex::new(Peer::start("clients/browser.mjs")));
        browser.open(DESK);
        browser
    }

    /// Begins anew, with no cookies.
    #[track_caller]
    pub(super) fn open(&self, Window { dark, width, script }: Window) {
        let scheme = if dark { "dark" } else { "light" };
        self.tell(&json!({"cmd": "open", "scheme": scheme, "width": width, "height": 760, "script": script}));
    }

    /// Changes the window and keeps the session.
    #[track_caller]
    pub(super) fn resize(&self, Window { dark, width, .. }: Window) {
        let scheme = if dark { "dark" } else { "light" };
        self.tell(&json!({"cmd": "resize", "scheme": scheme, "width": width, "height": 760}));
    }

    /// Goes somewhere; the status.
    #[track_caller]
    pub(super) fn goto(&self, url: &str) -> u64 {
        self.tell(&json!({"cmd": "goto", "url": url}))["status"].as_u64().unwrap()
    }

    /// Clicks on a button or a link that leads somewhere; the status there.
    #[track_caller]
    pub(super) fn click(&self, role: &str, name: &str) -> u64 {
        self.tell(&json!({"cmd": "click", "role": role, "name": name}))["status"].as_u64().unwrap()
    }

    /// Clicks on a button that does something here.
    #[track_caller]
    pub(super) fn press(&self, role: &str, name: &str) {
        self.tell(&json!({"cmd": "click", "role": role, "name": name, "stays": true}));
    }

    /// Fills in a field.
    #[track_caller]
    pub(super) fn fill(&self, label: &str, text: &str) {
        self.tell(&json!({"cmd": "fill", "label": label, "text": text}));
    }

    /// What stands on the page.
    #[track_caller]
    pub(super) fn text(&self) -> String {
        self.tell(&json!({"cmd": "text"}))["text"].as_str().unwrap().to_owned()
    }

    /// The row of the table with this cell.
    #[track_caller]
    pub(super) fn row(&self, column: &str, cell: &str) -> Value {
        let rows = self.tell(&json!({"cmd": "rows"}))["rows"].as_array().unwrap().clone();
        let found = rows.iter().find(|row| row[column].as_str().is_some_and(|text| text.contains(cell)));
        found.unwrap_or_else(|| panic!("no {column} with {cell} in {rows:?}")).clone()
    }

    /// Types keys; what has the focus then.
    #[track_caller]
    pub(super) fn keys(&self, keys: &[&str]) -> Value {
        self.tell(&json!({"cmd": "keys", "keys": keys}))
    }

    /// What stands in the way of somebody who does not see it, or not well; and what does not fit the window.
    #[track_caller]
    pub(super) fn faults(&self) -> Vec<String> {
        let found = self.tell(&json!({"cmd": "axe"}))["violations"].as_array().unwrap().clone();
        let mut faults: Vec<String> = found.iter().map(ToString::to_string).collect();
        let by = self.tell(&json!({"cmd": "wide"}))["by"].as_i64().unwrap();
        if by > 0 {
            faults.push(format!("it is {by} pixels wider than the window"));
        }
        faults
    }

    /// A picture of the whole page, where somebody wants one.
    #[track_caller]
    pub(super) fn shot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("RELATCH_SCREENSHOTS") {
            self.tell(&json!({"cmd": "shot", "path": Path::new(&folder).join(name)}));
        }
    }

    /// Anything else.
    #[track_caller]
    pub(super) fn tell(&self, line: &Value) -> Value {
        let told = self.0.lock().unwrap().ask(line);
        assert_eq!(told["ok"], true, "{line}: {told}");
        told
    }
}
