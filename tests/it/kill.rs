//! A command that changes a list is killed at every system call it makes, and every call that touches the disk is made
//! to fail: the list is the old one or the new one, whole, and the command says which.
//!
//! strace kills and fails (`tests/peers/install.sh` installs it). It counts calls by their name, so a first run under
//! it, in which nothing happens, tells which calls there are.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::support::process;

/// The commands, each with one that changes another place of the list.
const VERBS: [&[&str]; 3] = [
    &["secret", "add", "c1", "--hash-stdin"],
    &["secret", "disable", "c1", "sec_1", "--force"],
    &["client", "add", "c9", "--hash-stdin"],
];
const HASH: &str = "$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
/// What comes in: another one, since a client may not have the same secret twice.
const NEW_HASH: &str = "$sha256$pmWkWSBCL51Bfkhn79xPuKBKHz__H6B-mY6G9_eieuM";
/// Calls by which a file comes to the disk.
const TO_DISK: [&str; 10] =
    ["write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "openat", "fchmod", "fchown"];
/// Calls of the allocator and its thread.
const NOT_COUNTED: [&str; 11] = [
    "brk",
    "mmap",
    "munmap",
    "madvise",
    "mprotect",
    "futex",
    "clone3",
    "rseq",
    "rt_sigprocmask",
    "sched_yield",
    "set_robust_list",
];
const FEWEST_KILLS: usize = 400;

fn command(dir: &Path, verb: &[&str]) -> Command {
    let mut command = Command::new(process::binary());
    command.arg("--config").arg(dir.join("relatch.toml")).args(verb);
    command
}

/// A list in one of its forms: the files of its folder.
struct Form {
    path: &'static str,
    files: Vec<(&'static str, String)>,
}

fn forms() -> [Form; 3] {
    let toml = |client: &str| {
        format!(
            "# kept\n[[client]]\nid = \"{client}\"\n\n[[client.secret]]\nid = \"sec_1\"\nhash = \"{HASH}\"\n\n\
             [end]\nclients = 1\nsecrets = 1\n"
        )
    };
    let json = |client: &str| {
        format!(
            "{{\n  \"client\": [\n    {{\n      \"id\": \"{client}\",\n      \"secret\": [\n        {{\n          \
             \"id\": \"sec_1\",\n          \"hash\": \"{HASH}\"\n        }}\n      ]\n    }}\n  ]\n}}\n"
        )
    };
    [
        Form { path: "clients.toml", files: vec![("clients.toml", toml("c1"))] },
        Form { path: "clients.json", files: vec![("clients.json", json("c1"))] },
        Form { path: "lists", files: vec![("lists/a.toml", toml("c0")), ("lists/b.json", json("c1"))] },
    ]
}

/// A fresh folder with the list in it, not written just now.
fn fresh(form: &Form) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let settings = format!("[upstream]\nurl = \"http://127.0.0.1:9\"\n[clients]\npath = \"{}\"\n", form.path);
    let files = form.files.iter().map(|(name, text)| (*name, text.as_str()));
    for (name, text) in files.chain([("relatch.toml", settings.as_str()), ("hash", NEW_HASH)]) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
    }
    dir
}

/// The files of the list; those that a killed run leaves for the next one apart.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: BTreeMap<String, String>,
    left: usize,
}

fn state(dir: &Path, form: &Form) -> State {
    let folder = dir.join(form.path);
    let folder = if folder.is_dir() { folder } else { dir.to_owned() };
    let mut state = State { files: BTreeMap::new(), left: 0 };
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(".relatch-") && name.ends_with(".tmp") {
            state.left += 1;
        } else if entry.path().extension().is_some_and(|kind| kind == "toml" || kind == "json") {
            assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "mode of {name}");
            state.files.insert(name, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    state
}

/// What is another in each run (the new secret's id, its time) taken out.
fn normal(new: &BTreeMap<String, String>, old: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let line = |name: &str, line: &str| {
        let known = old.get(name).is_some_and(|text| text.lines().any(|other| other == line));
        let key = line.trim().trim_matches('"').split(['"', ' ']).next().unwrap_or_default();
        let differs = key == "created" || (key == "id" && line.contains("sec_"));
        if differs && !known { format!("{key}\n") } else { format!("{line}\n") }
    };
    new.iter().map(|(name, text)| (name.clone(), text.lines().map(|l| line(name, l)).collect())).collect()
}

fn strace(dir: &Path, verb: &[&str], options: &[&str]) -> Output {
    let bare = command(dir, verb);
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "300", "-o"]).arg(dir.join("trace")).args(options).arg("--");
    command.arg(bare.get_program()).args(bare.get_args());
    process::isolate(&mut command, dir, &[]);
    command.stdin(File::open(dir.join("hash")).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().expect("start strace: tests/peers/install.sh installs it")
}

