//! A token server that does to each request what a script says, step by step,
//! and counts what reaches it: over HTTP/1.1 or HTTP/2 in raw frames, with and
//! without TLS. Requests are told apart by the `id` in their form, which it also
//! echoes where a step says `@ID@`.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;

use super::frames::{self, Frame};
use crate::support::tls::{Security, Stream};
use crate::support::upstream::Seen;
use crate::support::{bytes, form};

/// What is done to a request that has been read.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// These bytes.
    Send(Vec<u8>),
    /// These bytes, this often.
    Repeat(usize, Vec<u8>),
    /// Frames of the request's stream.
    Frames(Vec<Frame>),
    /// Nothing, for so long.
    Pause(Duration),
    /// The end of the connection.
    Close,
    /// A reset of it.
    Reset,
    /// Nothing more: over HTTP/1.1 until the other end gives up, over HTTP/2 for this request.
    Stall,
}

impl Step {
    /// Whether it says which request was the last.
    fn goes_away(&self) -> bool {
        matches!(self, Self::Frames(all) if all.iter().any(|frame| frame.kind == frames::GOAWAY))
    }
}

/// How it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    H1,
    H1Tls,
    H2,
    H2Tls,
}

impl Protocol {
    pub(super) const ALL: [Self; 4] = [Self::H1, Self::H1Tls, Self::H2, Self::H2Tls];

    pub(super) fn is_h2(self) -> bool {
        matches!(self, Self::H2 | Self::H2Tls)
    }

    pub(super) fn is_tls(self) -> bool {
        matches!(self, Self::H1Tls | Self::H2Tls)
    }
}

/// What it does to a request: its id, how often it has come, and on which connection.
pub(super) type Script = Arc<dyn Fn(&str, usize, usize) -> Vec<Step> + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    security: Security,
    is_h2: bool,
    /// What it allows at once on a connection.
    streams: AtomicUsize,
    deliveries: Mutex<HashMap<String, usize>>,
    connections: AtomicUsize,
    resets: AtomicUsize,
}

/// A running one. Its threads end with the test.
pub(super) struct Scripted {
    address: SocketAddr,
    protocol: Protocol,
    shared: Arc<Shared>,
}

