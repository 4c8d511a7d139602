#!/usr/bin/env python3
"""Proves the peers without relatch: every client against every server, right and wrong secrets, easy and hard ones.

Some pairs cannot work together directly, because a client and a server read RFC 6749 section 2.3.1 differently. Which ones is known and
written down here (`direct`): a pair that newly fails, or newly works, fails this check. Prints the tables of README.md; needs install.sh.
"""

import base64
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / "target/peers/venv/bin/python"

SERVERS = {"oidc-provider": "servers/oidc-provider.mjs", "authlib": "servers/authlib_server.py"}
CLIENTS = {
    "openid-client": ("clients/openid-client.mjs", {}),
    "oauth4webapi": ("clients/oauth4webapi.mjs", {}),
    "simple-oauth2 strict": ("clients/simple-oauth2.mjs", {"encoding": "strict"}),
    "simple-oauth2 loose": ("clients/simple-oauth2.mjs", {"encoding": "loose"}),
    "authlib": ("clients/authlib_client.py", {}),
    "requests-oauthlib": ("clients/requests_oauthlib_client.py", {}),
}
RAW = ("simple-oauth2 loose", "authlib", "requests-oauthlib")

ID = "my-client_1"
SECRETS = {
    # What most servers generate.
    "plain": "rls_4fK9dQ2mZ7xW",
    # Every printable ASCII character, the space not at an end (a file's ends are trimmed by many), one '%' with no hex digits behind it.
    "hard": "".join(map(chr, [*range(0x40, 0x7F), *range(0x20, 0x40)])),
    # Well-formed as an encoding, of something else: the silent case.
    "trap": "x%41y+z",
    # A space and nothing else unusual.
    "space": "two words",
}


def direct(server, client, method, secret):
    """The status that this pair answers with the right secret when nothing stands between them."""
    if method == "post" or secret == "plain":
        return 200
    if server == "oidc-provider":
        # Form-decodes strictly: a lone '%' is a bad request; what decodes, decodes to another secret.
        return 200 if client not in RAW or secret == "space" else {"hard": 400, "trap": 401}[secret]
    # Authlib percent-decodes leniently and leaves '+' alone: a space that a client wrote as '+' stays '+'.
    if client in RAW:
        return 401 if secret == "trap" else 200
    return 401 if secret in ("hard", "space") else 200


