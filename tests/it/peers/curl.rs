//! curl, as a shell script uses it: `-u id:secret`, or the credentials in the form.

use std::process::Command;

use serde_json::Value;

use super::caller::{Credentials, Endpoints, Told, Wish};
use crate::support::http::Method;

/// Asks, with a connection of its own as ever.
#[track_caller]
pub(super) fn ask(at: &Endpoints, with: Credentials<'_>, wish: Wish<'_>) -> Told {
    let (url, form) = match wish {
        Wish::Token => (&at.token, vec![("grant_type", "client_credentials")]),
        Wish::Refresh(token) => (&at.token, vec![("grant_type", "refresh_token"), ("refresh_token", token)]),
        Wish::Introspect(token) => (&at.introspection, vec![("token", token)]),
        Wish::Revoke(token) => (&at.revocation, vec![("token", token)]),
    };
    let mut curl = Command::new("curl");
    // Neither a .curlrc nor a proxy of the machine may have a say.
    curl.args([
        "-q",
        "--noproxy",
        "*",
        "--silent",
        "--show-error",
        "--max-time",
        "30",
        "--write-out",
        "\n%{http_code}",
    ]);
    for (name, value) in form {
        curl.args(["-d", &format!("{name}={value}")]);
    }
    match with.method {
        Method::Basic => curl.args(["-u", &format!("{}:{}", with.id, with.secret)]),
        // -d alone sends what it is given; a script that knows its secret encodes it.
        Method::Post => curl
            .args(["--data-urlencode", &format!("client_id={}", with.id)])
            .args(["--data-urlencode", &format!("client_secret={}", with.secret)]),
    };
    let output = curl.arg(url).output().expect("curl is missing: run tests/peers/install.sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let said = |key: &str| body[key].as_str().map(str::to_owned);
    Told {
        status: status.parse().ok().filter(|status| *status != 0),
        error: said("error"),
        detail: Some(format!("{body} {}", String::from_utf8_lossy(&output.stderr))),
        access_token: said("access_token"),
        refresh_token: said("refresh_token"),
        active: body["active"].as_bool(),
    }
}
