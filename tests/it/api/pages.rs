//! A long list is given in pages, and none of it is left out or given twice.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::gate::{ADMIN, READER, address, ask, gated};
use crate::support::process::relatch;
use crate::support::upstream::Upstream;

fn list(ids: impl Iterator<Item = usize>) -> String {
    ids.fold(String::new(), |mut text, number| {
        _ = writeln!(text, "[[client]]\nid = \"n{number:05}\"\n");
        text
    })
}

/// The ids of a page, and where the next one is.
#[track_caller]
fn page(at: SocketAddr, path: &str) -> (Vec<String>, Option<String>) {
    let reply = ask(at, READER, "GET", path, "");
    assert_eq!(reply.status, 200, "{path}: {}", reply.json());
    let ids = reply.json().as_array().unwrap().iter().map(|client| client["id"].as_str().unwrap().to_owned()).collect();
    let next = reply.header("link").map(|link| {
        let (target, relation) = link.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap();
        assert_eq!(relation, "; rel=\"next\"");
        target.to_owned()
    });
    (ids, next)
}

#[track_caller]
fn walk(at: SocketAddr, first: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let (ids, more) = page(at, &path);
        pages.push(ids);
        next = more;
        assert!(pages.len() < 1000, "pages without end");
    }
    pages
}

#[test]
fn pages_follow_each_other_to_the_end_of_the_list() {
    let upstream = Upstream::start();
    // The file's order is not that of the pages.
    let sidecar = gated().clients_text(&list((0..250).rev())).upstream(&upstream).start();
    let at = address(&sidecar);
    let ids: Vec<String> = (0..250).map(|number| format!("n{number:05}")).collect();
    for (path, sizes) in [
        ("/api/v1/clients", vec![100, 100, 50]),
        ("/api/v1/clients?limit=125", vec![125, 125]),
        ("/api/v1/clients?limit=1000", vec![250]),
        ("/api/v1/clients?tenant=&limit=249", vec![249, 1]),
    ] {
        let pages = walk(at, path);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{path}");
        assert_eq!(pages.concat(), ids, "{path}");
    }
    assert_eq!(page(at, "/api/v1/clients?after=n00247").0, ids[248..]);
    assert_eq!(page(at, "/api/v1/clients?after=n00247x&limit=1").0, ids[248..249], "behind one that is not there");
    assert_eq!(page(at, "/api/v1/clients?after=zzz"), (Vec::new(), None));
    assert_eq!(page(at, "/api/v1/clients?tenant=t"), (Vec::new(), None));
    for bad in
        ["limit=0", "limit=1001", "limit=-1", "limit=all", "limit=", "tenant=a%2Fb", "after_tenant=..", "befor=x"]
    {
        let reply = ask(at, READER, "GET", &format!("/api/v1/clients?{bad}"), "");
        assert_eq!((reply.status, &reply.json()["error"]), (400, &"invalid".into()), "{bad}");
    }
    // Who removes each client of a page finds the next page all the same.
    let (first, next) = page(at, "/api/v1/clients?limit=2");
    for id in first {
        assert_eq!(ask(at, ADMIN, "DELETE", &format!("/api/v1/clients/{id}"), "").status, 204);
    }
    assert_eq!(page(at, &next.unwrap()).0, ids[2..4]);
    sidecar.finish(&upstream);
}

#[test]
fn commands_see_the_whole_list_however_many_pages_it_has() {
    let upstream = Upstream::start();
    let mut text = list(0..2100);
    text.push_str(
        "[[client]]\nid = \"last\"\ntenant = \"t\"\n[[client.secret]]\nid = \"one\"\nhash = \"@SHA256(s-of-last)@\"\n",
    );
    let sidecar = gated().clients_text(&text).upstream(&upstream).start();
    let at = address(&sidecar);
    let pages = walk(at, "/api/v1/clients?limit=700");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [700, 700, 700, 1]);
    assert_eq!(ask(at, READER, "GET", "/api/v1/clients?after=n00001", "").status, 400, "the list has tenants");
    std::fs::write(sidecar.dir().join("reader.token"), READER).unwrap();
    let by_tcp = format!("http://{at}");
    for way in [&[][..], &["--server", &by_tcp, "--token-file", "reader.token"]] {
        let ran = relatch(sidecar.dir(), &[way, &["client", "list", "-o", "json"]].concat());
        let clients: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let clients = clients.as_array().unwrap();
        assert_eq!((clients.len(), &clients[0]["id"], &clients[2100]["id"]), (2101, &"n00000".into(), &"last".into()));
        let ran = relatch(sidecar.dir(), &[way, &["secret", "list", "-o", "json"]].concat());
        let secrets: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((secrets.as_array().unwrap().len(), &secrets[0]["tenant"]), (1, &"t".into()));
    }
    std::fs::remove_file(sidecar.dir().join("reader.token")).unwrap();
    sidecar.finish(&upstream);
}
