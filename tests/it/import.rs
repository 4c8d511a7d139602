//! `relatch import`: the exports in `tests/corpus/import`, as operators bring them, end in a list that `config check`
//! takes; and the two commands that print what packagers need.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::leak;
use crate::support::process::{Ran, relatch};

/// An export, what comes in of it, and what is told of the rest.
struct Export {
    from: &'static str,
    file: &'static str,
    /// Each client with the names of its secrets.
    clients: &'static [(&'static str, &'static [&'static str])],
    told: &'static [&'static str],
}

const HYDRA: &[(&str, &[&str])] = &[("billing", &["current", "rotated 1", "rotated 2"]), ("reports", &["current"])];
const HYDRA_TOLD: &[&str] = &[
    "skipped: client \"spa\": is public",
    "refused: client \"damaged\": its hash is in no format",
    "refused: client \"billing\": stands in the file twice",
    "Imported 2 clients, 4 secrets; 2 refused, 1 skipped",
];

const EXPORTS: &[Export] = &[
    Export { from: "hydra", file: "hydra.json", clients: HYDRA, told: HYDRA_TOLD },
    Export { from: "hydra", file: "hydra.jsonl", clients: HYDRA, told: HYDRA_TOLD },
    Export {
        from: "django",
        file: "django.json",
        clients: &[("billing", &[""]), ("argon", &[""]), ("bcrypt", &[""]), ("clear", &[""])],
        told: &[
            "skipped: client \"page\": is public",
            "refused: client \"scrypt\": its hash is an scrypt hash",
            "Imported 4 clients, 4 secrets; 1 refused, 1 skipped",
        ],
    },
    Export {
        from: "duende",
        file: "duende.json",
        clients: &[("billing", &["spring", "summer"]), ("sleeping", &[""]), ("over", &[""])],
        told: &[
            "skipped: client \"billing\", 1 of its secrets: certificates",
            "skipped: client \"page\": needs no secret",
            "refused: client \"soon\": Expiration is not a time",
            "Imported 3 clients, 4 secrets; 1 refused, 2 skipped",
        ],
    },
    Export {
        from: "spring",
        file: "spring.json",
        clients: &[("billing", &[""]), ("clear", &[""]), ("pbkdf2", &[""])],
        told: &[
            "refused: client \"scrypt\": its hash is",
            "skipped: client \"page\": does not authenticate with a secret",
            "Imported 3 clients, 3 secrets; 1 refused, 1 skipped",
        ],
    },
    Export {
        from: "keycloak",
        file: "keycloak.json",
        clients: &[("billing", &["current", "rotated"]), ("sleeping", &["current"])],
        told: &[
            "skipped: client \"account-console\": is public",
            "skipped: client \"broker\": only takes tokens",
            "skipped: client \"signed\": does not authenticate with a secret",
            "refused: client \"masked\": its secret is masked",
            "refused: client \"vaulted\": its secret is a reference to a vault",
            "Imported 2 clients, 3 secrets; 2 refused, 3 skipped",
        ],
    },
    Export {
        from: "dex",
        file: "dex.yaml",
        clients: &[("billing", &[""])],
        told: &[
            "refused: client \"reports\": its secret comes from the environment",
            "refused: the client named \"Hidden\": its id comes from the environment",
            "skipped: client \"cli\": is public",
            "Imported 1 client, 1 secret; 2 refused, 1 skipped",
        ],
    },
    Export {
        from: "dex",
        file: "dex.json",
        clients: &[("billing", &[""])],
        told: &["Imported 1 client, 1 secret; 0 refused"],
    },
    Export {
        from: "authelia",
        file: "authelia.yaml",
        clients: &[("billing", &[""]), ("argon", &[""]), ("clear", &[""]), ("older", &[""])],
        told: &[
            "skipped: client \"page\": is public",
            "refused: client \"filled\": its secret is a template",
            "refused: client \"crypt\": its hash is a SHA-512-crypt hash",
            "Imported 4 clients, 4 secrets; 2 refused, 1 skipped",
        ],
    },
    Export {
        from: "csv",
        file: "table.csv",
        clients: &[("billing", &["old", "new"]), ("of \"quotes\", commas", &[""])],
        told: &[
            "refused: line 7: has 4 values, and the first line 9 names",
            "refused: line 8: has no client_id",
            "refused: client \"broken\": its secret id is not",
            "refused: client \"both\": line 6: has both hash and secret",
            "Imported 2 clients, 3 secrets; 4 refused",
        ],
    },
];

