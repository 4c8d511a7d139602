//! The commands, each as an operator meets it: what it prints where, its exit
//! code, the files it leaves alone. `files` holds `config check` against `run`.

mod demo;
mod files;
mod init;
mod schema;

use std::net::TcpListener;

use rustix::process::Signal;

use crate::support::http::{Method, token_post};
use crate::support::process::{Process, relatch};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

#[test]
fn version_says_the_version_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("relatch {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["version"][..], &["--version"], &["-V"]] {
        let ran = relatch(dir.path(), arguments);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), line.as_str(), ""), "{arguments:?}");
    }
}

#[test]
fn a_command_that_is_none_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["run", "--frobnicate"],
        &["config"],
        &["config", "schema", "other"],
        &["init"],
        &["run", "extra"],
    ] {
        let ran = relatch(dir.path(), arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("--help") || ran.err.contains("Usage"), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_run_without_its_file_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["run"][..], &["config", "check"]] {
        let ran = relatch(dir.path(), arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ran.err.contains("relatch.toml") && ran.err.contains("relatch init --upstream URL"), "{}", ran.err);
    }
}

#[test]
fn a_run_with_a_bad_file_exits_1_and_has_bound_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever tried to listen here would say so.
    let (proxy, telemetry) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let settings = |extra: &str| {
        format!(
            "[proxy]\nlisten = \"{}\"\n[telemetry]\nlisten = \"{}\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [clients]\npath = \"clients.toml\"\n{extra}",
            proxy.local_addr().unwrap(),
            telemetry.local_addr().unwrap()
        )
    };
    let bad = "[[client]]\nid = 7\n";
    for (settings, clients, word) in
        [(settings(""), bad, "clients.toml:2:6"), (settings("[lgo]\n"), "", "relatch.toml:9:2")]
    {
        std::fs::write(dir.path().join("relatch.toml"), settings).unwrap();
        std::fs::write(dir.path().join("clients.toml"), clients).unwrap();
        let ran = relatch(dir.path(), &["run"]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains(word) && !ran.err.contains("listen"), "{}", ran.err);
        assert!(ran.err.contains("1 error; nothing was started or changed"), "{}", ran.err);
    }
    // With good files the taken port is what is wrong.
    std::fs::write(dir.path().join("relatch.toml"), settings("")).unwrap();
    let ran = relatch(dir.path(), &["run"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let address = proxy.local_addr().unwrap().to_string();
    assert!(ran.err.contains("cannot listen") && ran.err.contains(&address), "{}", ran.err);
}

#[test]
fn the_environment_overrides_settings_and_other_variables_are_left_alone() {
    let (configured, overriding) = (Upstream::start(), Upstream::start());
    let setup = || Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&configured);
    let sidecar = setup()
        // What Kubernetes puts into every container beside a Service of this name.
        .env("RELATCH_PORT", "tcp://10.0.0.1:8080")
        .env("RELATCH_PORT_8080_TCP_ADDR", "10.0.0.1")
        .env("RELATCH_SERVICE_HOST", "10.0.0.1")
        .env("RELATCH_SERVICE_PORT", "8080")
        .env("RELATCH", "?")
        .env("RELATCH__UPSTREAM__URL", &overriding.url())
        .env("RELATCH__THROTTLE__FAILURES", "1")
        .env("RELATCH__THROTTLE__PER", "24h")
        .env("RELATCH__UPSTREAM__ALLOWED_HOSTS", "[\"proxy.test\", \"other.test\"]")
        .start();
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t").status, 200);
    assert_eq!((configured.count(), overriding.count()), (0, 1));
    let wrong = [0; 2].map(|_| token_post(sidecar.proxy(), Method::Basic, "c1", "wrong").status);
    assert_eq!(wrong, [401, 429]);
    sidecar.finish(&overriding);

    for (variable, value, word) in [
        ("RELATCH__UPSTREAM__ALOWED_HOSTS", "[]", "did you mean allowed_hosts?"),
        ("RELATCH__UPSTREAM", "http://127.0.0.1:9", "upstream"),
        ("RELATCH__", "x", "names no setting"),
        ("RELATCH__THROTTLE__FAILURES", "many", "throttle.failures"),
        ("RELATCH__PROXY__LISTEN", "everywhere", "proxy.listen"),
    ] {
        let stillborn = setup().env(variable, value).try_start().err().unwrap_or_else(|| panic!("{variable} is taken"));
        assert_eq!(stillborn.status.and_then(|status| status.code()), Some(1), "{variable}");
        assert!(stillborn.log.contains(word), "{variable}: {}", stillborn.log);
    }
}

#[test]
fn a_wrong_value_from_the_environment_is_told_by_its_variable_and_without_the_value() {
    let dir = tempfile::tempdir().unwrap();
    relatch(dir.path(), &["init", "--upstream", "http://127.0.0.1:9"]);
    let environment = [("RELATCH__UPSTREAM__URL", "http://user:canary-7Hq2@as.test/token")];
    let ran = Process::start(dir.path(), &["config", "check"], &environment).end();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    // A place in the file would send its reader to a line that is right.
    assert!(ran.err.contains("RELATCH__UPSTREAM__URL"), "{}", ran.err);
    assert!(!ran.err.contains("canary"), "{}", ran.err);
}

#[test]
fn flags_win_over_the_environment_and_the_file() {
    let dir = tempfile::tempdir().unwrap();
    relatch(dir.path(), &["init", "--upstream", "http://127.0.0.1:9"]);
    let environment = [
        ("RELATCH__PROXY__LISTEN", "127.0.0.1:1"),
        ("RELATCH__TELEMETRY__LISTEN", "127.0.0.1:0"),
        ("RELATCH__UPSTREAM__URL", "http://from.env.test"),
        ("RELATCH__LOG__FORMAT", "json"),
    ];
    let arguments = ["run", "--listen", "127.0.0.1:0", "--upstream", "http://from.flag.test"];
    let mut running = Process::start(dir.path(), &arguments, &environment);
    let ready = poll(PATIENCE, || running.err().contains(r#""msg":"ready""#).then_some(()));
    assert!(ready.is_some(), "{}", running.err());
    assert!(running.err().contains("http://from.flag.test"), "{}", running.err());
    running.signal(Signal::TERM);
    assert!(running.wait_exit(PATIENCE).is_some_and(|status| status.success()));
}

#[test]
fn warnings_do_not_fail_a_check_and_data_goes_to_stdout() {
    let dir = tempfile::tempdir().unwrap();
    relatch(dir.path(), &["init", "--upstream", "http://127.0.0.1:9"]);
    std::fs::write(
        dir.path().join("clients.toml"),
        "[[client]]\nid = \"c1\"\n[[client.secret]]\nid = \"s1\"\nsecret = \"clear-7Hq2\"\n",
    )
    .unwrap();
    for arguments in [
        &["config", "check"][..],
        &["config", "check", "relatch.toml"],
        &["--config", "relatch.toml", "config", "check"],
    ] {
        let ran = relatch(dir.path(), arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("1 client") && ran.out.contains("1 active secret"), "{}", ran.out);
        assert!(ran.err.starts_with("warning: ") && !ran.err.contains("error"), "{}", ran.err);
        assert!(!(ran.out + &ran.err).contains("clear-7Hq2"));
    }
    // From elsewhere, the list is found beside the settings that name it.
    let elsewhere = tempfile::tempdir().unwrap();
    let path = dir.path().join("relatch.toml");
    let ran = relatch(elsewhere.path(), &["config", "check", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
