#!/usr/bin/env python3
"""What the links of relatch cost: TLS handshakes beside nginx's, HTTP/2 beside HTTP/1.1, a unix socket beside loopback TCP.

As in peers.py the figure is the proxy's own CPU time (all its threads, from /proc/PID/stat), on a CPU of its own; the load
and the backend share the other. Pairs are measured in turns, three rounds, and the median of the ratios is printed.

Needs openssl, nginx, h2load and wrk.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from lab import Lab, end_on_sigterm, free_port, require  # noqa: E402

ROUNDS = 3
TICKS = os.sysconf("SC_CLK_TCK")
SECRET = "rls_" + "a" * 49
FORM = f"grant_type=client_credentials&client_id=c1&client_secret={SECRET}"
LUA = f"""wrk.method = "POST"
wrk.path = "/oauth/token"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.body = "{FORM}"
"""


def cpu_seconds(process: subprocess.Popen) -> float:
    """Of the process and its children: nginx works in one."""
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    total = 0
    for pid in [process.pid, *children]:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def tool(lab: Lab, command: list) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, cwd=lab.directory)
    return done.stdout + done.stderr


def relatch(lab: Lab, binary: Path, name: str, upstream: str, tls: bool) -> tuple[subprocess.Popen, int]:
    port, telemetry = free_port(), free_port()
    digest = base64.urlsafe_b64encode(hashlib.sha256(SECRET.encode()).digest()).rstrip(b"=").decode()
    lab.write(f"{name}/clients.toml", f'[[client]]\nid = "c1"\n[[client.secret]]\nid = "s"\nhash = "$sha256${digest}"\n')
    secured = f'[proxy.tls]\ncert = "{lab.directory}/tls.crt"\nkey = "{lab.directory}/tls.key"\n' if tls else ""
    config = lab.write(f"{name}/relatch.toml", f"""[proxy]
listen = "127.0.0.1:{port}"
workers = 1
{secured}[upstream]
url = "{upstream}"
[clients]
path = "clients.toml"
[telemetry]
listen = "127.0.0.1:{telemetry}"
""")
    process = lab.spawn(name, [binary.resolve(), "run", "--config", config], lab.cpu_proxy)
    lab.wait_for_ok(f"http://127.0.0.1:{telemetry}/readyz", process, name, 10)
    return process, port


def nginx(lab: Lab, name: str, server: str, cpu: int) -> subprocess.Popen:
    config = lab.write(f"{name}.conf", f"""daemon off; worker_processes 1; pid {lab.directory}/{name}.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {lab.directory}/{name}-body;
 server {{ {server} location / {{ default_type application/json; return 200 '{{"access_token":"x","token_type":"Bearer"}}'; }} }} }}