/// One system call of a run.
#[derive(Clone, Debug)]
struct Call {
    name: String,
    /// Which of this name, from 1.
    number: usize,
    line: String,
    /// From the making of the new file to the rename that gives it the name.
    writing: bool,
    /// After that rename.
    after: bool,
}

/// The calls of a run from its first look at the folder on.
fn calls(dir: &Path, trace: &str) -> Vec<Call> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut begun, mut writing, mut after) = (false, false, false);
    let mut calls = Vec::new();
    for line in trace.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let Some((name, rest)) = call.split_once('(') else { continue };
        if name.contains(' ') || name.starts_with("exit") || name == "execve" {
            continue;
        }
        let number = counts.entry(name.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        begun |= rest.contains(dir.to_str().unwrap());
        let temporary = rest.contains("/.relatch-");
        writing |= name == "openat" && temporary;
        // How often memory is asked for or given back, and a thread woken, is another number in each run: which of these
        // calls comes after is not known.
        let counted = !NOT_COUNTED.contains(&name);
        if begun {
            let (writing, after) = (writing && counted, after && counted);
            calls.push(Call { name: name.to_owned(), number: *number, line: call.to_owned(), writing, after });
        }
        if name.starts_with("rename") && temporary {
            (writing, after) = (false, true);
        }
    }
    calls
}

/// One form and one verb: what was, what comes of it, and the calls in between.
struct Case {
    form: Form,
    verb: &'static [&'static str],
    old: BTreeMap<String, String>,
    new: BTreeMap<String, String>,
    calls: Vec<Call>,
}

fn cases() -> Vec<Case> {
    let all = VERBS.into_iter().flat_map(|verb| forms().into_iter().map(move |form| (form, verb)));
    let case = |(form, verb): (Form, &'static [&'static str])| {
        let dir = fresh(&form);
        let old = state(dir.path(), &form).files;
        let output = strace(dir.path(), verb, &[]);
        assert!(output.status.success(), "{verb:?}: {output:?}");
        let new = state(dir.path(), &form);
        assert!(new.left == 0 && new.files != old, "{new:?}");
        let calls = calls(dir.path(), &std::fs::read_to_string(dir.path().join("trace")).unwrap());
        let synced = |when: fn(&Call) -> bool| calls.iter().any(|call| when(call) && call.name == "fsync");
        assert!(synced(|call| call.writing) && synced(|call| call.after), "file and folder: {calls:#?}");
        let new = normal(&new.files, &old);
        Case { form, verb, old, new, calls }
    };
    all.map(case).collect()
}

/// Does all of it on two threads; each failure is told, not the first alone.
fn each<T: Sync>(work: &[T], job: impl Fn(&T) -> Result<(), String> + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    job(item).unwrap_or_else(|why| wrong.lock().unwrap().push(why));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), work.len(), &wrong[..wrong.len().min(5)]);
}