impl Scripted {
    /// Listens; every request gets a token until a script says otherwise.
    pub(super) fn start(protocol: Protocol, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let well: Script = Arc::new(move |_, _, _| well(protocol));
        let security = Security::default();
        if let Some(tls) = tls {
            security.set(tls);
        }
        let shared = Arc::new(Shared {
            script: Mutex::new(well),
            security,
            is_h2: protocol.is_h2(),
            streams: AtomicUsize::new(100),
            deliveries: Mutex::default(),
            connections: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
        });
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                std::thread::spawn(move || serve(&shared, stream, number));
            }
        });
        Self { address, protocol, shared: kept }
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.protocol.is_tls() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// From now on, this.
    pub(super) fn script(&self, script: impl Fn(&str, usize, usize) -> Vec<Step> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Connections from now on take this many requests at once.
    pub(super) fn allow_streams(&self, most: usize) {
        self.shared.streams.store(most, Ordering::Relaxed);
    }

    pub(super) fn deliveries_of(&self, id: &str) -> usize {
        self.shared.deliveries.lock().unwrap().get(id).copied().unwrap_or(0)
    }

    pub(super) fn deliveries(&self) -> HashMap<String, usize> {
        self.shared.deliveries.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Streams that the other end gave up.
    pub(super) fn resets(&self) -> usize {
        self.shared.resets.load(Ordering::Relaxed)
    }
}

/// The body of a good answer.
pub(super) const BODY: &str = r#"{"access_token":"@ID@","token_type":"Bearer","expires_in":60}"#;

/// A good answer.
pub(super) fn well(protocol: Protocol) -> Vec<Step> {
    if protocol.is_h2() {
        let fields = [(":status", "200"), ("content-type", "application/json"), ("cache-control", "no-store")];
        return vec![Step::Frames(vec![Frame::headers(&fields, false), Frame::data(BODY.as_bytes(), true)])];
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n";
    vec![Step::Send(format!("{head}Content-Length: @LENGTH@\r\n\r\n{BODY}").into_bytes())]
}

fn serve(shared: &Shared, tcp: TcpStream, connection: usize) {
    _ = tcp.set_nodelay(true);
    let mut stream = shared.security.secure(tcp);
    if shared.is_h2 { serve_h2(shared, &mut stream, connection) } else { serve_h1(shared, &mut stream, connection) }
}

/// Counts a delivery and gives what is to be done.
fn arrived(shared: &Shared, id: &str, connection: usize) -> Vec<Step> {
    let count = {
        let mut deliveries = shared.deliveries.lock().unwrap();
        let count = deliveries.entry(id.to_owned()).or_default();
        *count += 1;
        *count
    };
    let script = Arc::clone(&shared.script.lock().unwrap());
    script(id, count, connection)
}

fn id_of(body: &[u8]) -> String {
    let pairs = form::pairs(body).unwrap_or_default();
    pairs.into_iter().find(|(name, _)| name == "id").map_or_else(|| "-".to_owned(), |(_, value)| value)
}

fn serve_h1(shared: &Shared, stream: &mut Stream, connection: usize) {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let Some(seen) = Seen::cut(&mut buffer) else {
            match stream.read(&mut chunk) {
                Ok(count @ 1..) => buffer.extend_from_slice(&chunk[..count]),
                _ => return,
            }
            continue;
        };
        let id = id_of(&seen.body);
        for step in arrived(shared, &id, connection) {
            let goes_on = match step {
                Step::Stall => {
                    while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
                    false
                }
                step => carry_out(stream, step, &id, 0),
            };
            if !goes_on {
                return;
            }
        }
    }
}

fn serve_h2(shared: &Shared, stream: &mut Stream, connection: usize) {
    let mut preface = [0; frames::PREFACE.len()];
    if stream.read_exact(&mut preface).is_err() || preface != *frames::PREFACE {
        return;
    }
    let settings = Frame::settings(&[(3, shared.streams.load(Ordering::Relaxed) as u32)]);
    if stream.write_all(&settings.bytes(0)).is_err() {
        return;
    }
    let (mut bodies, mut highest, mut last) = (HashMap::<u32, Vec<u8>>::new(), 0, u32::MAX);
    while let Some((frame, on)) = Frame::read(stream) {
        match frame.kind {
            frames::SETTINGS if frame.flags & frames::ACK == 0 => {
                _ = stream.write_all(&Frame::new(frames::SETTINGS, frames::ACK, Vec::new()).bytes(0));
            }
            frames::PING if frame.flags & frames::ACK == 0 => {
                _ = stream.write_all(&Frame::new(frames::PING, frames::ACK, frame.payload).bytes(0));
            }
            frames::RST_STREAM => _ = shared.resets.fetch_add(1, Ordering::Relaxed),
            // What comes after the last one that a GOAWAY named is not acted on (RFC 9113 section 6.8).
            frames::HEADERS | frames::DATA if on > last => {}
            frames::HEADERS | frames::DATA => {
                let body = bodies.entry(on).or_default();
                if frame.kind == frames::DATA {
                    body.extend_from_slice(&frame.payload);
                }
                if frame.flags & frames::END_STREAM == 0 {
                    continue;
                }
                let id = id_of(&bodies.remove(&on).unwrap_or_default());
                let mut steps = arrived(shared, &id, connection);
                // It cannot say that this was the last that it took when it took a later one.
                let goes_away = steps.iter().any(Step::goes_away);
                if on < highest && goes_away {
                    steps = well(Protocol::H2);
                } else if goes_away {
                    last = on;
                }
                highest = highest.max(on);
                for step in steps {
                    if matches!(step, Step::Stall) {
                        break;
                    }
                    if !carry_out(stream, step, &id, on) {
                        return;
                    }
                }
            }
            _ => {}
        }
    }
}

/// One step. False if the connection ends with it.
fn carry_out(stream: &mut Stream, step: Step, id: &str, on: u32) -> bool {
    match step {
        Step::Send(text) => stream.write_all(&filled(&text, id)).is_ok(),
        Step::Repeat(times, text) => {
            let text = filled(&text, id);
            (0..times).all(|_| stream.write_all(&text).is_ok())
        }
        Step::Frames(frames) => {
            let all: Vec<u8> = frames
                .into_iter()
                .flat_map(|mut frame| {
                    frame.payload = filled(&frame.payload, id);
                    frame.bytes(on)
                })
                .collect();
            stream.write_all(&all).is_ok()
        }
        Step::Pause(time) => {
            std::thread::sleep(time);
            true
        }
        Step::Close => {
            if let Stream::Tls(tls) = stream {
                tls.conn.send_close_notify();
                _ = tls.flush();
            }
            false
        }
        Step::Reset => {
            _ = rustix::net::sockopt::set_socket_linger(stream.tcp(), Some(Duration::ZERO));
            false
        }
        Step::Stall => false,
    }
}

/// The id, and the length of the good body, where they are asked for.
fn filled(text: &[u8], id: &str) -> Vec<u8> {
    if bytes::find(text, b"@").is_none() {
        return text.to_vec();
    }
    let length = (BODY.len() - "@ID@".len() + id.len()).to_string();
    let text = String::from_utf8(text.to_vec()).expect("a script in UTF-8");
    text.replace("@ID@", id).replace("@LENGTH@", &length).into_bytes()
}