""")
    return lab.spawn(name, ["nginx", "-e", "stderr", "-c", config], cpu)


def handshakes(lab: Lab, binary: Path, backend: int) -> dict:
    """Full TLS 1.3 handshakes (P-256, X25519 as openssl offers it), no request behind them."""
    tool(lab, ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
               "tls.key", "-out", "tls.crt", "-subj", "/CN=localhost", "-days", "30"])
    ours, port = relatch(lab, binary, "relatch-tls", f"http://127.0.0.1:{backend}", True)
    other = free_port()
    theirs = nginx(lab, "nginx-tls", f"listen 127.0.0.1:{other} ssl; ssl_certificate {lab.directory}/tls.crt; "
                   f"ssl_certificate_key {lab.directory}/tls.key; ssl_protocols TLSv1.2 TLSv1.3;", lab.cpu_proxy)
    lab.wait_for_port(other, theirs, "nginx-tls")

    def one(process: subprocess.Popen, at: int) -> float:
        before = cpu_seconds(process)
        told = tool(lab, ["openssl", "s_time", "-new", "-tls1_3", "-connect", f"127.0.0.1:{at}", "-time", "4"])
        count = int(re.findall(r"^(\d+) connections in .* real seconds", told, re.M)[-1])
        return count / (cpu_seconds(process) - before)

    pairs = [(one(ours, port), one(theirs, other)) for _ in range(ROUNDS)]
    lab.stop(ours), lab.stop(theirs)
    return {"what": "TLS 1.3 handshakes per CPU second: relatch, nginx, ratio", "rounds": pairs,
            "figures": [*map(statistics.median, zip(*pairs)), statistics.median(a / b for a, b in pairs)]}


def h2load(lab: Lab, process: subprocess.Popen, arguments: list, url: str) -> tuple[float, float]:
    """Requests per second, and CPU microseconds per request."""
    before = cpu_seconds(process)
    told = tool(lab, ["h2load", "-n", "120000", *arguments, "-d", lab.directory / "form", "-H",
                      "content-type: application/x-www-form-urlencoded", url])
    assert "120000 succeeded, 0 failed" in told and "120000 2xx" in told, told
    return float(re.search(r"([\d.]+) req/s", told)[1]), (cpu_seconds(process) - before) / 0.12


def protocols(lab: Lab, binary: Path, backend: int) -> dict:
    """A hundred requests at once: as streams of one connection, and on a hundred connections of HTTP/1.1; and one by one."""
    lab.write("form", FORM)
    process, port = relatch(lab, binary, "relatch-h2", f"http://127.0.0.1:{backend}", False)
    url = f"http://127.0.0.1:{port}/oauth/token"
    rounds = []
    for _ in range(ROUNDS):
        rounds.append([*h2load(lab, process, ["-c", "1", "-m", "100"], url),
                       *h2load(lab, process, ["--h1", "-c", "100"], url), *h2load(lab, process, ["--h1", "-c", "1"], url)])
    lab.stop(process)
    medians = [statistics.median(column) for column in zip(*rounds)]
    return {"what": "requests/s and CPU us a request: h2 1x100, h1 100x1, h1 1x1; ratios of requests/s h2 to either h1",
            "rounds": rounds, "figures": [*medians, statistics.median(r[0] / r[2] for r in rounds),
                                          statistics.median(r[0] / r[4] for r in rounds)]}


def sockets(lab: Lab, binary: Path, _: int) -> dict:
    """The same backend behind a unix socket and behind loopback TCP."""
    script, port = lab.write("load.lua", LUA), free_port()
    server = nginx(lab, "backend-both", f"listen 127.0.0.1:{port}; listen unix:{lab.directory}/as.sock;", lab.cpu_load)
    lab.wait_for_port(port, server, "backend-both")
    both = [relatch(lab, binary, "relatch-unix", f"unix:{lab.directory}/as.sock", False),
            relatch(lab, binary, "relatch-tcp", f"http://127.0.0.1:{port}", False)]

    def one(process: subprocess.Popen, at: int) -> float:
        before = cpu_seconds(process)
        told = tool(lab, ["wrk", "-t", "1", "-c", "64", "-d", "5s", "-s", script, f"http://127.0.0.1:{at}"])
        assert "Non-2xx" not in told and "Socket errors" not in told, told
        return (cpu_seconds(process) - before) / int(re.search(r"(\d+) requests in", told)[1]) * 1e6

    pairs = [tuple(one(*each) for each in both) for _ in range(ROUNDS)]
    return {"what": "CPU us a request: unix-socket upstream, loopback TCP, ratio", "rounds": pairs,
            "figures": [*map(statistics.median, zip(*pairs)), statistics.median(a / b for a, b in pairs)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/relatch"))
    parser.add_argument("--cpu-proxy", type=int, default=0)
    parser.add_argument("--cpu-load", type=int, default=1)
    arguments = parser.parse_args()
    require({"openssl": "openssl", "nginx": "nginx", "h2load": "nghttp2-client", "wrk": "wrk", "gcc": "gcc"})
    end_on_sigterm()
    with Lab(arguments.cpu_proxy, arguments.cpu_load) as lab:
        backend = lab.start_backend()
        for measure in (handshakes, protocols, sockets):
            print(json.dumps(measure(lab, arguments.binary, backend)), flush=True)


main()
