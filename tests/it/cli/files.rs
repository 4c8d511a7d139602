//! `tests/corpus/l-files.toml`: one verdict on each pair of files, whoever reads them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::process::Signal;
use serde::Deserialize;

use crate::reload::list::canaries;
use crate::support::process::{Process, relatch};
use crate::support::setup::Expansion;
use crate::support::{PATIENCE, leak, poll};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    base: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    title: String,
    #[serde(default)]
    relatch: Vec<(String, String)>,
    #[serde(default)]
    clients: Vec<(String, String)>,
    clients_text: Option<String>,
    /// More files: name and content.
    #[serde(default)]
    files: Vec<(String, String)>,
    #[serde(default)]
    modes: Vec<(String, u32)>,
    /// Secrets that do not end like one.
    #[serde(default)]
    canaries: Vec<String>,
    #[serde(default)]
    errors: Vec<Vec<String>>,
    #[serde(default)]
    warnings: Vec<Vec<String>>,
}

fn read() -> Files {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/l-files.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap_or_else(|why| panic!("l-files.toml: {why}"))
}

#[test]
fn l_check_and_run_come_to_one_verdict_with_every_error_at_its_place() {
    let Files { base, case } = read();
    let only = std::env::var("FILES_ONLY").unwrap_or_default();
    let cases: Vec<Case> =
        case.into_iter().filter(|c| only.is_empty() || only.split(',').any(|id| c.id.starts_with(id))).collect();
    let (count, cases, failures) = (cases.len(), Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let next = || cases.lock().unwrap().pop();
                while let Some(case) = next() {
                    let told = faults(&case, &base).into_iter().map(|f| format!("{} ({}): {f}", case.id, case.title));
                    failures.lock().unwrap().extend(told);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} faults in {count} cases:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Everything in which a case goes otherwise than it says.
fn faults(case: &Case, base: &BTreeMap<String, String>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    write(case, base, dir.path());
    let checked = relatch(dir.path(), &["config", "check", "relatch.toml"]);
    let mut faults = Vec::new();
    let good = case.errors.is_empty();
    if checked.code != Some(i32::from(!good)) {
        faults.push(format!("config check exits {:?}", checked.code));
    }
    let errors = lines(&checked.err, "error: ");
    for words in &case.errors {
        if !errors.iter().any(|line| words.iter().all(|word| line.contains(word.as_str()))) {
            faults.push(format!("no error has {words:?}"));
        }
    }
    let wanted = |line: &&&str| case.errors.iter().any(|words| words.iter().all(|word| line.contains(word.as_str())));
    if let Some(unasked) = errors.iter().find(|line| !wanted(line)) {
        faults.push(format!("one error too many: {unasked}"));
    }
    let warnings = lines(&checked.err, "warning: ");
    for words in &case.warnings {
        if !warnings.iter().any(|line| words.iter().all(|word| line.contains(word.as_str()))) {
            faults.push(format!("no warning has {words:?}"));
        }
    }
    let places: Vec<_> = errors.iter().filter_map(|line| place(line)).collect();
    if !places.is_sorted_by(|a, b| a.0 != b.0 || a.1 <= b.1) {
        faults.push("the errors do not come in the order of the lines".to_owned());
    }
    let count =
        format!("{} error{}; nothing was started or changed", errors.len(), if errors.len() == 1 { "" } else { "s" });
    if good != checked.out.starts_with("config ok: ") || !good && !checked.err.contains(&count) {
        faults.push(format!("its sum is missing: {:?}", checked.out));
    }

    let (ran, told) = run(dir.path(), good);
    faults.extend(ran);
    if !good && lines(&told, "error: ") != errors {
        faults.push(format!("run tells other errors:\n{told}"));
    }
    let secrets = [canaries(&format!("{case:?}")), case.canaries.clone()].concat();
    for (who, text) in [("config check", checked.out + &checked.err), ("run", told)] {
        faults.extend(leak::spills(who, text.as_bytes(), &secrets));
    }
    if !faults.is_empty() {
        faults.push(format!("it said:\n{}", checked.err));
    }
    faults
}

/// Runs it for real: ready and stopped again, or ended by itself with 1.
fn run(dir: &Path, good: bool) -> (Option<String>, String) {
    let mut running = Process::start(dir, &["run"], &[]);
    let ended = poll(PATIENCE, || {
        let ready = running.err().contains(r#""msg":"ready""#);
        running.wait_exit(std::time::Duration::ZERO).map(Some).or(ready.then_some(None))
    });
    if let Some(None) = ended {
        running.signal(Signal::TERM);
    }
    let ready = ended == Some(None);
    let ran = running.end();
    let as_checked = ready == good && ran.code == Some(i32::from(!good));
    let fault = (!as_checked).then(|| format!("run came to another verdict: ready: {ready}, {ran:?}"));
    (fault, ran.err)
}

/// Puts the files of a case into `dir`, to be read by their owner alone.
fn write(case: &Case, base: &BTreeMap<String, String>, dir: &Path) {
    let expansion = Expansion::of(dir, "");
    let put = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    let changed = |name: &str, changes: &[(String, String)]| {
        let mut text = base[name].trim_start().to_owned();
        for (from, to) in changes {
            match from.as_str() {
                "" => text += to,
                "*" => text = to.clone(),
                from => {
                    assert!(text.contains(from), "{}: nothing to replace: {from:?}", case.id);
                    text = text.replace(from, to);
                }
            }
        }
        expansion.apply(&text.replace("@LONG@", &"x".repeat(513)))
    };
    put("relatch.toml", changed("relatch", &case.relatch).as_bytes());
    let own = case.clients_text.as_ref().map(|text| expansion.apply(text.trim_start()));
    let clients = own.unwrap_or_else(|| changed("clients", &case.clients));
    put("clients.toml", clients.as_bytes());
    // The same list in the other language, for whoever asks for it.
    if let Ok(table) = clients.parse::<toml::Table>() {
        put("clients.json", serde_json::to_string(&table).unwrap().as_bytes());
    }
    put("clients.yaml", b"client: []\n");
    put("up.secret", b"upstream-7Hq2\n");
    put("up2.secret", b"upstream-two-7Hq2\n");
    put("empty.secret", b"\n");
    for (name, content) in &case.files {
        put(name, if content == "@LATIN1@" { b"# caf\xe9\n" } else { content.as_bytes() });
    }
    for (name, mode) in &case.modes {
        fs::set_permissions(dir.join(name), Permissions::from_mode(*mode)).unwrap();
    }
}

fn lines<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.strip_prefix(prefix)).collect()
}

/// The file and line that an error begins with.
fn place(line: &str) -> Option<(&str, usize)> {
    let mut parts = line.splitn(4, ':');
    let (file, line) = (parts.next()?, parts.next()?.parse().ok()?);
    parts.next()?.parse::<usize>().ok()?;
    Some((file, line))
}
