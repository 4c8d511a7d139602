//! Reload: the list changes under a running sidecar, by every way in which files
//! change, and what comes of it is seen from outside: answers, the scrape, the log.
//!
//! The rows of `tests/corpus/g-reload.toml` are small scripts; what needs a loop
//! or a load is a test of its own below. `RELOAD_ONLY=G06,G12a` runs the rows
//! whose ids start so.
//!
//! Rows compare contents once an hour unless they say otherwise, so that what
//! was taken up was taken up by its event.

mod clock;
mod cuts;
pub(crate) mod list;
mod mounts;
mod promises;
mod row;
mod run;
pub(crate) mod stage;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;

use row::{Row, Rows};

/// Rows at a time: most of their time they wait.
const LANES: usize = 4;

#[test]
fn g_every_change_of_the_files_is_taken_up_whole_or_refused_whole() {
    run_rows(|row| row.needs.is_none());
}

#[test]
#[ignore = "needs util-linux and leave to make user namespaces: make test"]
fn g_without_file_events_contents_are_compared_at_intervals() {
    run_rows(|row| row.needs.as_deref() == Some("namespaces"));
}

/// Runs rows side by side and reports all that failed.
#[track_caller]
fn run_rows(wanted: impl Fn(&Row) -> bool) {
    let only = std::env::var("RELOAD_ONLY").unwrap_or_default();
    let chosen = |row: &Row| only.is_empty() || only.split(',').any(|prefix| row.id.starts_with(prefix));
    let rows: VecDeque<Row> = read().into_iter().filter(|row| wanted(row) && chosen(row)).collect();
    let (count, rows, failures) = (rows.len(), Mutex::new(rows), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let next = || rows.lock().unwrap().pop_front();
                while let Some(row) = next() {
                    let faults = catch_unwind(AssertUnwindSafe(|| run::run(&row)));
                    let faults = faults.unwrap_or_else(|_| vec!["panicked, see above".to_owned()]);
                    let told = faults.into_iter().map(|fault| format!("{} ({}): {fault}", row.id, row.title));
                    failures.lock().unwrap().extend(told);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} faults in {count} rows:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Reads the rows; an id that is used twice is a mistake.
fn read() -> Vec<Row> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/g-reload.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = toml::from_str::<Rows>(&text).unwrap_or_else(|why| panic!("g-reload.toml: {why}")).row;
    let mut ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    ids.sort_unstable();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "g-reload.toml: two rows {twice:?}");
    rows
}
