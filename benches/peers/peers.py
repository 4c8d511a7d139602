#!/usr/bin/env python3
"""What a token request costs in relatch, beside the proxies that one would run otherwise.

The figure is the proxy's own CPU time per request (user + system, all its threads, from /proc/PID/stat). It says how many
token requests a core can carry, and it stays true when the load generator is the slower side; requests per second only
do so when the proxy's CPU is busy all the time (column `busy`).

Set-up: 1,000 clients with two secrets each, 64 keep-alive connections, a backend that answers at once. Each proxy has one
thread of work on a CPU of its own; wrk and the backend share the other. All proxies are up from start to end; they are
loaded one after another, round after round, each round starting with the next one. Ratios are taken within a round, where
the machine was in one mood, and their median is printed.

Who gets which load:

  relatch       `random`: every request draws one of the 2,000 secrets, and one in ten presents a wrong one (well formed, not
                on the list). relatch runs in replace mode (each client has its own upstream secret), writes its access log to
                a file, counts for /metrics and keeps its state and throttle as they are by default.
  its peers     `one`: the same client and secret all the time, which flatters every cache they have.

A refused request costs relatch no call to the backend, so the CPU time is also divided by the successful answers alone
(`per 2xx`), and relatch is also run with `one`, like for like, and with `basic` (the same by HTTP Basic). All three ratios are
printed; the first is the one that the project promises. So many wrong secrets trip the throttle: soon most refusals are 429
instead of 401, and how many is printed from relatch's own count.

Before the first measurement each proxy must give 200 to a right secret and, where it checks at all, 401 to a wrong one; relatch
must have put the upstream's secret in place of the caller's. During it, every answer is accounted for: as many refusals as
wrong secrets were sent, no broken connections, and from relatch a log line and a counted authentication for each request.

Needs Linux, two CPUs, gcc and wrk, and the peers asked for. Everything stays on the loopback interface.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True

import proxies  # noqa: E402
import report  # noqa: E402
from lab import HERE, Lab, Problem, end_on_sigterm, require  # noqa: E402
from proxies import PROXIES, Proxy, Relatch  # noqa: E402
from workload import PATH, Credential, credentials  # noqa: E402

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WARM_UP_SECONDS = 1
# Long enough for a log writer or a journal to finish what the load left it: that work is the proxy's too.
SETTLE_SECONDS = 0.3
WRONG_SHARE = 0.1


@dataclass(frozen=True)
class Row:
    """One proxy under one load."""

    proxy: Proxy
    load: str

    @property
    def key(self) -> str:
        return f"{self.proxy.name}:{self.load}" if isinstance(self.proxy, Relatch) else self.proxy.name

    def describe(self) -> dict[str, str]:
        return {"row": self.key, "proxy": self.proxy.name, "does": self.proxy.does, "load": self.load}


@dataclass(frozen=True)
class Sample:
    """What one turn of one row gave."""

    requests: int
    refused: int
    wall: float
    user: float
    system: float

    @property
    def cpu(self) -> float:
        return self.user + self.system

    def figures(self) -> dict[str, float]:
        return {
            "cpu_us": self.cpu * 1e6 / self.requests,
            "user_us": self.user * 1e6 / self.requests,
            "system_us": self.system * 1e6 / self.requests,
            "cpu_us_per_2xx": self.cpu * 1e6 / (self.requests - self.refused),
            "requests_per_second": self.requests / self.wall,
            "busy": self.cpu / self.wall,
            "refused": self.refused / self.requests,
        }


def cpu_seconds(pid: int) -> tuple[float, float]:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) / TICKS_PER_SECOND, int(fields[12]) / TICKS_PER_SECOND


class Bench:
    def __init__(self, lab: Lab, options: argparse.Namespace, clients: list[Credential]):
        self.lab, self.connections = lab, options.connections
        self.counted: dict[str, Counter] = {}
        self.list = lab.write("credentials.tsv", "".join(f"{c.client}\t{c.secret}\t{c.wrong}\n" for c in clients))

    def measure(self, row: Row, seconds: int, seed: int) -> Sample:
        """Loads a row for some seconds and holds every answer against what was sent."""
        relatch = row.proxy if isinstance(row.proxy, Relatch) else None
        if relatch:
            relatch.take_log_lines()
            counted_before = relatch.authentications()
        pid = row.proxy.process.pid
        user, system = cpu_seconds(pid)
        result = self.wrk(row, seconds, seed)
        time.sleep(SETTLE_SECONDS)
        user_after, system_after = cpu_seconds(pid)
        wall = result["microseconds"] / 1e6
        sample = Sample(result["requests"], result["refused"], wall, user_after - user, system_after - system)
        self.hold_to_account(row, sample, result)
        if relatch:
            counted = {result: n - counted_before.get(result, 0) for result, n in relatch.authentications().items()}
            self.hold_relatch_to_account(relatch, sample, counted)
            self.counted.setdefault(row.load, Counter()).update(counted)
        return sample

    def wrk(self, row: Row, seconds: int, seed: int) -> dict[str, int]:
        url = f"http://127.0.0.1:{row.proxy.port}{PATH}"
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", HERE / "load.lua", url]
        command += ["--", row.load, self.list, seed]
        # The parent is on the load's CPU already, and a child stays where its parent is.
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 30)
        for line in ran.stdout.splitlines():
            if line.startswith("result "):
                return json.loads(line.removeprefix("result "))
        raise Problem(f"wrk gave no result against {row.key}:\n{ran.stdout}{ran.stderr}")

    def hold_to_account(self, row: Row, sample: Sample, result: dict[str, int]) -> None:
        # wrk stops in the middle of things: one request per connection may be under way, and it makes one to try its script.
        slack = self.connections + 1
        due = result["wrong_sent"] if row.proxy.checks else 0
        if not sample.requests:
            raise Problem(f"{row.key}: no answer at all")
        if result["broken"]:
            raise Problem(f"{row.key}: {result['broken']} connections broke or timed out")
        if abs(sample.refused - due) > slack:
            raise Problem(f"{row.key}: {sample.refused} of {sample.requests} answers were refusals, {due} were due")
        if row.load == "random" and abs(sample.refused / sample.requests - WRONG_SHARE) > 0.02:
            raise Problem(f"{row.key}: {sample.refused} refusals in {sample.requests} answers are not about {WRONG_SHARE:.0%}")

    def hold_relatch_to_account(self, relatch: Relatch, sample: Sample, counted: dict[str, int]) -> None:
        slack = self.connections + 1
        failures = sum(counted.values()) - counted["success"]
        if abs(counted["success"] - (sample.requests - sample.refused)) > slack or abs(failures - sample.refused) > slack:
            raise Problem(f"relatch's /metrics tells of {counted}, its callers of {sample}")
        lines = relatch.take_log_lines()
        if lines < sample.requests:
            raise Problem(f"relatch wrote {lines} log lines for {sample.requests} requests: the log is part of the work")

    def shares_counted(self) -> dict[str, dict[str, float]]:
        """By relatch's own account: for each load, the share of each result. Tells a 401 from a 429, which wrk cannot."""

        def shares(counts: Counter) -> dict[str, float]:
            return {result: n / counts.total() for result, n in counts.most_common() if n}

        return {load: shares(counts) for load, counts in self.counted.items()}


