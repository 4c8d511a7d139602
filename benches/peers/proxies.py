"""The proxies that are measured, one small class each: how to configure it, how to start it, how to know that it works.

What they have in common: one thread of work, keep-alive on both sides with no limit on requests per connection, no access
log except for relatch. A peer that only relays must let a wrong secret through; one that checks must refuse it with 401.
"""

import base64
import re
import subprocess
from pathlib import Path

from lab import Lab, Problem, fetch, free_port
from workload import PATH, Caller, Credential, by_basic, by_body

NJS_MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"


class Proxy:
    """What `peers.py` and `instructions.py` ask of a peer."""

    name: str
    does: str
    checks = False
    loads = ("one",)
    needs: dict[str, str] = {}

    def __init__(self, lab: Lab, backend: int, clients: list[Credential]):
        self.lab, self.backend, self.clients = lab, backend, clients
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    def command(self) -> list:
        """Writes what the proxy reads and returns what starts it."""
        raise NotImplementedError

    def version(self) -> str:
        return ""

    def start(self, under: list = (), patience: float = 10) -> None:
        """`under` is a command that runs the proxy, such as valgrind."""
        self.process = self.lab.spawn(self.name, [*under, *self.command()], self.lab.cpu_proxy)
        self.lab.wait_for_port(self.port, self.process, self.name, patience)

    def stop(self) -> None:
        self.lab.stop(self.process, patience=60)

    def verify(self) -> None:
        """One right and one wrong request for each secret of a client, and a look at what arrives upstream."""
        for one in self.clients[:2]:
            self.expect(200, by_body(one.client, one.secret), b"access_token")
            if self.checks:
                self.expect(401, by_body(one.client, one.wrong), b"invalid_client")
            else:
                self.expect(200, by_body(one.client, one.wrong), b"access_token")
            self.expect(200, by_body(one.client, one.secret, scope="echo"), one.secret.encode())

    def expect(self, status: int, request: bytes, within: bytes, without: bytes | None = None) -> None:
        with Caller(self.port) as caller:
            got, body = caller.ask(request)
        if got != status or within not in body or (without and without in body):
            raise Problem(f"{self.name} is not set up right: {status} with {within!r} was due, {got} came:\n{body!r}")


class Relay(Proxy):
    name, does = "relay", "copies bytes (the floor)"

    def command(self) -> list:
        return [self.lab.compile("relay"), self.port, self.backend]


