//! A client's secret is changed at its provider, by the real binary against a provider of ours: no request of an
//! application fails where the provider keeps the old secret, and no fault of the provider, of the line or of the process
//! leaves the client without a secret that works, or says what is not so.

mod faults;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use server::{APP, Kind, Server, TOKEN};
use tempfile::TempDir;

use crate::support::caller::Caller;
use crate::support::http::form_post;
use crate::support::process::{Process, Ran};
use crate::support::{PATIENCE, poll};

const FIRST: &str = "first-s3cr3t-of-the-far-end-0001";
const STALE: &str = "stale-s3cr3t-of-the-far-end-0000";

/// A folder with settings, a list and its secret files; a provider; and perhaps an instance.
struct Place {
    dir: TempDir,
    server: Server,
    kind: Kind,
    running: Option<(Process, SocketAddr)>,
}

impl Place {
    /// A client with these secret files, each with its content.
    fn new(kind: Kind, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let server = Server::start(kind, FIRST);
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put(
            "relatch.toml",
            &format!(
                "[proxy]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurl = \
                 \"http://{}\"\nhost = \"upstream\"\n[clients]\npath = \"clients.toml\"\n[log]\nformat = \"json\"\n\
                 [[endpoint]]\npath = \"/token\"\nauth = \"none\"\nclient = \"billing\"\n",
                server.plain
            ),
        );
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        put(
            "clients.toml",
            &format!(
                "# kept\n[[client]]\nid = \"billing\"\n[client.upstream] # far\nid = \"{APP}\"\nsecret_files = {names:?} # two\n"
            ),
        );
        for (name, text) in files {
            put(name, &format!("{text}\n"));
        }
        put("token", &format!("{}{TOKEN}\n", if kind == Kind::Okta { "SSWS " } else { "" }));
        server.write_ca(dir.path());
        Self { dir, server, kind, running: None }
    }

    fn two(kind: Kind) -> Self {
        Self::new(kind, &[("new.secret", FIRST), ("old.secret", STALE)])
    }