class Peer:
    """A peer process: JSON lines both ways, gone with its stdin."""

    def __init__(self, script):
        runner = "node" if script.endswith(".mjs") else PYTHON
        began = time.monotonic()
        self.process = subprocess.Popen(
            [runner, HERE / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.ready = self.read()
        self.start_up = time.monotonic() - began

    def ask(self, **line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a peer ended early: {self.process.stderr.read()}")
        return json.loads(line)

    def urls(self):
        url = self.ready["url"]
        return {
            "token_url": url + self.ready["token"],
            "introspection_url": url + self.ready["introspection"],
            "revocation_url": url + self.ready["revocation"],
        }

    def end(self):
        self.process.stdin.close()
        return self.process.wait(timeout=5)


class Recorder(ThreadingHTTPServer):
    """Refuses everybody and remembers what came: shows the bytes that a client puts on the wire."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), RecordingHandler)
        self.seen = []
        self.url = f"http://127.0.0.1:{self.server_port}/token"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class RecordingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        self.server.seen.append(base64.b64decode(encoded).decode() if scheme == "Basic" else body)
        refusal = b'{"error":"invalid_client"}'
        self.send_response(401)
        if scheme == "Basic":
            self.send_header("WWW-Authenticate", 'Basic realm="peers", charset="UTF-8"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(refusal)))
        self.end_headers()
        self.wfile.write(refusal)

    def log_message(self, *_):
        pass


failures = []


def check(what, got, want):
    if got != want:
        failures.append(what)
        print(f"FAILED {what}: got {got}, expected {want}")


def matrix(server_name, server, clients):
    """Each client, method and secret: first the right one, then a wrong one."""
    print(f"\n### {server_name}, basic, without relatch\n")
    print("| client | " + " | ".join(SECRETS) + " |\n|---|" + "---|" * len(SECRETS))
    for name, (script, extra) in CLIENTS.items():
        row = []
        for secret_name, secret in SECRETS.items():
            server.ask(cmd="client", client_id=ID, client_secret=secret)
            for method in ("basic", "post"):
                ask = {**server.urls(), **extra, "client_id": ID, "method": method, "grant": "client_credentials"}
                right = clients[script].ask(client_secret=secret, **ask)
                what = f"{name} to {server_name}, {method}, {secret_name}"
                check(what, right["status"], direct(server_name, name, method, secret_name))
                check(f"{what}: token", "access_token" in right, right["status"] == 200)
                if method == "basic":
                    row.append(f"{right['status']}" + ("" if right["ok"] else f" {right['error']}"))
            wrong = clients[script].ask(client_secret="wrong", **{**ask, "method": "basic"})
            check(f"{what}, wrong secret, basic", (wrong["status"], wrong["error"]), (401, "invalid_client"))
            wrong = clients[script].ask(client_secret="wrong", **ask)
            check(f"{what}, wrong secret, post", (wrong["status"], wrong["error"]), (401, "invalid_client"))
        print(f"| {name} | " + " | ".join(row) + " |")


def grants_and_endpoints(server_name, server, clients):
    """Refresh, introspection and revocation, in every client that has them."""
    server.ask(cmd="client", client_id=ID, client_secret=SECRETS["plain"], ttl=60)
    for name, (script, extra) in CLIENTS.items():
        for method in ("basic", "post"):
            what = f"{name} to {server_name}, {method}"
            ask = {**server.urls(), **extra, "client_id": ID, "client_secret": SECRETS["plain"], "method": method}
            seeded = server.ask(cmd="refresh_token", client_id=ID)["refresh_token"]
            fresh = clients[script].ask(grant="refresh_token", refresh_token=seeded, **ask)
            check(f"{what}: refresh", fresh["status"], 200)
            check(f"{what}: lifetime", fresh.get("expires_in"), 60)
            check(f"{what}: rotated", fresh.get("refresh_token") not in (None, seeded), True)
            replay = clients[script].ask(grant="refresh_token", refresh_token=seeded, **ask)
            check(f"{what}: replay", (replay["status"], replay["error"]), (400, "invalid_grant"))

            token = clients[script].ask(grant="client_credentials", **ask)["access_token"]
            introspects = not name.startswith("simple-oauth2")
            if introspects:
                told = clients[script].ask(action="introspect", token=token, **ask)
                check(f"{what}: introspect", (told["status"], told.get("active")), (200, True))
            else:
                told = clients[script].ask(action="introspect", token=token, **ask)
                check(f"{what}: introspect", told["error"], "unsupported")
            revoked = clients[script].ask(action="revoke", token=token, **ask)
            check(f"{what}: revoke", revoked["status"], 200)
            if introspects:
                told = clients[script].ask(action="introspect", token=token, **ask)
                check(f"{what}: introspect after revocation", (told["status"], told.get("active")), (200, False))


def rotation(server_name, server, clients):
    """A server with one secret per client forgets the old one the moment it learns the new one."""
    ask = {**server.urls(), "client_id": ID, "method": "basic", "grant": "client_credentials"}
    client = clients["clients/openid-client.mjs"]
    for old, new in (("one", "two"), ("two", "one")):
        server.ask(cmd="client", client_id=ID, client_secret=new)
        check(f"{server_name}: old secret", client.ask(client_secret=old, **ask)["status"], 401)
        check(f"{server_name}: new secret", client.ask(client_secret=new, **ask)["status"], 200)
    server.ask(cmd="remove", client_id=ID)
    check(f"{server_name}: removed client", client.ask(client_secret="one", **ask)["ok"], False)


def bytes_on_the_wire(clients):
    """What each client sends for the same id and secret."""
    secret = "ocs_a-b.c~d+e%f:g/h= &\"'!*()"
    recorder = Recorder()
    print(f"\n### Bytes for id `{ID}` and secret `{secret}`\n")
    print("| client | basic, before base64 | post |\n|---|---|---|")
    ask = {"token_url": recorder.url, "client_id": ID, "client_secret": secret, "grant": "client_credentials"}
    for name, (script, extra) in CLIENTS.items():
        for method in ("basic", "post"):
            refused = clients[script].ask(**ask, **extra, method=method)
            check(f"{name}: refusal, {method}", (refused["status"], refused["error"]), (401, "invalid_client"))
        basic, post = recorder.seen
        recorder.seen.clear()
        print(f"| {name} | `{basic}` | `{re.search('client_secret=[^&]*', post)[0]}` |")
    with prometheus({"@TOKEN_URL@": recorder.url}, secret):
        wait_for("Prometheus' token requests", lambda: len(recorder.seen) >= 2)
    basic, post = recorder.seen[:2]
    print(f"| Prometheus | `{basic}` | second try: `{re.search('client_secret=[^&]*', post)[0]}` |")
    recorder.shutdown()


class prometheus:
    """Prometheus on the template. Its log, to find its port in, goes to a file."""

    def __init__(self, values, secret):
        self.directory = tempfile.TemporaryDirectory()
        directory = Path(self.directory.name)
        self.target = Peer("prometheus/target.py")
        self.secret_file = directory / "secret"
        self.secret_file.write_text(secret)
        address = self.target.ready["url"].removeprefix("http://")
        values = {"@TELEMETRY@": address, "@TARGET@": address, "@SECRET_FILE@": str(self.secret_file), **values}
        text = (HERE / "prometheus/prometheus.yml").read_text()
        for name, value in values.items():
            text = text.replace(name, value)
        config = directory / "prometheus.yml"
        config.write_text(text)
        subprocess.run(["promtool", "check", "config", config], check=True, capture_output=True)
        self.log = directory / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdout=log,
                stderr=log,
            )

    def __enter__(self):
        return self

    def hits(self):
        return self.target.read()

    def query(self, expression):
        port = re.search(r"Listening on.*address=127\.0\.0\.1:([0-9]+)", self.log.read_text())[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={expression}", timeout=5) as answer:
            return json.load(answer)["data"]["result"]

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.target.process.stdin.close()
        self.target.process.stdout.read()
        self.target.process.wait(timeout=5)
        self.directory.cleanup()


def wait_for(what, condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            failures.append(what)
            return print(f"FAILED {what}: not within {seconds} s")
        time.sleep(0.05)


def prometheus_scrapes(server_name, server):
    """Prometheus fetches a token and shows it to the target; a second secret in the file is taken up without a restart."""
    # Below ten seconds of lifetime Prometheus fetches a token for every scrape.
    server.ask(cmd="client", client_id="prometheus", client_secret=SECRETS["hard"], ttl=5)
    refused = refusals(server)
    with prometheus({"@TOKEN_URL@": server.urls()["token_url"]}, SECRETS["hard"]) as running:
        authorized(running)
        # Where Basic does not get through (Authlib reads '+' as '+'), it goes over to the body, once and for all.
        first_tries = 0 if direct(server_name, "Prometheus", "basic", "hard") == 200 else 1
        check(f"Prometheus with {server_name}: refusals", refusals(server) - refused, first_tries)
        wait_for(f"Prometheus with {server_name}: up", lambda: running.query('up{job="protected"}==1'))
        server.ask(cmd="client", client_id="prometheus", client_secret="another")
        running.secret_file.write_text("another")
        before = authorized(running)
        after = next(token for token in iter(lambda: authorized(running), None) if token != before)
        check(f"Prometheus with {server_name}: new secret", after != before, True)


def refusals(server):
    return server.ask(cmd="stats")["stats"].get("/token", {}).get("401", 0)


def authorized(running):
    """The next token that the target is shown."""
    while True:
        hit = running.hits()
        if hit["authorized"]:
            return hit["token"]


def main():
    missing = [name for name in ("node", "prometheus", "promtool") if not shutil.which(name)]
    if missing or not PYTHON.exists():
        sys.exit("run tests/peers/install.sh first")
    # Nothing here may wait for ever.
    signal.alarm(180)
    began = time.monotonic()
    servers = {name: Peer(script) for name, script in SERVERS.items()}
    clients = {script: Peer(script) for script, _ in CLIENTS.values()}
    for name, server in servers.items():
        matrix(name, server, clients)
    for name, server in servers.items():
        grants_and_endpoints(name, server, clients)
        rotation(name, server, clients)
        prometheus_scrapes(name, server)
    bytes_on_the_wire(clients)
    print("\n### Start-up\n")
    for peer in [*servers.values(), *clients.values()]:
        print(f"{Path(peer.process.args[1]).name}: {peer.start_up * 1000:.0f} ms")
        check(f"{peer.ready['peer']}: ends with its stdin", peer.end(), 0)
    print(f"\n{time.monotonic() - began:.1f} s, {len(failures)} failed")
    sys.exit(bool(failures))


main()
