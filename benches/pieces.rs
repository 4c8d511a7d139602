//! The pieces of a request, one by one, and the whole of it over loopback. `cargo bench`, or `make bench` for all figures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on should stop"
)]
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

mod list;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::Version;
use relatch::config::clients::Material;
use relatch::config::settings::Settings;
use relatch::config::settings::kinds::BasicDecoding;
use relatch::domain::request_id::RequestId;
use relatch::domain::source::Source;
use relatch::extract::form::Form;
use relatch::extract::{Presented, Scratch, extract};
use relatch::forwarded::{Caller, Link};
use relatch::hash::{self, Kept};
use relatch::head::Head;
use relatch::message::answer;
use relatch::message::fields::{Fields, Value};
use relatch::message::name::Name;
use relatch::net::http1::{Asked, Date, Sending};
use relatch::net::service::Answer;
use relatch::proxy::respond::Reply;
use relatch::registry::Snapshot;
use relatch::rewrite::{Original, Passage, rewrite};
use relatch::verify::slow::conclude;
use relatch::verify::{Verdict, verify};

use self::list::{NOW, build_list, entries, secret, snapshot};

/// Bodies of random clients, one in ten with a wrong secret.
fn bodies(clients: usize, count: usize) -> Vec<String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 1).unwrap()
    };
    let body = |_| {
        let (client, number) = (random() % clients, random() % 2);
        let wrong = if random() % 10 == 0 { "x" } else { "" };
        format!(
            "grant_type=client_credentials&client_id=client-{client:07}&client_secret={}{wrong}&scope=read",
            secret(client, number)
        )
    };
    (0..count).map(body).collect()
}

fn decide(snapshot: &Snapshot, body: &str) -> bool {
    let form = Form::parse(body.as_bytes()).unwrap();
    let mut scratch = Scratch::default();
    let Ok(Presented::Secret(credentials)) = extract(None, &form, BasicDecoding::Both, &mut scratch) else {
        return false;
    };
    matches!(verify(snapshot.tenancy(""), &credentials, NOW), Verdict::Verified(_))
}

