#!/usr/bin/env python3
"""How the cost of a token request grows: with clients, with secrets of a client, with connections, with cores, over HTTP/2.

The figure is the proxy's own CPU time per request (all its threads, from /proc/PID/stat), with settings as they are by
default (log, metrics, throttle, state) in replace mode. Of ten secrets of a client two are revoked, as eight may be active.
wrk draws its credentials at random from all secrets of up to 50,000 clients, which are spread over the whole list; one in
ten is wrong. Each row is taken `--rounds` times, in turns with the others of its table; the median is printed, with the
least and the most.

    scale.py                       every table, as Markdown
    scale.py --plot docs/images    and a picture
    scale.py --only clients

Needs gcc, wrk and h2load.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import json
from pathlib import Path

sys.dont_write_bytecode = True

from lab import HERE, Lab, end_on_sigterm, require  # noqa: E402
from plot import plot  # noqa: E402
from sidecar import MOST_ACTIVE, Sidecar, write_list  # noqa: E402
from workload import PATH, secret_from  # noqa: E402

MOST_CALLING = 50_000
SECONDS = 4
# Ten thousand callers that come at once want as many upstream connections first.
WARM_UP = 8


class Case:
    """One relatch under one load."""

    def __init__(self, clients: int = 1000, secrets: int = 2, connections: int = 64, workers: int = 1, streams: int = 0):
        self.clients, self.secrets, self.connections = clients, secrets, connections
        self.workers, self.streams = workers, streams
        self.costs: list[float] = []
        self.rates: list[float] = []

    def start(self, lab: Lab, binary: Path, backend: int) -> None:
        names = [f"svc-{n:07d}" for n in range(self.clients)]
        calling = names[:: max(1, -(-self.clients // MOST_CALLING))]
        secret_file = lab.write("upstream-secret", "what-the-upstream-knows\n")
        upstream = f'[client.upstream]\nsecret_file = "{secret_file}"\n'
        self.list = write_list(lab, f"clients-{id(self)}.toml", names, self.secrets, set(calling), upstream)
        self.credentials = lab.directory / f"credentials-{id(self)}.tsv"
        with open(self.credentials, "w") as out:
            for client in calling:
                for number in range(min(self.secrets, MOST_ACTIVE)):
                    out.write(f"{client}\t{secret_from(f'{client} {number}')}\t{secret_from(f'{client} wrong')}\n")
        self.form = f"grant_type=client_credentials&client_id={calling[0]}&client_secret={secret_from(f'{calling[0]} 0')}"
        cpus = {lab.cpu_proxy, lab.cpu_load} if self.workers > 1 else None
        settings = "[limits]\nmax_connections = 20000\n"
        self.sidecar = Sidecar(lab, binary, backend, self.list, settings=settings, workers=self.workers, cpus=cpus)

    def measure(self, lab: Lab, seconds: float, seed: int) -> None:
        before = self.sidecar.cpu_seconds()
        requests, took = self.h2load(lab, seconds) if self.streams else self.wrk(seconds, seed)
        if seed:
            self.costs.append((self.sidecar.cpu_seconds() - before) * 1e6 / requests)
            self.rates.append(requests / took)

    def wrk(self, seconds: float, seed: int) -> tuple[int, float]:
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds:.0f}s", "--timeout", "20s", "-s", HERE / "load.lua",
                   f"http://127.0.0.1:{self.sidecar.port}{PATH}", "--", "random", self.credentials, seed]
        told = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 90)
        found = re.search(r"^result (.*)$", told.stdout, re.M)
        assert found, told.stdout + told.stderr
        result = json.loads(found[1])
        assert not result["broken"] and result["requests"], result
        return result["requests"], result["microseconds"] / 1e6

    def h2load(self, lab: Lab, seconds: float) -> tuple[int, float]:
        form = lab.write("form", self.form)
        command = ["h2load", "-c", self.connections, "-m", self.streams, "-D", seconds, "--warm-up-time", "0", "-d", form,
                   "-H", "content-type: application/x-www-form-urlencoded", f"http://127.0.0.1:{self.sidecar.port}{PATH}"]
        told = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 60).stdout
        good = int(re.search(r"(\d+) 2xx", told)[1])
        assert good and " 0 failed" in told, told
        return good, seconds

    def row(self) -> dict:
        return {"cost": statistics.median(self.costs), "least": min(self.costs), "most": max(self.costs),
                "rate": statistics.median(self.rates)}


def tables() -> dict[str, dict[str, Case]]:
    return {
        "clients": {f"{n:,}": Case(clients=n, secrets=1) for n in (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)},
        "secrets a client": {str(n): Case(secrets=n) for n in (1, 2, 4, 8, 10)},
        "connections": {f"{n:,}": Case(connections=n) for n in (1, 10, 100, 1000, 10_000)},
        "HTTP/2 connections of 100 streams": {str(n): Case(connections=n, streams=100) for n in (1, 4, 16)},
        "threads": {str(n): Case(workers=n) for n in (1, 2)},
    }


def take(lab: Lab, binary: Path, backend: int, cases: dict[str, Case], rounds: int) -> dict[str, dict]:
    """One after the other where each needs much memory; the seed of a round is its number, and 0 warms up."""
    for case in cases.values():
        case.start(lab, binary, backend)
    for seed in range(rounds + 1):
        for case in cases.values():
            case.measure(lab, SECONDS if seed else WARM_UP, seed)
    rows = {name: case.row() for name, case in cases.items()}
    for case in cases.values():
        case.sidecar.stop()
        case.list.unlink(), case.credentials.unlink()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/relatch"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="tables whose names begin so, with commas")
    parser.add_argument("--plot", type=Path, help="a folder for the picture")
    options = parser.parse_args()
    require({"gcc": "gcc", "wrk": "wrk", "h2load": "nghttp2-client"})
    end_on_sigterm()
    taken = {}
    with Lab(0, 1) as lab:
        backend = lab.start_backend()
        for what, cases in tables().items():
            if not what.startswith(tuple(options.only.split(","))):
                continue
            taken[what] = take(lab, options.binary, backend, cases, options.rounds)
            print(f"\n| {what} | CPU µs a request | least to most | requests/s |\n|---|---|---|---|")
            for name, row in taken[what].items():
                print(f"| {name} | {row['cost']:.1f} | {row['least']:.1f} to {row['most']:.1f} | {row['rate']:,.0f} |", flush=True)
    if options.plot:
        plot(options.plot / "scale.svg", {what: {name: row["cost"] for name, row in rows.items()} for what, rows in taken.items()})


if __name__ == "__main__":
    main()
