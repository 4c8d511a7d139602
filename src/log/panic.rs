//! A fault of ours, as a line like any other.

use std::panic::PanicHookInfo;

use super::Log;

/// From here on a panic is a line of this log, with its place and what it says.
pub fn tell(log: Log) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let next = "what it was doing is broken off; report it, with this line";
        log.error(
            "a thread panicked",
            &[
                ("place", &place),
                ("reason", &reason(panic)),
                ("thread", &thread.name().unwrap_or_default()),
                ("next", &next),
            ],
        );
    }));
}

/// Where a value begins in what a program says of itself.
const QUOTES: [char; 8] = ['`', '"', '\'', '(', '[', '{', '<', '='];
/// What the library says of a value that it then shows.
const OF_A_VALUE: [&str; 2] =
    ["called `Result::unwrap()` on an `Err` value", "called `Option::unwrap()` on a `None` value"];

/// What stands in the program is said whole. What was made as it ran may quote what it worked on, and that may be a secret:
/// it is said up to the first value.
fn reason(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(fixed), _) => (*fixed).to_owned(),
        (None, Some(made)) => up_to_a_value(made),
        (None, None) => String::new(),
    }
}

fn up_to_a_value(text: &str) -> String {
    let known = OF_A_VALUE.into_iter().find(|known| text.starts_with(known));
    let shown = known.or_else(|| text.split(QUOTES).next()).unwrap_or_default();
    // `expect("...")` puts a value after a colon.
    let shown = if known.is_none() { shown.split_once(": ").map_or(shown, |(before, _)| before) } else { shown };
    if shown.len() < text.len() { format!("{} ...", shown.trim_end()) } else { shown.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use super::*;
    use crate::config::settings::Log as Settings;
    use crate::config::settings::kinds::{LogFormat, LogLevel};
    use crate::domain::clock::Clock;

    #[test]
    fn what_is_quoted_is_not_said() {
        for (text, expected) in [
            ("a plain word", "a plain word"),
            (
                "byte index 1 is not a char boundary; it is inside 's3cr3t' of `s3cr3t`",
                "byte index 1 is not a char boundary; it is inside ...",
            ),
            (
                "called `Result::unwrap()` on an `Err` value: \"s3cr3t\"",
                "called `Result::unwrap()` on an `Err` value ...",
            ),
            ("it is there: s3cr3t", "it is there ..."),
            ("assertion failed\n  left: s3cr3t", "assertion failed\n  left ..."),
            (
                "range end index 7 out of range for slice of length 3",
                "range end index 7 out of range for slice of length 3",
            ),
        ] {
            assert_eq!(up_to_a_value(text), expected);
        }
    }

    const CHILD: &str = "RELATCH_TEST_PANICS";

    /// In a process of its own: the hook is the process's.
    #[test]
    fn a_panic_is_one_line_of_the_log_and_shows_no_value() {
        if std::env::var_os(CHILD).is_some() {
            let settings = Settings { format: LogFormat::Json, level: LogLevel::Error, access: false, audit: None };
            let dropped = prometheus::IntCounter::new("lost", "lost").unwrap();
            let (log, writer) = Log::start(&settings, Arc::new(Clock::start()), dropped).unwrap();
            tell(log);
            let worker = std::thread::Builder::new().name("relatch-7".to_owned());
            let broken = worker.spawn(|| std::hint::black_box(Err::<(), _>("s3cr3t-7Hq2")).unwrap()).unwrap();
            assert!(broken.join().is_err());
            writer.finish();
            return;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = "log::panic::tests::a_panic_is_one_line_of_the_log_and_shows_no_value";
        let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 1, "{said}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!((&line["level"], &line["thread"]), (&"error".into(), &"relatch-7".into()));
        assert!(line["place"].as_str().unwrap().starts_with("src/log/panic.rs:"), "{line}");
        assert_eq!(line["reason"], "called `Result::unwrap()` on an `Err` value ...");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}
