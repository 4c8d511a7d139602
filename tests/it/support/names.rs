//! A name server that takes every question and answers none.

use std::net::UdpSocket;
use std::process::Command;

use super::PATIENCE;

/// Listens until it is dropped.
pub(crate) struct Silent {
    socket: UdpSocket,
    script: String,
}

impl Silent {
    /// At an address of this machine that no other test uses; nothing where a test may not play one.
    pub(crate) fn at(address: &str) -> Option<Self> {
        let works = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
        let bound = UdpSocket::bind((address, 53)).ok().filter(|_| works);
        if bound.is_none() {
            eprintln!("skipped: no name server can be played here");
        }
        let script = format!(
            "echo nameserver {address} >resolv && echo options timeout:30 attempts:2 >>resolv && echo hosts: dns >nss && \
             mount --bind resolv /etc/resolv.conf && {{ [ ! -e /etc/nsswitch.conf ] || mount --bind nss /etc/nsswitch.conf; }} && \
             exec \"$@\""
        );
        bound.map(|socket| Self { socket, script })
    }

    /// What runs a command that asks this one, for a minute.
    pub(crate) fn wrapper(&self) -> [&str; 6] {
        ["unshare", "-rm", "sh", "-c", &self.script, "sh"]
    }

    /// Waits until it was asked.
    pub(crate) fn is_asked(&self) {
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.socket.recv(&mut [0; 512]).expect("a question");
    }
}