def take_rounds(bench: Bench, rows: list[Row], options: argparse.Namespace) -> dict[str, list[dict]]:
    taken: dict[str, list[dict]] = {row.key: [] for row in rows}
    for row in rows:
        bench.measure(row, WARM_UP_SECONDS, seed=0)
    for number in range(options.rounds):
        first = number % len(rows)
        for row in rows[first:] + rows[:first]:
            progress(f"round {number + 1} of {options.rounds}: {row.key}")
            taken[row.key].append(bench.measure(row, options.seconds, seed=number + 1).figures())
    progress("")
    return taken


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def describe(options: argparse.Namespace, used: list[Proxy]) -> dict:
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    versions = {proxy.name: proxy.version() for proxy in used if proxy.version()}
    return {
        "machine": f"{models[0] if models else platform.machine()}, {len(models) or os.cpu_count()} cores, Linux {kernel}",
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "versions": versions,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": options.connections,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relatch", type=Path, default=Relatch.binary, help="the release binary (default: %(default)s)")
    parser.add_argument("--peers", default=",".join(PROXIES), help="who takes part (default: %(default)s)")
    parser.add_argument("--loads", default=",".join(Relatch.loads), help="relatch's loads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of load per row and round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--cpu-proxy", type=int, default=0)
    parser.add_argument("--cpu-load", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="everything, each round too")
    parser.add_argument("--markdown", action="store_true", help="the table of the README")
    options = parser.parse_args()
    if min(options.rounds, options.seconds, options.connections) < 1:
        parser.error("--rounds, --seconds and --connections are at least 1")
    if not set(options.loads.split(",")) <= set(Relatch.loads):
        parser.error(f"--loads takes some of {','.join(Relatch.loads)}")
    Relatch.binary = options.relatch
    Relatch.loads = tuple(load for load in Relatch.loads if load in options.loads.split(","))
    return options


def run(options: argparse.Namespace) -> dict:
    classes = proxies.chosen(options.peers)
    needed = {"gcc": "gcc", "wrk": "wrk"}
    for each in classes:
        needed |= each.needs
    require(needed)
    if os.getloadavg()[0] > 0.7:
        print(f"note: the machine is busy (load {os.getloadavg()[0]:.1f}) and the figures will show it", file=sys.stderr)
    clients = credentials()
    with Lab(options.cpu_proxy, options.cpu_load) as lab:
        backend = lab.start_backend()
        used = [each(lab, backend, clients) for each in classes]
        for proxy in used:
            proxy.start()
            proxy.verify()
        rows = [Row(proxy, load) for proxy in used for load in proxy.loads]
        bench = Bench(lab, options, clients)
        taken = take_rounds(bench, rows, options)
        return describe(options, used) | report.summarise([row.describe() for row in rows], taken) | {"relatch_counted": bench.shares_counted()}


def main() -> int:
    options = arguments()
    end_on_sigterm()
    try:
        measured = run(options)
    except Problem as problem:
        print(f"peers.py: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(measured, indent=1))
    elif options.markdown:
        print(report.as_markdown(measured))
    else:
        print(report.as_text(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
