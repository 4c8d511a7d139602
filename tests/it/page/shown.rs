//! What the pages show, and how much of it at once.

use std::fmt::Write as _;

use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

use super::{Browser, paged, text};

#[test]
fn the_table_tells_who_used_what() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    for _ in 0..3 {
        assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "new-s3cr3t-of-c1").status, 200);
    }
    let browser = Browser::of(&sidecar);
    let page = text(&browser.get("/client?id=c1"));
    for part in [
        "OAuth secrets",
        ">Name<",
        ">ID<",
        ">Hint<",
        ">Created<",
        ">Expires<",
        ">Last Used<",
        ">Uses<",
        ">From<",
        ">Status<",
        ">Actions<",
        "data-label=\"Uses\">3<",
        "<code>127.0.0.1</code>",
        "title=\"20",
        "Uses in the last 24 hours: new secret ",
        "generation 1",
        "answers",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_long_list_comes_in_pages_and_is_searched() {
    let upstream = Upstream::start();
    let mut list = String::new();
    for number in 0..120 {
        _ = write!(
            list,
            "[[client]]\nid = \"client-{number:03}\"\nname = \"Nämé {number}\"\nenabled = {}\n[[client.secret]]\n\
             id = \"s\"\nhash = \"@SHA256(s3cr3t-{number:03}-of-many)@\"\nexpires = \"{}-01-01T00:00:00Z\"\n",
            number != 7,
            if number == 70 { 2020 } else { 2099 }
        );
    }
    let sidecar = Sidecar::guard()
        .clients_text(&list)
        .config("admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]")
        .upstream(&upstream)
        .start();
    let browser = Browser::of(&sidecar);
    let shown = |path: &str| {
        let page = text(&browser.get(path));
        let ids = page.split("href=\"/client?id=").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page)
    };
    let mut all = Vec::new();
    let mut path = "/".to_owned();
    loop {
        let (ids, page) = shown(&path);
        assert!(ids.len() <= 50);
        all.extend(ids);
        let Some(rest) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        path = rest.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(all, (0..120).map(|number| format!("client-{number:03}")).collect::<Vec<_>>());
    assert_eq!(shown("/?q=CLIENT-11").0.len(), 10);
    assert_eq!(shown("/?q=n%C3%84m%C3%89+42").0, ["client-042"]);
    assert_eq!(shown("/?q=nobody").0, [""; 0]);
    // One is switched off on purpose; one has run out.
    assert_eq!(shown("/?attention=1").0, ["client-070"]);
    sidecar.finish(&upstream);
}
