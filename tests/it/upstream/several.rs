//! Several upstreams: an endpoint picks one, and has its connections, its rules and its patience.

use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::http::{Method, Wire, token_post, token_request};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream};

use super::SECRET;

fn ask(sidecar: &Sidecar, path: &str, host: &str) -> u16 {
    let request = String::from_utf8(token_request(Method::Basic, "c1", SECRET, "r")).unwrap();
    let request = request.replacen("POST /token", &format!("POST {path}"), 1).replacen("proxy.test", host, 1);
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(request.as_bytes());
    wire.read_reply(false, PATIENCE).reply().status
}

#[test]
fn each_endpoint_has_the_upstream_that_it_names_with_its_rules() {
    let (first, second, third) = (Upstream::start(), Upstream::start(), Upstream::start());
    third.answer(Answer::Silence);
    let config = format!(
        r#"
        proxy.workers = 1
        upstream.allowed_hosts = ["proxy.test"]
        endpoint = [
            {{ path = "/token" }},
            {{ path = "/two", upstream = "two" }},
            {{ path = "/three", upstream = "three", upstream_path = "/token" }},
        ]
        [upstreams.three]
        url = "{}"
        request_timeout = "300ms"
        [upstreams.two]
        url = "{}"
        host = "as.example.com"
        credential = "assert"
        assert_header = "x-caller"
        "#,
        third.url(),
        second.url()
    );
    let sidecar = Sidecar::guard().client("c1", &[SECRET]).config(&config).upstream(&first).start();
    for (path, host, status, counts) in [
        ("/token", "proxy.test", 200, [1, 0, 0]),
        ("/token", "other.test", 421, [1, 0, 0]),
        ("/two", "other.test", 200, [1, 1, 0]),
        ("/two", "proxy.test", 200, [1, 2, 0]),
    ] {
        assert_eq!(ask(&sidecar, path, host), status, "{path} {host}");
        assert_eq!([first.count(), second.count(), third.count()], counts, "{path} {host}");
    }
    let (one, two) = (first.seen(), second.seen());
    assert_eq!((one[0].header("host"), one[0].header("x-caller")), (Some("proxy.test"), None));
    assert_eq!((two[0].header("host"), two[0].header("x-caller")), (Some("as.example.com"), Some("c1")));
    assert!(one[0].header("authorization").is_some() && two[0].header("authorization").is_none());
    assert_eq!((second.connections(), two[1].target.as_str()), (1, "/two"));
    let asked = Instant::now();
    assert_eq!(ask(&sidecar, "/three", "x.test"), 504);
    assert!(asked.elapsed() < Duration::from_secs(10), "its own patience, not that of [upstream]");
    assert_eq!(third.count(), 1);
}

#[test]
fn one_that_is_down_is_named_and_the_others_go_on() {
    let first = Upstream::start();
    let gone = format!("http://{}", crate::support::upstream::nobody());
    let config = format!(
        "endpoint = [{{ path = \"/token\" }}, {{ path = \"/gone\", upstream = \"gone\" }}]\n[upstreams.gone]\nurl = \"{gone}\""
    );
    let sidecar = Sidecar::guard().client("c1", &[SECRET]).config(&config).upstream(&first).start();
    assert_eq!(ask(&sidecar, "/gone", "proxy.test"), 502);
    sidecar.wait_log(|line| line["msg"] == "the upstream cannot be reached" && line["upstream"] == gone.as_str());
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", SECRET).status, 200);
    sidecar.finish(&first);
}
