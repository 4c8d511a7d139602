//! `relatch demo`: prints what there is to try, and runs until Ctrl-C.

use std::path::Path;
use std::sync::Arc;

use super::{Bound, Launch, Next, setup};
use crate::demo::{self, DemoClient, Scratch, server};
use crate::domain::clock::Clock;
use crate::hash;
use crate::reload;
use crate::tls::links::Links;

/// Starts the built-in server and the proxy in front of it.
pub fn run() -> anyhow::Result<Next> {
    let clients = demo::clients()?;
    let known = clients.iter().map(|client| (client.id.to_string(), hash::of(&client.upstream))).collect();
    let server = server::start(known)?;
    let clock = Arc::new(Clock::start());
    let scratch = Scratch::with(&clients, &clock)?;
    let settings = match demo::settings(server, &scratch, &setup::environment()) {
        Ok(settings) => settings,
        Err(errors) => return Ok(Next::Exit(setup::refuse(&errors))),
    };
    let remotes = match setup::remotes(&settings, Path::new("demo")) {
        Ok(remotes) => remotes,
        Err(errors) => return Ok(Next::Exit(setup::refuse(&errors))),
    };
    let loaded = match reload::load(&settings, &clock) {
        Ok(loaded) => loaded,
        Err(errors) => return Ok(Next::Exit(setup::refuse(&errors))),
    };
    let socket = settings.admin.socket.clone();
    let path = settings.endpoints.first().map_or("/oauth/token", |endpoint| endpoint.path.as_str()).to_owned();
    let announce = Box::new(move |bound: &Bound| {
        // What cannot be shown is in the metrics all the same.
        let _closed = super::say(&banner(bound, &path, &clients, socket.as_deref()));
    });
    Ok(Next::Serve(Box::new(Launch {
        remotes,
        settings,
        loaded,
        links: Links::default(),
        clock,
        warnings: Vec::new(),
        origin: None,
        announce: Some(announce),
        scratch: Some(scratch),
    })))
}

/// What is running, and what to type. The secrets are made for this run and shown here alone.
fn banner(bound: &Bound, path: &str, clients: &[DemoClient], socket: Option<&Path>) -> String {
    use std::fmt::Write;
    let mut text = format!("relatch {}  demo: nothing is saved, Ctrl-C ends it\n", env!("CARGO_PKG_VERSION"));
    let proxy = bound.proxy.first().map_or_else(String::new, |address| format!("http://{address}{path}"));
    let _infallible =
        writeln!(text, "  proxy      {proxy}  ->  built-in demo token server, which knows one secret per client");
    if let Some(link) = &bound.dashboard {
        let _infallible = writeln!(text, "  dashboard  {link}   (works once, for 5 minutes)");
    }
    let _infallible = writeln!(text, "  metrics    http://{}/metrics", bound.telemetry);
    let plain = |client: &DemoClient, at: usize| {
        client.secrets.get(at).map(|(_, secret)| secret.expose().escape_ascii().to_string()).unwrap_or_default()
    };
    for client in clients {
        for (at, (name, _)) in client.secrets.iter().enumerate() {
            let _infallible =
                writeln!(text, "  client     {:<10}  secret {name:<4}  {}", client.id.as_str(), plain(client, at));
        }
    }
    if let Some(client) = clients.first() {
        let _infallible =
            writeln!(text, "Both secrets of {} work, and each is told apart in the metrics. Try:", client.id);
        for at in 0..client.secrets.len() {
            let _infallible = writeln!(
                text,
                "  curl -u {}:{} -d grant_type=client_credentials {proxy}",
                client.id,
                plain(client, at)
            );
        }
        let _infallible = writeln!(text, "  curl -s http://{}/metrics | grep last_used", bound.telemetry);
    }
    if let Some(socket) = socket {
        let socket = socket.display();
        let _infallible =
            writeln!(text, "Another link to the dashboard:\n  relatch token login --server unix:{socket}");
    }
    text
}