class Nginx(Proxy):
    name, does = "nginx", "plain relay"
    needs = {"nginx": "nginx"}
    modules = ""
    to_upstream = 'proxy_pass http://tokens; proxy_http_version 1.1; proxy_set_header Connection "";'

    def http(self) -> str:
        """Settings of the http block beside the server."""
        return ""

    def locations(self) -> str:
        return f"location = {PATH} {{ {self.to_upstream} }}"

    def command(self) -> list:
        own = f"{self.lab.directory}/{self.name}"
        scratch = "\n".join(f"    {use}_temp_path {own}-{use};" for use in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return ["nginx", "-p", self.lab.directory, "-e", f"{own}.err", "-c", self.lab.write(f"{self.name}.conf", f"""
{self.modules}
daemon off;
master_process off;
worker_processes 1;
pid {own}.pid;
error_log {own}.err warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
{scratch}
    keepalive_requests 1000000000;
    {self.http()}
    upstream tokens {{
        server 127.0.0.1:{self.backend};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{self.port} backlog=1024;
        {self.locations()}
    }}
}}
""")]

    def version(self) -> str:
        return first_version(["nginx", "-v"])


class NginxAuth(Nginx):
    """njs reads the form, hashes the secret and compares with both digests of the client, then hands the request on."""

    name, does, checks = "nginx-auth", "checks secrets, with njs", True
    needs = {"nginx": "nginx", NJS_MODULE: "libnginx-mod-http-js"}
    modules = f"load_module {NJS_MODULE};"
    script = """
import crypto from 'crypto';
import querystring from 'querystring';

function same(a, b) {
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
    return difference === 0;
}

function known(form) {
    const records = registry[form.client_id];
    const presented = crypto.createHash('sha256').update(form.client_secret || '').digest('hex');
    let found = false;
    if (records) for (let i = 0; i < records.length; i++) found = same(presented, records[i]) || found;
    return found;
}

function answer(r) {
    if (known(querystring.parse(r.requestText))) return r.internalRedirect('@tokens');
    r.headersOut['Content-Type'] = 'application/json';
    r.return(401, '{"error":"invalid_client"}');
}

export default { answer };
"""

    def http(self) -> str:
        digests: dict[str, list[str]] = {}
        for one in self.clients:
            digests.setdefault(one.client, []).append(f'"{one.sha256().hex()}"')
        entries = ",".join(f'"{client}":[{",".join(of)}]' for client, of in digests.items())
        registry = self.lab.write("registry.json", f"{{{entries}}}")
        self.lab.write("guard.js", self.script)
        return (
            f"js_path {self.lab.directory}; js_import guard from guard.js; js_preload_object registry from {registry};"
            " client_body_buffer_size 16k; client_body_in_single_buffer on;"
        )

    def locations(self) -> str:
        return (
            f"location = {PATH} {{ js_content guard.answer; }}"
            f" location @tokens {{ rewrite ^ {PATH} break; {self.to_upstream} }}"
        )


class Haproxy(Proxy):
    name, does = "haproxy", "plain relay"
    needs = {"haproxy": "haproxy"}

    def rules(self) -> str:
        return ""

    def command(self) -> list:
        return ["haproxy", "-db", "-q", "-f", self.lab.write(f"{self.name}.cfg", f"""
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend callers
    bind 127.0.0.1:{self.port}
{self.rules()}
    default_backend tokens
backend tokens
    server upstream 127.0.0.1:{self.backend} pool-max-conn 512
""")]

    def version(self) -> str:
        return first_version(["haproxy", "-v"])


class HaproxyAuth(Haproxy):
    """The form's parameters, a SHA-256 and a look-up of `client:digest` in a tree: HAProxy's own words, no Lua.

    It does less than relatch: no comparison in constant time, one reading of the form, no account of which secret was used,
    no other secret put in its place.
    """

    name, does, checks = "haproxy-auth", "checks secrets", True

    def rules(self) -> str:
        lines = (f"{one.client}:{one.sha256().hex().upper()}" for one in self.clients)
        proofs = self.lab.write("proofs.txt", "\n".join(lines) + "\n")
        return f"""
    option http-buffer-request
    http-request set-var(txn.digest) req.body_param(client_secret),url_dec(1),sha2(256),hex
    http-request set-var(txn.proof) req.body_param(client_id),url_dec(1),concat(:,txn.digest)
    acl proved var(txn.proof) -m str -f {proofs}
    http-request return status 401 content-type application/json string '{{"error":"invalid_client"}}' if !proved
"""


class Relatch(Proxy):
    """relatch as it would run: every client in replace mode with an upstream secret of its own, access log to a file,
    metrics served, state journal and throttle as they are by default. One worker, since it is given one CPU."""

    name, does, checks = "relatch", "checks secrets, replaces them, logs, counts", True
    loads = ("random", "one", "basic")
    binary = Path("target/release/relatch")

    def __init__(self, lab: Lab, backend: int, clients: list[Credential]):
        super().__init__(lab, backend, clients)
        self.telemetry = free_port()

    def command(self) -> list:
        self.lab.write("clients.toml", self.client_list())
        config = self.lab.write("relatch.toml", f"""
[proxy]
listen = "127.0.0.1:{self.port}"
workers = 1
[upstream]
url = "http://127.0.0.1:{self.backend}"
[clients]
path = "clients.toml"
[telemetry]
listen = "127.0.0.1:{self.telemetry}"
[log]
access = true
""")
        return [self.binary.resolve(), "run", "--config", config]

    def client_list(self) -> str:
        lines = []
        for one in self.clients:
            if one.number == 0:
                secret_file = self.lab.write(f"upstream-secrets/{one.client}", self.upstream_secret(one) + "\n")
                lines += ["[[client]]", f'id = "{one.client}"', "[client.upstream]", f'secret_file = "{secret_file}"']
            digest = base64.urlsafe_b64encode(one.sha256()).rstrip(b"=").decode()
            lines += [
                "[[client.secret]]",
                f'id = "sec_{one.client[4:]}{one.number}"',
                f'hash = "$sha256${digest}"',
                f'hint = "{one.secret[-4:]}"',
                f'created = "2025-0{one.number + 1}-01T00:00:00Z"',
            ]
        clients = len({one.client for one in self.clients})
        lines += ["[end]", f"clients = {clients}", f"secrets = {len(self.clients)}"]
        return "\n".join(lines) + "\n"

    @staticmethod
    def upstream_secret(one: Credential) -> str:
        return f"what-the-upstream-knows-of-{one.client}"

    def start(self, under: list = (), patience: float = 10) -> None:
        super().start(under, patience)
        self.lab.wait_for_ok(f"http://127.0.0.1:{self.telemetry}/readyz", self.process, self.name, patience)

    def verify(self) -> None:
        for one in self.clients[:2]:
            ours, theirs = self.upstream_secret(one).encode(), one.secret.encode()
            self.expect(200, by_body(one.client, one.secret), b"access_token")
            self.expect(200, by_basic(one.client, one.secret), b"access_token")
            self.expect(401, by_body(one.client, one.wrong), b"invalid_client")
            self.expect(401, by_basic(one.client, one.wrong), b"invalid_client")
            self.expect(200, by_body(one.client, one.secret, scope="echo"), within=ours, without=theirs)
            in_header = base64.b64encode(one.client.encode() + b":" + ours)
            self.expect(200, by_basic(one.client, one.secret, scope="echo"), within=in_header)
        if self.authentications().get("success", 0) < 8:
            raise Problem("relatch does not count its authentications on /metrics")

    def authentications(self) -> dict[str, int]:
        """How many requests ended in which result, by relatch's own account."""
        sample = re.compile(r'^relatch_client_authentications_total\{.*?result="(\w+)".*?\} (\S+)', re.MULTILINE)
        results: dict[str, int] = {}
        for result, value in sample.findall(fetch(f"http://127.0.0.1:{self.telemetry}/metrics")):
            results[result] = results.get(result, 0) + int(float(value))
        return results

    def take_log_lines(self) -> int:
        """Counts the lines of the log and empties it, so that a long run does not fill the disk."""
        log = self.lab.log_of(self.name)
        with open(log, "rb") as lines:
            count = sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))
        with open(log, "r+b") as lines:
            lines.truncate(0)
        return count

    def version(self) -> str:
        return first_version([self.binary.resolve(), "version"])


def first_version(command: list) -> str:
    """`1.22.1` out of whatever a program says when it is asked; version strings go to either stream."""
    said = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=10)
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return found.group() if found else "?"


PROXIES = {proxy.name: proxy for proxy in (Relatch, Relay, Nginx, Haproxy, HaproxyAuth, NginxAuth)}


def chosen(names: str) -> list[type[Proxy]]:
    """The classes for a list such as `relatch,nginx`, with what they need at hand."""
    wanted = [name for name in names.split(",") if name]
    unknown = [name for name in wanted if name not in PROXIES]
    if unknown or not wanted:
        raise Problem(f"--peers takes some of {','.join(PROXIES)}; not {','.join(unknown) or 'none'}")
    if "relatch" in wanted and not Relatch.binary.is_file():
        raise Problem(f"no relatch at {Relatch.binary}: cargo build --release, or name it with --relatch")
    return [PROXIES[name] for name in wanted]
