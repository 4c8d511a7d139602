//! Rotations of several clients in one request.

use crate::gate::{ADMIN, address, ask, gated};
use crate::support::http::{Method, token_post};
use crate::support::upstream::Upstream;

#[test]
fn a_client_that_is_named_twice_is_refused_before_anything_is_made() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let list = || std::fs::read(sidecar.dir().join("clients.toml")).unwrap();
    let before = list();
    for clients in
        ["[\"c1\",\"c1\"]", "[\"c1\",{\"tenant\":\"\",\"id\":\"c1\"}]", "[{\"tenant\":\"\",\"id\":\"c1\"},\"c1\"]"]
    {
        let body = format!("{{\"clients\":{clients},\"grace\":\"0s\",\"force\":true}}");
        let reply = ask(at, ADMIN, "POST", "/api/v1/rotate", &body);
        let message = reply.json()["message"].to_string();
        assert!(reply.status == 400 && message.contains("named twice"), "{clients}: {} {message}", reply.status);
        assert!(message.contains("Nothing was changed"), "{message}");
    }
    assert_eq!(list(), before);
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "first-s3cr3t-of-c1").status, 200);
    sidecar.finish(&upstream);
}
