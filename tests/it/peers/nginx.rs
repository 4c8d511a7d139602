//! nginx as an upstream over TLS that demands our certificate.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::tls::Ca;
use crate::support::{PATIENCE, poll, upstream};

/// A running one, in the foreground.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Nginx {
    #[track_caller]
    fn start(ca: &Ca, callers: &Ca) -> Self {
        let dir = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
        let (pair, address) = (ca.issue(&["localhost"]), upstream::nobody());
        let files = [("tls.crt", pair.cert.as_str()), ("tls.key", &pair.key), ("callers.pem", callers.pem())];
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let config = format!(
            r#"daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
            events {{}}
            http {{
                access_log off; default_type application/json;
                client_body_temp_path body; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
                server {{
                    listen {address} ssl http2;
                    ssl_certificate tls.crt; ssl_certificate_key tls.key;
                    ssl_client_certificate callers.pem; ssl_verify_client on;
                    location = /token {{
                        add_header X-Seen "$server_protocol $ssl_client_verify";
                        return 200 '{{"access_token":"of-nginx","token_type":"Bearer"}}';
                    }}
                }}
            }}"#
        );
        std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg("nginx.conf").stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("nginx is missing: run tests/peers/install.sh");
        let running = Self { child, address, _dir: dir };
        assert!(poll(PATIENCE, || TcpStream::connect(address).ok()).is_some(), "nginx does not listen");
        running
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that its worker goes with it.
        _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs nginx: make test"]
fn nginx_that_demands_our_certificate_gives_tokens_over_either_protocol() {
    let (ca, callers) = (Ca::new(), Ca::new());
    let nginx = Nginx::start(&ca, &callers);
    let pair = callers.issue(&["relatch"]);
    for (http2, seen) in [(false, "HTTP/1.1 SUCCESS"), (true, "HTTP/2.0 SUCCESS")] {
        let tls = r#"upstream.tls = { ca = "ca.pem", cert = "client.pem", key = "client.key" }"#;
        let sidecar = Sidecar::guard()
            .client("c1", &["right-s3cr3t"])
            .file("ca.pem", ca.pem())
            .file("client.pem", &pair.cert)
            .file("client.key", &pair.key)
            .config(&format!("{tls}\nupstream.http2 = {http2}"))
            .upstream_url(&format!("https://localhost:{}", nginx.address.port()))
            .start();
        for method in [Method::Basic, Method::Post] {
            let reply = token_post(sidecar.proxy(), method, "c1", "right-s3cr3t");
            assert_eq!((reply.status, reply.header("x-seen")), (200, Some(seen)));
            assert_eq!(reply.json()["access_token"], "of-nginx");
        }
    }
    let stranger = Sidecar::guard()
        .client("c1", &["right-s3cr3t"])
        .file("ca.pem", ca.pem())
        .config("upstream.tls.ca = \"ca.pem\"")
        .upstream_url(&format!("https://localhost:{}", nginx.address.port()))
        .start();
    // nginx says it in an answer, over a link that it has agreed to.
    assert_eq!(token_post(stranger.proxy(), Method::Basic, "c1", "right-s3cr3t").status, 400);
}
