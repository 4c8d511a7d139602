#!/usr/bin/env python3
"""What the doors cost with 100,000 clients: how long lists and pages take, and what admin work does to token requests.

Token requests come at a fixed rate (h2load, HTTP/1.1, an open loop) while one kind of admin work after the other is done by a
caller that asks again as soon as it was answered. Each kind is measured in turns with the same seconds without it, and the
ratio of the two p99 is taken of every pair; the median of the pairs is printed. Nothing is pinned: the operating system
places the threads as it would anywhere.

Needs h2load and gcc.
"""

import argparse
import base64
import hashlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab import Lab, end_on_sigterm, free_port, require  # noqa: E402
from workload import secret_from  # noqa: E402

SECONDS = 5
FORM = "grant_type=client_credentials&client_id=svc-050000&client_secret="


def record(client: str, number: int) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(secret_from(f"{client} {number}").encode()).digest()).rstrip(b"=").decode()
    return f'[[client.secret]]\nid = "sec_{number}"\nhash = "$sha256${digest}"\n'


class Door:
    """The admin API at its address."""

    def __init__(self, port: int, token: str):
        self.port, self.token = port, token

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        status, read = answer.status, answer.read()
        connection.close()
        return status, read

    def log_in(self) -> None:
        """As a browser does it: by a link that works once."""
        status, body = self.ask("POST", "/api/v1/login-links")
        assert status == 201, body
        code, host = json.loads(body)["path"].split("code=")[1], f"127.0.0.1:{self.port}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Origin": f"http://{host}", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login", f"code={code}", headers)
        answer = connection.getresponse()
        assert answer.status == 303, answer.read()
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        connection.close()

    def page(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        status, read = answer.status, answer.read()
        connection.close()
        return status, read

    def took(self, path: str) -> float:
        """Milliseconds for an answer of 200, of the API or of the page."""
        begin = time.perf_counter()
        status, body = self.ask("GET", path) if path.startswith("/api/") else self.page(path)
        assert status == 200, (path, status, body[:300])
        return (time.perf_counter() - begin) * 1e3


def start(lab: Lab, binary: Path, clients: int, backend: int) -> tuple[subprocess.Popen, int, Door]:
    port, telemetry, admin = free_port(), free_port(), free_port()
    names = [f"svc-{n:06d}" for n in range(clients)]
    lab.write("clients.toml", "".join(f'[[client]]\nid = "{name}"\n{record(name, 0)}' for name in names))
    config = lab.write("relatch.toml", f"""[proxy]
listen = "127.0.0.1:{port}"
[upstream]
url = "http://127.0.0.1:{backend}"
[clients]
path = "clients.toml"
[telemetry]
listen = "127.0.0.1:{telemetry}"
[admin]
listen = ["unix:relatch.sock", "127.0.0.1:{admin}"]
""")
    made = subprocess.run([binary.resolve(), "--config", config, "token", "add", "bench", "--scope", "admin", "-q"],
                          capture_output=True, text=True, check=True, timeout=60)
    process = lab.spawn("relatch", [binary.resolve(), "run", "--config", config], lab.cpu_proxy)
    os.sched_setaffinity(process.pid, {lab.cpu_proxy, lab.cpu_load})
    lab.wait_for_ok(f"http://127.0.0.1:{telemetry}/readyz", process, "relatch", 60)
    return process, port, Door(admin, made.stdout.strip())


def p99(lab: Lab, port: int, rate: int) -> float:
    """Microseconds, of the requests of some seconds."""
    log, connections = lab.directory / "h2load.log", 20
    form = lab.write("form", FORM + secret_from("svc-050000 0"))
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-c", connections, "--rps", rate / connections, "-D", SECONDS, "--warm-up-time", "0", "-d", form,
               "-H", "content-type: application/x-www-form-urlencoded", "--log-file", log,
               f"http://127.0.0.1:{port}/oauth/token"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, cwd=lab.directory)
    took = []
    for line in log.read_text().splitlines():
        _, status, micros = line.split("\t")
        assert status == "200", line
        took.append(int(micros))
    assert len(took) > rate * SECONDS * 0.9, done.stdout + done.stderr
    return statistics.quantiles(took, n=100)[98]


def works(door: Door, clients: int) -> dict:
    """Each kind of work: asked again and again, it is done once."""
    last = f"svc-{clients - 100:06d}"

    def write() -> None:
        status, body = door.ask("POST", "/api/v1/clients/svc-000007/secrets", {})
        assert status == 201, body[:300]
        made = json.loads(body)["id"]
        status, body = door.ask("POST", f"/api/v1/clients/svc-000007/secrets/{made}/lifecycle/revoke", {"force": True})
        assert status == 200, body[:300]

    return {
        "the page": lambda: door.took("/"),
        "pages of clients": lambda: door.took(f"/api/v1/clients?limit=100&after={last}"),
        "one client": lambda: door.took("/api/v1/clients/svc-000007"),
        "status": lambda: door.took("/api/v1/status"),
        "a secret made and revoked": write,
        "reloads": lambda: door.ask("POST", "/-/reload", {}),
    }


def beside(lab: Lab, port: int, rate: int, work) -> tuple[float, float, int]:
    """p99 without and with the work, and how often it was done."""
    alone, done, end = p99(lab, port, rate), 0, threading.Event()

    def go_on() -> None:
        nonlocal done
        while not end.is_set():
            work()
            done += 1
            time.sleep(0.02)

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        return alone, p99(lab, port, rate), done
    finally:
        end.set()
        worker.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/relatch"))
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=1000, help="token requests per second")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    require({"h2load": "nghttp2-client", "gcc": "gcc"})
    end_on_sigterm()
    with Lab(0, 1) as lab:
        _, port, door = start(lab, options.binary, options.clients, lab.start_backend())
        os.sched_setaffinity(0, {0, 1})
        door.log_in()
        deep = f"/api/v1/clients?limit=100&after=svc-{options.clients - 101:06d}"
        for path in ["/api/v1/clients?limit=100", deep, "/api/v1/clients/svc-050000", "/api/v1/status",
                     "/", "/?page=2000", "/client?id=svc-050000", "/?q=svc-0500", "/?attention=1"]:
            took = [door.took(path) for _ in range(30)]
            print(json.dumps({"ms": path, "median": round(statistics.median(took), 2), "most": round(max(took), 2)}), flush=True)
        for name, work in works(door, options.clients).items():
            pairs = [beside(lab, port, options.rate, work) for _ in range(options.rounds)]
            print(json.dumps({"p99 us beside": name, "alone": round(statistics.median(a for a, _, _ in pairs)),
                              "with it": round(statistics.median(b for _, b, _ in pairs)),
                              "ratio": round(statistics.median(b / a for a, b, _ in pairs), 3),
                              "done": [done for *_, done in pairs]}), flush=True)


main()