    fn start(mut self) -> Self {
        let process = Process::start(self.dir.path(), &["run"], &[]);
        let address = poll(PATIENCE, || {
            let lines = process.err();
            let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            lines.iter().find(|line| line["msg"] == "ready")?;
            lines.iter().find(|line| line["listener"] == "proxy")?["address"].as_str()?.parse().ok()
        });
        let address = address.unwrap_or_else(|| panic!("{}", process.err()));
        self.running = Some((process, address));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    /// What the two files hold.
    #[track_caller]
    fn held(&self) -> [String; 2] {
        ["new.secret", "old.secret"].map(|name| self.read(name).trim_end().to_owned())
    }

    fn arguments<'a>(&self, verb: &'a str, more: &[&'a str]) -> Vec<String> {
        let provider = format!("{:?}", self.kind).to_lowercase();
        let url = self.server.url();
        let mut all: Vec<_> = ["upstream", verb, "billing", "--provider", &provider, "--url", &url, "--ca", "ca.pem"]
            .map(str::to_owned)
            .to_vec();
        if self.kind != Kind::Hydra {
            all.extend(["--token-file", "token"].map(str::to_owned));
        }
        all.extend(more.iter().map(|text| (*text).to_owned()));
        all
    }

    /// Runs a verb to its end. No secret is ever said.
    #[track_caller]
    fn run(&self, verb: &str, more: &[&str]) -> Ran {
        let arguments = self.arguments(verb, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = Process::start(self.dir.path(), &arguments, &[]).end();
        self.silent(&ran);
        ran
    }

    #[track_caller]
    fn silent(&self, ran: &Ran) {
        for secret in [FIRST, STALE, TOKEN, "far-made-s3cr3t"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "a secret shows: {ran:?}");
        }
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = names.filter(|name| name.ends_with(".tmp")).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[track_caller]
    fn done(&self, verb: &str, more: &[&str]) -> Ran {
        let ran = self.run(verb, more);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    }

    /// ... which must end with this code and say these words.
    #[track_caller]
    fn ends(&self, verb: &str, more: &[&str], code: i32, words: &[&str]) -> Ran {
        let ran = self.run(verb, more);
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran:?}");
        for word in words {
            assert!(ran.err.contains(word), "no {word:?} in {}", ran.err);
        }
        ran
    }

    /// The far end's secrets that are taken, the newest first.
    fn taken(&self) -> Vec<String> {
        self.server.far().taken()
    }

    fn newest(&self) -> String {
        self.taken()[0].clone()
    }

    /// How often a secret was made there, by a request.
    fn makes(&self) -> usize {
        self.server.far().makes()
    }

    fn ask(&self) -> u16 {
        let (_, address) = self.running.as_ref().unwrap();
        Caller::connect(*address).unwrap().ask(&form_post("/token", "r", "grant_type=client_credentials")).unwrap().0
    }

    /// Does something while an application takes tokens; every one of its requests is granted.
    #[track_caller]
    fn while_tokens_are_taken<T>(&self, work: impl FnOnce(&dyn Fn()) -> T) -> T {
        let (_, address) = self.running.as_ref().unwrap();
        let (over, granted) = (AtomicBool::new(false), AtomicUsize::new(0));
        let request = form_post("/token", "app", "grant_type=client_credentials");
        std::thread::scope(|scope| {
            let application = scope.spawn(|| {
                let mut caller = Caller::connect(*address).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let answer = caller.ask(&request);
                    if !matches!(answer, Ok((200, _))) {
                        over.store(true, Ordering::Relaxed);
                        return Err(answer);
                    }
                    granted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            let went_on = || {
                let mark = granted.load(Ordering::Relaxed) + 20;
                let on = || granted.load(Ordering::Relaxed) >= mark || over.load(Ordering::Relaxed);
                poll(PATIENCE, || on().then_some(())).expect("the application goes on");
            };
            went_on();
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&went_on)));
            went_on();
            over.store(true, Ordering::Relaxed);
            application.join().unwrap().unwrap_or_else(|answer| panic!("a request failed: {answer:?}"));
            worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

#[test]
fn hydra_rotates_and_retires_and_no_request_of_the_application_fails() {
    let place = Place::two(Kind::Hydra).start();
    place.while_tokens_are_taken(|went_on| {
        let ran = place.done("rotate", &[]);
        assert!(ran.err.contains("a token") && ran.err.contains("running instance has it"), "{ran:?}");
        assert!(ran.err.contains("upstream retire billing") && ran.out.contains("...ydra"), "{ran:?}");
        assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
        assert_eq!(place.taken().len(), 2, "the old one was kept");
        went_on();
        let ran = place.done("retire", &[]);
        assert!(ran.err.contains("Retired at Hydra"), "{ran:?}");
        assert_eq!(place.taken(), [place.held()[0].clone()]);
        went_on();
        place.done("rotate", &["--retire"]);
        assert_eq!(place.taken(), [place.held()[0].clone()]);
    });
    assert_eq!(place.makes(), 2);
}

#[test]
fn okta_rotates_and_retires_and_no_request_of_the_application_fails() {
    let place = Place::two(Kind::Okta).start();
    place.while_tokens_are_taken(|went_on| {
        place.done("rotate", &[]);
        assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
        assert_eq!(place.taken(), place.held());
        went_on();
        place.ends(
            "rotate",
            &[],
            3,
            &["keeps 2 secrets", "ocs1", "ocs2", "old.secret", "Nothing was changed", "retire"],
        );
        assert_eq!(place.taken(), place.held());
        place.done("retire", &[]);
        assert_eq!(place.taken(), [place.held()[0].clone()]);
        went_on();
        let ran = place.done("rotate", &["--retire", "-o", "json"]);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&said["retired"], &said["checked"]), (&serde_json::json!(["ocs2"]), &"a token".into()), "{said}");
        assert_eq!((&said["secret_id"], &said["reloaded"]), (&"ocs3".into(), &true.into()), "{said}");
        assert_eq!(place.taken(), [place.held()[0].clone()]);
    });
    let calls = place.server.far().calls.join("\n");
    let base = format!("/api/v1/apps/{APP}/credentials/secrets");
    let steps = format!("POST {base}/ocs2/lifecycle/deactivate\nDELETE {base}/ocs2");
    assert!(calls.ends_with(&steps), "{calls}");
}

#[test]
fn auth0_says_that_the_old_one_ends_and_waits_until_the_new_one_is_known_everywhere() {
    let place = Place::two(Kind::Auth0).start();
    assert_eq!(place.ask(), 200);
    place.server.far().slow = Duration::from_secs(2);
    let ran = place.done("rotate", &[]);
    assert!(ran.err.contains("ends the old secret of") && ran.err.contains("at once"), "{ran:?}");
    assert_eq!(place.makes(), 1);
    assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
    // A list that was refused in full rests for a moment.
    assert!(poll(PATIENCE, || (place.ask() == 200).then_some(())).is_some());
    place.ends("retire", &[], 2, &["one secret"]);
    place.ends("rotate", &["--retire"], 2, &["one secret"]);
    assert_eq!(place.makes(), 1);
}

#[test]
fn a_client_with_one_file_gets_a_second_one_before_it() {
    let place = Place::new(Kind::Hydra, &[("old.secret", FIRST)]).start();
    place.ends("rotate", &[], 2, &["--new-file", "Nothing was changed"]);
    place.while_tokens_are_taken(|_| place.done("rotate", &["--new-file", "new.secret"]));
    assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
    let list = place.read("clients.toml");
    assert!(
        list.contains("secret_files = [\"new.secret\", \"old.secret\"] # two") && list.contains("# kept"),
        "{list}"
    );
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(place.path("new.secret").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // From then on there are two.
    place.done("rotate", &["--retire"]);
    place.ends("rotate", &["--new-file", "third.secret"], 2, &["several files"]);
    assert_eq!(place.taken(), [place.held()[0].clone()]);
}

#[test]
fn without_an_instance_the_files_wait_for_the_next_start() {
    let place = Place::two(Kind::Okta);
    let ran = place.done("rotate", &["--token-url", &format!("{}/token", place.server.url()), "-q"]);
    assert_eq!(ran.err, "");
    assert!(ran.out.contains("new secret") && !ran.out.contains('\u{fffd}'), "{ran:?}");
    assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
    assert_eq!(place.start().ask(), 200);
}

#[test]
fn a_client_that_may_have_no_token_by_itself_is_checked_by_what_a_wrong_secret_does_not_get() {
    for error in ["unauthorized_client", "invalid_grant"] {
        let place = Place::two(Kind::Hydra);
        place.server.far().no_grant = Some(error);
        let ran = place.done("rotate", &[]);
        assert!(ran.err.contains(error) && ran.err.contains("a wrong secret does not get"), "{ran:?}");
    }
}
