//! Programs that speak TLS and HTTP/2 for a living, and two that look for weaknesses in those who do.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::process::root;
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::upstream::Upstream;

/// What all of them may call us by.
const NAME: &str = "localhost";
const SECURED: &str = "[proxy]\nhsts = \"365d\"\n[proxy.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n\
                       [limits]\ntls_handshake_timeout = \"1s\"\nheader_timeout = \"2s\"\n";

struct Stage {
    upstream: Upstream,
    sidecar: Sidecar,
    ca: PathBuf,
}

fn stage(config: &str) -> Stage {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let pair = ca.issue_for_now(&[NAME]);
    let guard = Sidecar::guard().client("c1", &["good-secret"]).config(config).upstream(&upstream);
    let chain = format!("{}{}", pair.cert, ca.pem());
    let guard = guard.file("tls.crt", &chain).file("tls.key", &pair.key).file("ca.pem", ca.pem());
    let sidecar = guard.start();
    let ca = sidecar.dir().join("ca.pem");
    Stage { upstream, sidecar, ca }
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|why| panic!("{program}: {why}: run tests/peers/install.sh"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
#[ignore = "needs curl"]
fn curl_is_served_over_every_version_of_both() {
    for (config, scheme) in [(SECURED, "https"), ("", "http")] {
        let Stage { sidecar, ca, upstream } = stage(config);
        let url = format!("{scheme}://{NAME}:{}/token", sidecar.proxy().port());
        let versions: &[(&[&str], &str)] = if scheme == "https" {
            &[
                (&["--http2", "--tlsv1.3"], "2"),
                (&["--http2", "--tls-max", "1.2"], "2"),
                (&["--http1.1", "--tlsv1.3"], "1.1"),
                (&["--http1.1", "--tls-max", "1.2"], "1.1"),
            ]
        } else {
            &[(&["--http2-prior-knowledge"], "2"), (&["--http1.1"], "1.1"), (&["--http2"], "1.1")]
        };
        for (version, spoken) in versions {
            let mut arguments = vec!["-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", "30"];
            arguments.extend(["--cacert", ca.to_str().unwrap(), "-u", "c1:good-secret"]);
            arguments.extend(["-d", "grant_type=client_credentials", "-w", "\n%{http_code} %{http_version}"]);
            arguments.extend(*version);
            let output = run("curl", &[arguments, vec![url.as_str()]].concat());
            let answer = said(&output);
            assert!(
                answer.contains("access_token") && answer.ends_with(&format!("\n200 {spoken}")),
                "{version:?}: {answer}"
            );
        }
        sidecar.finish(&upstream);
    }
}

#[test]
#[ignore = "needs nghttp and h2load"]
fn nghttp_and_h2load_are_served_and_no_request_fails() {
    for (config, scheme) in [(SECURED, "https"), ("", "http")] {
        let Stage { sidecar, upstream, .. } = stage(config);
        let form = sidecar.dir().join("form");
        std::fs::write(&form, "grant_type=client_credentials&client_id=c1&client_secret=good-secret").unwrap();
        let form = form.to_str().unwrap();
        let url = format!("{scheme}://{NAME}:{}/token", sidecar.proxy().port());
        let kind = "content-type: application/x-www-form-urlencoded";
        let output = run("nghttp", &["--verbose", "--no-verify-peer", "-H", kind, "-d", form, &url]);
        let told = said(&output);
        assert!(told.contains(":status: 200") && told.contains("access_token"), "{told}");
        let output = run("h2load", &["-n", "2000", "-c", "4", "-m", "50", "-H", kind, "-d", form, &url]);
        let told = said(&output);
        assert!(told.contains("2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored"), "{told}");
        assert!(told.contains("2000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{told}");
        assert_eq!(upstream.count(), 2001);
    }
}

#[test]
#[ignore = "needs sslyze"]
fn sslyze_finds_what_mozilla_calls_intermediate() {
    let Stage { sidecar, ca, .. } = stage(SECURED);
    let python = root().join("target/peers/venv/bin/python");
    let at = format!("{NAME}:{}", sidecar.proxy().port());
    let ca = format!("--certinfo_ca_file={}", ca.display());
    let output = run(python.to_str().unwrap(), &["-m", "sslyze", "--mozilla_config=intermediate", &ca, &at]);
    let told = said(&output);
    assert!(output.status.success() && told.contains(": OK - Compliant."), "{told}");
}

/// What it says of the names of the machine, of the openssl there or of a certificate made for a test, and not of us.
const NOT_OURS: [&str; 5] = ["DNS_CAArecord", "cert_revocation", "cert_trust", "BREACH", "engine_problem"];

/// What it could not look at ("WARN"): its client hangs up without waiting for the session ticket, which follows the
/// TLS 1.3 handshake, and has then nothing to come back with. That a session is taken up again is a test of its own
/// (`secured::handshakes`).
const NOT_ALWAYS_SEEN: &str = "sessionresumption_";

#[test]
#[ignore = "needs testssl"]
fn testssl_finds_nothing_low_or_worse() {
    let Stage { sidecar, ca, .. } = stage(SECURED);
    let report = sidecar.dir().join("testssl.json");
    let at = format!("{NAME}:{}", sidecar.proxy().port());
    let (ca, file) = (ca.to_str().unwrap(), report.to_str().unwrap());
    let options = ["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--add-ca", ca];
    // Everything but the simulations of old browsers, which only repeat what the suites say.
    let looks = ["-p", "-s", "-f", "-P", "-S", "-h", "-U"];
    let output = run("testssl", &[&options[..], &looks, &["--jsonfile", file, &at]].concat());
    let text = std::fs::read_to_string(&report).unwrap_or_else(|_| panic!("{}", said(&output)));
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap();
    let bad = |finding: &&Value| {
        let word = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let (severity, id) = (word("severity"), word("id"));
        let unseen = severity == "WARN" && id.starts_with(NOT_ALWAYS_SEEN);
        !matches!(severity.as_str(), "OK" | "INFO") && !NOT_OURS.contains(&id.as_str()) && !unseen
    };
    let bad: Vec<_> = findings.iter().filter(bad).collect();
    assert!(findings.len() > 60 && bad.is_empty(), "{} findings, of which {bad:#?}", findings.len());
}