#[test]
#[ignore = "needs strace: make test"]
fn a_command_killed_anywhere_leaves_the_old_list_or_the_new_one() {
    let cases = cases();
    let work: Vec<(&Case, &Call)> =
        cases.iter().flat_map(|case| case.calls.iter().map(move |call| (case, call))).collect();
    assert!(work.len() >= FEWEST_KILLS, "only {} calls to be killed at", work.len());
    let killed = AtomicUsize::new(0);
    each(&work, |(case, call)| {
        let dir = fresh(&case.form);
        let kill = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        let output = strace(dir.path(), case.verb, &["-e", &kill]);
        killed.fetch_add(usize::from(!output.status.success()), Ordering::Relaxed);
        let found = state(dir.path(), &case.form);
        let new = normal(&found.files, &case.old) == case.new;
        if (found.files != case.old && !new) || found.left > 1 || (call.after && !new) {
            return Err(format!("{:?} killed at {}: {found:?}", case.verb, call.line));
        }
        if found.left == 0 || new {
            return Ok(());
        }
        let again = strace(dir.path(), case.verb, &["-e", "trace=none"]);
        let found = state(dir.path(), &case.form);
        if again.status.success() && found.left == 0 && normal(&found.files, &case.old) == case.new {
            return Ok(());
        }
        Err(format!("{:?} after one killed at {}: {again:?} {found:?}", case.verb, call.line))
    });
    let killed = killed.into_inner();
    assert!(killed >= FEWEST_KILLS, "only {killed} of {} were killed", work.len());
}

#[test]
#[ignore = "needs strace: make test"]
fn a_command_whose_disk_fails_says_what_became_of_the_list() {
    let cases = cases();
    let to_disk = |call: &&Call| {
        let talk = call.line.starts_with("write(1,") || call.line.starts_with("write(2,");
        // A runtime that wakes itself up, eight bytes at a time.
        let wake = call.line.starts_with("write(") && call.line.contains(r#", "\1\0\0\0\0\0\0\0", 8)"#);
        TO_DISK.contains(&call.name.as_str()) && !talk && !wake
    };
    let work: Vec<(&Case, &Call, &str)> = cases
        .iter()
        .flat_map(|case| case.calls.iter().filter(to_disk).map(move |call| (case, call)))
        .flat_map(|(case, call)| ["ENOSPC", "EIO", "EINTR", "EROFS", "EACCES"].map(|error| (case, call, error)))
        .filter(|(_, call, error)| call.writing || !["EROFS", "EACCES"].contains(error))
        .collect();
    each(&work, |(case, call, error)| {
        let dir = fresh(&case.form);
        let fail = format!("inject={}:error={error}:when={}", call.name, call.number);
        let output = strace(dir.path(), case.verb, &["-e", &fail]);
        let said = String::from_utf8_lossy(&output.stderr);
        let found = state(dir.path(), &case.form);
        let (old, new) = (found.files == case.old, normal(&found.files, &case.old) == case.new);
        let needed = (call.writing && !call.line.contains("O_RDONLY")) || (call.after && call.name == "fsync");
        let right = match (output.status.success(), *error) {
            // A call that looks again or tidies up may fail; one that brings the file to the disk may not.
            (true, "EINTR") => new,
            (true, _) => new && !needed,
            (false, "EINTR") if call.writing => false,
            (false, _) if call.writing => old && said.to_lowercase().contains("nothing was changed"),
            (false, _) if call.after => new && said.contains("changed"),
            (false, _) => old && !said.trim().is_empty(),
        };
        if right && found.left == 0 {
            return Ok(());
        }
        Err(format!("{:?} with {error} at {}: {:?} {said:?} {found:?}", case.verb, call.line, output.status))
    });
}

#[test]
fn the_umask_of_the_caller_does_not_matter() {
    for (umask, mode) in ["000", "077"].into_iter().flat_map(|umask| [(umask, 0o600), (umask, 0o640)]) {
        let form = &forms()[0];
        let dir = fresh(form);
        let list = dir.path().join(form.path);
        std::fs::set_permissions(&list, Permissions::from_mode(mode)).unwrap();
        let bare = command(dir.path(), VERBS[0]);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(bare.get_program())
            .args(bare.get_args());
        process::isolate(&mut command, dir.path(), &[]);
        let output = command.stdin(File::open(dir.path().join("hash")).unwrap()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(list.metadata().unwrap().mode() & 0o7777, mode, "umask {umask}");
        assert!(std::fs::read_to_string(&list).unwrap().contains("secrets = 2"));
    }
}
