//! What grows with the list: a scrape, and a reload. Both stand off the path of a request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on should stop"
)]
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

mod list;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group, criterion_main};
use relatch::config::settings::Settings;
use relatch::domain::clock::Clock;
use relatch::log::Log;
use relatch::metrics::Metrics;
use relatch::metrics::exposition::Exposition;
use relatch::reload::{Loaded, Outcome, Reloader, Trigger, load};

use self::list::{NOW, secret, snapshot};

/// With two secrets each.
const CLIENTS: usize = 50_000;

fn scrape(c: &mut Criterion) {
    let snapshot = Arc::new(snapshot(CLIENTS));
    let metrics = Metrics::new(&["/oauth/token".to_owned()]).unwrap();
    let mut group = c.benchmark_group("scrape");
    group.sample_size(10);
    group.bench_function("100000 secrets", |b| {
        b.iter(|| Exposition::of(&metrics, snapshot.clone(), NOW).unwrap().map(|part| part.len()).sum::<usize>());
    });
    group.finish();
}

/// The text of a list; one of its secrets is `edited`.
fn text(edited: &str) -> String {
    let mut text = String::new();
    for client in 0..CLIENTS {
        let _ = writeln!(text, "[[client]]\nid = \"client-{client:07}\"");
        for number in 0..2 {
            let value = secret(client, number);
            let value = if (client, number) == (CLIENTS / 2, 0) { edited } else { &value };
            let _ = writeln!(text, "[[client.secret]]\nid = \"sec_{number}\"\nhash = \"{}\"", record(value));
        }
    }
    text
}

fn record(secret: &str) -> String {
    use base64::Engine;
    let digest = relatch::hash::sha256(secret.as_bytes());
    format!("$sha256${}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.bytes()))
}

fn reload(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.toml");
    let settings = format!(
        "[upstream]\nurl = \"http://127.0.0.1:9\"\n[log]\nlevel = \"error\"\n[clients]\npath = {:?}\n",
        path.display().to_string()
    );
    let settings = Arc::new(Settings::parse("bench", &settings, &[], Path::new("")).0.unwrap());
    let clock = Arc::new(Clock::start());
    let texts = ["one", "other"].map(|word| text(&format!("rls_bench_{word}_2mX0qLw9")));
    fs::write(&path, &texts[0]).unwrap();

    let mut group = c.benchmark_group("reload of 100000 secrets");
    group.sample_size(10);
    group.bench_function("from nothing", |b| b.iter(|| load(&settings, &clock).unwrap().snapshot.clients.len()));

    let Loaded { snapshot, seen, .. } = load(&settings, &clock).unwrap();
    let metrics = Metrics::new(&["/oauth/token".to_owned()]).unwrap();
    let dropped = prometheus::IntCounter::new("dropped", "dropped").unwrap();
    let (log, _writer) = Log::start(&settings.log, clock.clone(), dropped).unwrap();
    let current = Arc::new(ArcSwap::from_pointee(snapshot));
    let mut reloader = Reloader::new(settings.clone(), seen, current, metrics, clock, log);
    let mut turns = texts.iter().cycle().skip(1);
    // What we wrote ourselves is not waited for.
    let command = Trigger::Command { allow_shrink: true, written: true };
    group.bench_function("one of them edited", |b| {
        b.iter(|| {
            fs::write(&path, turns.next().unwrap()).unwrap();
            assert_eq!(reloader.reload_once(command, None), Outcome::Published);
        });
    });
    group.finish();
}

criterion_group!(benches, scrape, reload);
criterion_main!(benches);