fn pieces(c: &mut Criterion) {
    let body = bodies(1000, 1).remove(0);
    let mut group = c.benchmark_group("extract");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("body", |b| {
        b.iter(|| {
            let form = Form::parse(black_box(body.as_bytes())).unwrap();
            let mut scratch = Scratch::default();
            extract(None, &form, BasicDecoding::Both, &mut scratch).is_ok()
        });
    });
    let text = base64::engine::general_purpose::STANDARD.encode(format!("client-0000042:{}", secret(42, 1)));
    let header = format!("Basic {text}");
    group.bench_function("basic", |b| {
        b.iter(|| {
            let form = Form::parse(black_box(b"grant_type=client_credentials&scope=read")).unwrap();
            let mut scratch = Scratch::default();
            extract(Some(header.as_bytes()), &form, BasicDecoding::Both, &mut scratch).is_ok()
        });
    });
    group.finish();
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("extract+verify");
    for clients in [1_000, 1_000_000] {
        let snapshot = snapshot(clients);
        let bodies = bodies(clients, 100_000);
        let mut next = bodies.iter().cycle();
        group.bench_function(format!("{clients} clients"), |b| {
            b.iter_batched(|| next.next().unwrap(), |body| decide(&snapshot, black_box(body)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A record that a bcrypt of cost 12 keeps, once it is proven, beside one that keeps a SHA-256.
fn proven(c: &mut Criterion) {
    let list = |material: Material| {
        let mut entries = entries(1000);
        entries[42].secrets.truncate(1);
        entries[42].secrets[0].material = material;
        build_list(entries)
    };
    // Of "rls_bench", made with Python's bcrypt.
    let bcrypt = "$2b$12$frOu2reoUORe7s37PCWbEuT/aq5EN/YPW3ApEN4vWa.z6cGq5v2a6";
    let Ok(Kept::Slow(slow)) = hash::read(bcrypt) else { panic!() };
    let body = "grant_type=client_credentials&client_id=client-0000042&client_secret=rls_bench&scope=read";
    let mut group = c.benchmark_group("extract+verify, one record");
    for (name, material) in
        [("sha256", Material::Digest(hash::sha256(b"rls_bench"))), ("bcrypt 12, proven", Material::Slow(slow))]
    {
        let snapshot = list(material);
        let form = Form::parse(body.as_bytes()).unwrap();
        let mut scratch = Scratch::default();
        let Ok(Presented::Secret(credentials)) = extract(None, &form, BasicDecoding::Both, &mut scratch) else {
            panic!()
        };
        if let Verdict::Slow(pending) = verify(snapshot.tenancy(""), &credentials, NOW) {
            let found = pending.work().run();
            assert!(matches!(conclude(*pending, &found), Verdict::Verified(_)));
        }
        assert!(decide(&snapshot, body));
        group.bench_function(name, |b| b.iter(|| decide(&snapshot, black_box(body))));
    }
    group.finish();
}

fn rewriting(c: &mut Criterion) {
    let text = "[upstream]\nurl = \"http://127.0.0.1:9000\"\n[clients]\npath = \"c.toml\"\n";
    let settings = Settings::parse("bench", text, &[], std::path::Path::new("")).0.unwrap();
    let snapshot = snapshot(1000);
    let body =
        format!("grant_type=client_credentials&client_id=client-0000042&client_secret={}&scope=read", secret(42, 1));
    let fields: Fields = [
        (Name::Host, "as.example.com"),
        (Name::Accept, "application/json"),
        (Name::UserAgent, "bench/1"),
        (Name::ContentType, "application/x-www-form-urlencoded"),
        (Name::ContentLength, "140"),
    ]
    .map(|(name, value)| (name, Value::of(value.as_bytes()).unwrap()))
    .into_iter()
    .collect();
    c.bench_function("rewrite", |b| {
        let head = Head::check(Version::HTTP_11, &fields).unwrap();
        let form = Form::parse(body.as_bytes()).unwrap();
        let mut scratch = Scratch::default();
        let Presented::Secret(credentials) = extract(None, &form, BasicDecoding::Both, &mut scratch).unwrap() else {
            panic!()
        };
        let Verdict::Verified(verified) = verify(snapshot.tenancy(""), &credentials, NOW) else { panic!() };
        let caller = Caller::of(&Link::plain(Source::Address(IpAddr::from([127, 0, 0, 1]))), &[], &fields, head.host);
        let original = Original {
            target: "/oauth/token",
            head: &head,
            fields: &fields,
            caller: &caller,
            request_id: RequestId::made(*b"0123456789abcdef", 0x0123_4567_89ab_cdef),
            cors: false,
        };
        b.iter(|| rewrite(black_box(&original), &form, Passage::Verified(&verified), None, &settings.upstream));
    });
}

/// From the bytes of the upstream's answer to those that the caller is sent, but for the body.
fn respond(c: &mut Criterion) {
    let text = b"HTTP/1.1 200 OK\r\nServer: as\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
        Content-Length: 64\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n";
    let asked = Asked { version: Version::HTTP_11, head_alone: false, stays: true };
    let date = Date::default();
    let mut out = Vec::with_capacity(4096);
    c.bench_function("respond", |b| {
        b.iter(|| {
            out.clear();
            let head = answer::read(&mut BytesMut::from(black_box(&text[..])), &mut 0).ok().flatten().unwrap();
            let body = Reply::Whole(Some(Bytes::from_static(&[b'x'; 64])));
            let answer = Answer { status: head.status, fields: head.fields, body, closes: false };
            Sending::begin(answer, asked, &date, &mut out).stays
        });
    });
}

/// The demo as a whole process: proxy and token server, over loopback.
struct Demo {
    child: Child,
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Demo {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_relatch"))
            .arg("demo")
            .envs([("RELATCH__PROXY__LISTEN", "127.0.0.1:0"), ("RELATCH__TELEMETRY__LISTEN", "127.0.0.1:0")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let curl = lines.into_iter().find(|line| line.contains("curl -u")).unwrap();
        let words: Vec<&str> = curl.split_whitespace().collect();
        let (id, secret) = words[2].split_once(':').unwrap();
        let address = words[5].trim_start_matches("http://").split('/').next().unwrap();
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = format!(
            "POST /oauth/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { child, stream: BufReader::new(stream), request: request.into_bytes() }
    }

    fn token(&mut self) {
        self.stream.get_mut().write_all(&self.request).unwrap();
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        assert!(body.starts_with(b"{\"access_token\""));
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn whole(c: &mut Criterion) {
    let mut demo = Demo::start();
    c.bench_function("a token through the demo, one connection", |b| b.iter(|| demo.token()));
}

criterion_group!(benches, pieces, decisions, proven, rewriting, respond, whole);
criterion_main!(benches);
