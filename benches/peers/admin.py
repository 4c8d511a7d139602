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
import http.client
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab import Lab, end_on_sigterm, require  # noqa: E402
from sidecar import Paced, Sidecar, write_list  # noqa: E402
from workload import Caller, by_body, secret_from  # noqa: E402

SECONDS = 5
PAUSE = 0.02
CALLER = "svc-050000"


class Door:
    """The admin API and the page of a sidecar."""

    def __init__(self, sidecar: Sidecar):
        self.sidecar, self.port, self.ask = sidecar, sidecar.admin, sidecar.ask

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
        names = [f"svc-{n:06d}" for n in range(options.clients)]
        listed = write_list(lab, "clients.toml", names, 1, {CALLER})
        sidecar = Sidecar(lab, options.binary, backend, listed, admin=True, cpus={0, 1})
        door, paced = Door(sidecar), Paced(lab)
        os.sched_setaffinity(0, {0, 1})
        door.log_in()
        deep = f"/api/v1/clients?limit=100&after=svc-{options.clients - 101:06d}"
        for path in ["/api/v1/clients?limit=100", deep, "/api/v1/clients/svc-050000", "/api/v1/status",
                     "/", "/?page=2000", "/client?id=svc-050000", "/?q=svc-0500", "/?attention=1"]:
            took = [door.took(path) for _ in range(30)]
            print(json.dumps({"ms": path, "median": round(statistics.median(took), 2), "most": round(max(took), 2)}), flush=True)

        aside, asking = Caller(backend), by_body("aside", "aside")
        nothing = lambda: aside.ask(asking)  # noqa: E731
        token = [by_body(CALLER, secret_from(f"{CALLER} 0"))]
        measure = lambda: paced.run(sidecar.port, options.rate, SECONDS, token)["p99"]  # noqa: E731
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
