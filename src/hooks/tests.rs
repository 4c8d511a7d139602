//! What only a clock can show: a receiver of ours on a socket, and hours that go by at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::config::settings::Log as LogSettings;
use crate::config::settings::hooks::HookUrl;
use crate::config::settings::kinds::{LogFormat, LogLevel};
use crate::domain::clock::{self, Timestamp};
use crate::domain::ids::{ClientId, ClientKey, SecretId};
use crate::event::webhook::What;
use crate::metrics::Metrics;

const SOON: Duration = Duration::from_secs(20);

/// Events on their way to a receiver that answers its first requests so, and those after with 204.
struct Stage {
    hooks: Hooks,
    clock: Arc<Clock>,
    /// The time that was signed, of each request.
    heard: Receiver<u64>,
    metrics: Arc<HookMetrics>,
    _deliverer: Option<Deliverer>,
    _folder: tempfile::TempDir,
}

fn stage(answers: &[&str]) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("hook.key");
    std::fs::write(&secret_file, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = HookUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let mut answers: Vec<String> = answers.iter().rev().map(|&answer| answer.to_owned()).collect();
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned())))
                .collect();
            let number = |name: &str| head.iter().find(|(key, _)| key == name).unwrap().1.parse::<u64>().unwrap();
            _ = reader.take(number("content-length")).read_to_end(&mut Vec::new());
            let answer = answers.pop().unwrap_or_else(|| "204 No Content".to_owned());
            _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            _ = sender.send(number("webhook-timestamp"));
        }
    });
    let (clock, metrics) = (Arc::new(Clock::start()), Metrics::new(&[]).unwrap().hooks.clone());
    let settings = LogSettings { format: LogFormat::Json, level: LogLevel::Error, access: false, audit: None };
    let dropped = prometheus::IntCounter::new("lost", "lost").unwrap();
    let (log, _writer) = Log::start(&settings, clock.clone(), dropped).unwrap();
    let hook = Hook { url, secret_file, events: Kind::ALL.to_vec(), ca: None::<PathBuf> };
    let instance = "here".to_owned();
    let start = Start { hooks: vec![hook], instance, clock: clock.clone(), log, metrics: metrics.clone() };
    let (hooks, deliverer) = Hooks::start(start).unwrap();
    Stage { hooks, clock, heard, metrics, _deliverer: deliverer, _folder: folder }
}

impl Stage {
    fn tell(&self) {
        let (client, secret) = (ClientKey::from(ClientId::parse("c").unwrap()), SecretId::parse("s").unwrap());
        self.hooks.tell(&Event::of(self.clock.now(), client, secret, What::Added(None)));
    }

    fn wait_for_retried(&self, count: u64) {
        for _ in 0..SOON.as_millis() / 5 {
            if self.metrics.retried.get() >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} were tried again", self.metrics.retried.get());
    }
}

#[test]
fn the_time_that_is_signed_is_the_wall_clock_of_the_try_wherever_ours_stands() {
    let stage = stage(&["503 Busy"]);
    stage.clock.pass(Duration::from_secs(7200));
    stage.tell();
    let wall = || clock::wall().since(Timestamp::MIN).as_secs();
    let first = stage.heard.recv_timeout(SOON).unwrap();
    assert!(wall().abs_diff(first) < 60, "the wall clock was set back: {first}");
    stage.wait_for_retried(1);
    std::thread::sleep(Duration::from_millis(1100));
    stage.clock.pass(Duration::from_secs(7200));
    stage.tell();
    let [again, last] = [(); 2].map(|()| stage.heard.recv_timeout(SOON).unwrap());
    assert!(
        again >= first && last > first && wall().abs_diff(last) < 60,
        "each try has its own: {first} {again} {last}"
    );
}

#[test]
fn a_receiver_that_asks_for_a_day_is_left_alone_for_an_hour() {
    for asked in ["86400", "18446744073709551615"] {
        let stage = stage(&[&format!("503 Busy\r\nRetry-After: {asked}")]);
        stage.tell();
        stage.heard.recv_timeout(SOON).unwrap();
        stage.wait_for_retried(1);
        stage.clock.pass(Duration::from_secs(3000));
        stage.tell();
        assert!(stage.heard.recv_timeout(Duration::from_millis(300)).is_err(), "not yet an hour");
        stage.clock.pass(Duration::from_secs(700));
        stage.tell();
        for _ in 0..3 {
            stage.heard.recv_timeout(SOON).unwrap();
        }
    }
}

#[test]
fn a_date_to_wait_for_is_not_read_and_keeps_nothing_back() {
    let stage = stage(&["503 Busy\r\nRetry-After: Wed, 21 Oct 2099 07:28:00 GMT"]);
    stage.tell();
    stage.heard.recv_timeout(SOON).unwrap();
    stage.heard.recv_timeout(SOON).unwrap();
}
