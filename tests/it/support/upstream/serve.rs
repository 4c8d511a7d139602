//! The upstream's threads: one that accepts, one for each connection.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::tls::Stream;
use super::{Answer, Seen, Shared};

/// Accepts until the owner stops it.
pub(super) fn accept(listener: TcpListener, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if shared.stopped.load(Ordering::Relaxed) {
                return;
            }
            let connection = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(&shared, shared.security.secure(stream), connection));
        }
    });
}

/// Reads requests and answers them until either side ends the connection.
fn serve(shared: &Shared, mut stream: Stream, connection: usize) {
    _ = stream.tcp().set_nodelay(true);
    let mut buffer = Vec::new();
    loop {
        let Some(mut seen) = read_request(&mut stream, &mut buffer) else {
            if !buffer.is_empty() {
                shared.fragments.lock().unwrap().push(buffer);
            }
            return;
        };
        let seen = {
            let mut journal = shared.journal.lock().unwrap();
            seen.number = journal.len() + 1;
            seen.connection = connection;
            let seen = Arc::new(seen);
            journal.push(Arc::clone(&seen));
            // Under the journal's lock, so that reports keep its order.
            _ = shared.reports.lock().unwrap().send(Arc::clone(&seen));
            seen
        };
        let script = Arc::clone(&shared.script.lock().unwrap());
        let goes_on = deliver(&mut stream, script(&seen));
        // Where a request ends is not certain after a violation of its framing.
        if !goes_on || !seen.violations.is_empty() {
            return;
        }
    }
}

fn read_request(stream: &mut Stream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(seen) = Seen::cut(buffer) {
            return Some(seen);
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

/// Carries the answer out. True if the connection goes on after it.
fn deliver(stream: &mut Stream, answer: Answer) -> bool {
    match answer {
        Answer::Raw(bytes) => stream.write_all(&bytes).is_ok(),
        Answer::RawThenClose(bytes) => {
            _ = stream.write_all(&bytes);
            false
        }
        Answer::Drip(bytes, pause) => bytes.iter().all(|byte| {
            std::thread::sleep(pause);
            stream.write_all(&[*byte]).is_ok()
        }),
        Answer::HalfThenClose(whole) => {
            let (head, body) = written(*whole);
            _ = stream.write_all(&head).and_then(|()| stream.write_all(&body[..body.len() / 2]));
            false
        }
        Answer::Stall(gate, then) => {
            gate.wait();
            deliver(stream, *then)
        }
        Answer::Silence => {
            // Until the proxy gives up: its end, or more bytes, which would be a second request.
            _ = stream.read(&mut [0]);
            false
        }
        Answer::Close => false,
        Answer::Reset => {
            // With no time to linger, the close that follows sends RST in place of FIN.
            _ = rustix::net::sockopt::set_socket_linger(stream.tcp(), Some(Duration::ZERO));
            false
        }
        fixed @ Answer::Fixed { .. } => {
            let (head, body) = written(fixed);
            stream.write_all(&[head, body].concat()).is_ok()
        }
    }
}

/// Head and body of a `Fixed` answer as bytes; of any other nothing.
fn written(answer: Answer) -> (Vec<u8>, Vec<u8>) {
    let Answer::Fixed { status, headers, body } = answer else {
        return (Vec::new(), Vec::new());
    };
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    (head.into_bytes(), body)
}
