#!/usr/bin/env python3
"""What the doors cost with 100,000 clients: how long lists and pages take, and what admin work does to token requests.

Token requests come at a fixed rate (`paced.c`, an open loop) while a caller does one kind of admin work after the other,
and again as soon as it was answered. Each kind is measured in turns with the same seconds in which the same caller asks
the token server instead, since its own work is not the proxy's; the ratio of the two p99 is taken of every pair, and the
median of the pairs is printed. The first kind is that same asking on both sides: what its ratio is away from 1 is noise.
Nothing is pinned: the operating system places the threads as it would anywhere.

Needs gcc.
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
from workload import Caller, by_body, secret_from  # noqa: E402

SECONDS = 5
PAUSE = 0.02


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


def p99(lab: Lab, paced: Path, port: int, rate: int) -> float:
    """Microseconds, of the requests of some seconds, from the moment each was due."""
    request = by_body("svc-050000", secret_from("svc-050000 0"))
    requests = lab.write("requests", f"{len(request)}\n{request.decode()}")
    command = [paced, port, rate, SECONDS, 20, requests]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["not_200"] == 0, measured
    return measured["p99"]


def works(door: Door, clients: int, nothing) -> dict:
    """Each kind of work: asked again and again, it is done once."""
    last = f"svc-{clients - 100:06d}"

    def write() -> None:
        status, body = door.ask("POST", "/api/v1/clients/svc-000007/secrets", {})
        assert status == 201, body[:300]
        made = json.loads(body)["id"]
        status, body = door.ask("POST", f"/api/v1/clients/svc-000007/secrets/{made}/lifecycle/revoke", {"force": True})
        assert status == 200, body[:300]

    return {
        "nothing": nothing,
        "the page": lambda: door.took("/"),
        "pages of clients": lambda: door.took(f"/api/v1/clients?limit=100&after={last}"),
        "one client": lambda: door.took("/api/v1/clients/svc-000007"),
        "status": lambda: door.took("/api/v1/status"),
        "a secret made and revoked": write,
        "reloads": lambda: door.ask("POST", "/-/reload", {}),
    }


def during(work, measure) -> tuple[float, int]:
    """What is measured while the work is done over and over, and how often it was."""
    done, end = 0, threading.Event()

    def go_on() -> None:
        nonlocal done
        while not end.is_set():
            work()
            done += 1
            time.sleep(PAUSE)

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        return measure(), done
    finally:
        end.set()
        worker.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/relatch"))
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=2000, help="token requests per second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--works", default="", help="only these, by the beginnings of their names, with commas")
    options = parser.parse_args()
    require({"gcc": "gcc"})
    end_on_sigterm()
    with Lab(0, 1) as lab:
        backend = lab.start_backend()
        _, port, door = start(lab, options.binary, options.clients, backend)
        paced = lab.compile("paced")
        os.sched_setaffinity(0, {0, 1})
        door.log_in()
        deep = f"/api/v1/clients?limit=100&after=svc-{options.clients - 101:06d}"
        for path in ["/api/v1/clients?limit=100", deep, "/api/v1/clients/svc-050000", "/api/v1/status",
                     "/", "/?page=2000", "/client?id=svc-050000", "/?q=svc-0500", "/?attention=1"]:
            took = [door.took(path) for _ in range(30)]
            print(json.dumps({"ms": path, "median": round(statistics.median(took), 2), "most": round(max(took), 2)}), flush=True)

        aside, asking = Caller(backend), by_body("aside", "aside")
        nothing = lambda: aside.ask(asking)  # noqa: E731
        measure = lambda: p99(lab, paced, port, options.rate)  # noqa: E731
        chosen = tuple(options.works.split(","))
        for name, work in works(door, options.clients, nothing).items():
            if not name.startswith(chosen):
                continue
            pairs = []
            for _ in range(options.rounds):
                without, _ = during(nothing, measure)
                pairs.append((without, *during(work, measure)))
            print(json.dumps({"p99 us beside": name, "without": round(statistics.median(a for a, _, _ in pairs)),
                              "with it": round(statistics.median(b for _, b, _ in pairs)),
                              "ratio": round(statistics.median(b / a for a, b, _ in pairs), 3),
                              "ratios": sorted(round(b / a, 2) for a, b, _ in pairs),
                              "done": [done for *_, done in pairs]}), flush=True)


main()