#[test]
fn import_of_every_export_ends_in_a_list_that_config_check_takes() {
    let mut faults = Vec::new();
    for export in EXPORTS {
        let dir = tempfile::tempdir().unwrap();
        let ran = import(dir.path(), export.from, export.file);
        let code = i32::from(!export.told.last().unwrap().contains("; 0 refused"));
        if ran.code != Some(code) || ran.err.lines().count() != export.told.len() {
            faults.push(format!("{}: exit code {:?}, it said:\n{}", export.file, ran.code, ran.err));
        }
        for (line, words) in ran.err.lines().zip(export.told) {
            if !line.starts_with(words) {
                faults.push(format!("{}: said {line:?} instead of {words:?}", export.file));
            }
        }
        let found = clients(&ran.out);
        let wanted: Vec<(String, Vec<String>)> = export
            .clients
            .iter()
            .map(|(id, names)| ((*id).to_owned(), names.iter().map(|name| (*name).to_owned()).collect()))
            .collect();
        if found != wanted {
            faults.push(format!("{}: came in as {found:?}", export.file));
        }
        let text = fs::read_to_string(sample(export.file)).unwrap();
        faults.extend(leak::spills(export.file, ran.err.as_bytes(), &secrets(&text)));
        if ran.out.contains("canary") {
            faults.push(format!("{}: a secret came out in the clear", export.file));
        }
        faults.extend(check(dir.path(), &ran.out).map(|why| format!("{}: {why}", export.file)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Appends the entries to a list of one's own, whose last line has no end.
fn check(dir: &Path, entries: &str) -> Option<String> {
    let made = relatch(dir, &["init", "--upstream", "http://127.0.0.1:9"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let list = dir.join("clients.toml");
    let own = "[[client]]\nid = \"of-ours\"\n[[client.secret]]\nid = \"s\"\nsecret = \"long-enough-for-a-test\" # ours";
    fs::write(&list, format!("{own}{entries}")).unwrap();
    let checked = relatch(dir, &["config", "check"]);
    (checked.code != Some(0)).then(|| format!("config check says:\n{}", checked.err))
}

#[test]
fn import_of_what_is_no_export_prints_nothing_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("latin"), b"client_id,secret\n\xe9,canary\n").unwrap();
    fs::write(dir.path().join("broken"), b"{\"canary\"").unwrap();
    fs::write(dir.path().join("marked"), b"\xef\xbb\xbfclient_id,secret\na,one\n").unwrap();
    for (from, file, word) in [
        ("csv", "missing", "cannot read missing"),
        ("csv", "latin", "UTF-8"),
        ("spring", "broken", "broken: not valid JSON"),
    ] {
        let ran = relatch(dir.path(), &["import", "--from", from, file]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains(word) && !ran.err.contains("canary"), "{}", ran.err);
    }
    assert_eq!(relatch(dir.path(), &["import", "--from", "csv", "marked"]).code, Some(0));
    // Standard input, which is empty here.
    let ran = relatch(dir.path(), &["import", "--from", "hydra", "-"]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (Some(0), "", "Imported 0 clients, 0 secrets; 0 refused\n")
    );
    for arguments in [&["import"][..], &["import", "--from", "csv"], &["import", "--from", "okta", "x"]] {
        assert_eq!(relatch(dir.path(), arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = relatch(dir.path(), &["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.out.contains("relatch") && ran.out.contains("import"), "{shell}: {}", ran.out);
    }
    assert_eq!(relatch(dir.path(), &["completions", "tcsh"]).code, Some(2));
}

#[test]
fn man_writes_a_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let ran = relatch(dir.path(), &["man", "share/man1"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
    for page in ["relatch.1", "relatch-run.1", "relatch-import.1", "relatch-config-check.1"] {
        let text = fs::read_to_string(dir.path().join("share/man1").join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let ran = relatch(dir.path(), &["man", "file"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

fn import(dir: &Path, from: &str, file: &str) -> Ran {
    relatch(dir, &["import", "--from", from, sample(file).to_str().unwrap()])
}

fn sample(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/import").join(file)
}

/// The clients in a list, each with the names of its secrets.
fn clients(list: &str) -> Vec<(String, Vec<String>)> {
    let list: toml::Table = toml::from_str(list).unwrap();
    let text = |value: &toml::Value, key: &str| value.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let empty = Vec::new();
    let entries = list.get("client").and_then(|v| v.as_array()).unwrap_or(&empty);
    let secrets = |client: &toml::Value| client["secret"].as_array().unwrap().iter().map(|s| text(s, "name")).collect();
    entries.iter().map(|client| (text(client, "id"), secrets(client))).collect()
}

/// Everything in a file that looks like a secret or a hash of one.
fn secrets(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ','));
    words
        .filter(|word| word.len() > 20 && (word.contains("canary") || word.contains('$') || word.ends_with('=')))
        .map(str::to_owned)
        .collect()
}
