#!/usr/bin/env python3
"""How many user-space instructions a token request takes: the release binary, over sockets, under callgrind.

A proxy is run twice from start to end and asked over one keep-alive connection, `--base` requests the first time and
`--base + --requests` the second. Start-up, the first request's one-time work and shut-down are in both, so the difference
belongs to the requests alone:

    instructions per request = (I(second) - I(first)) / --requests

Told is what the thread that serves takes; what others do beside it (the log's, the clock's, the list's) is mostly by the
second and not by the request.

That hardly moves from run to run, other than time, so it shows a change of half a per cent. What it does not see is the
kernel, caches and waiting; and one connection wakes the proxy once for each read, where under load one wake-up
serves many: the difference between two builds means more than the difference between two proxies. Valgrind also knows no
SHA instructions, so whoever hashes with them in real life is charged for the long way round.

    instructions.py                                       relatch, all three loads
    instructions.py --peers nginx,haproxy,haproxy-auth    the same of the peers
    instructions.py --loads one --top 40                  the forty functions that a request spends most in
    instructions.py --loads one --budget 50000 --allocations 40   fails where a request takes more

The budget is for CI: it counts SHA-256 as hardware does it (callgrind knows the software only), since the shipped binary
asks the processor. Allocations are calls to the allocator, also per request.

Loads are those of peers.py: `one` (body), `basic`, and `random` (all clients in a shuffled order, every tenth secret wrong).
Needs valgrind and gcc, and the peers asked for.
"""

import argparse
import itertools
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

sys.dont_write_bytecode = True

import proxies  # noqa: E402
from lab import Lab, Problem, end_on_sigterm, require  # noqa: E402
from proxies import PROXIES, Proxy, Relatch  # noqa: E402
from workload import Caller, Credential, by_basic, by_body, credentials  # noqa: E402

# Valgrind starts a program and reads a list of a thousand clients some fifty times more slowly.
START_PATIENCE = 120
EVERY_TENTH = 10
# Time for a proxy to see its caller leave and to wait again. A signal that comes while it is on its way to wait is handled
# before the wait begins, and under valgrind that way is long: nginx would then sleep on.
SETTLE_SECONDS = 0.5
# Calls that grow what was given before are calls too. relatch brings its own allocator; the system's serves its C libraries.
ALLOCATOR = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc",
             "_rjem_malloc", "_rjem_mallocx", "_rjem_calloc", "_rjem_realloc", "_rjem_rallocx"}
# What the thread that serves does more often than any other: a log is written, not sent.
SENDING = {"send", "sendto", "sendmsg", "writev"}
# SHA-256 of up to 55 bytes: what the software takes under callgrind, and about what the instructions of the processor do.
SHA256_IN_SOFTWARE = re.compile(r"sha2::sha256::.*compress|sha256_block_data_order")
SHA256_IN_HARDWARE = 300


def calls(load: str, clients: list[Credential]) -> Iterator[tuple[bytes, bool]]:
    """Requests without end, the same ones each time, and whether the secret in each is right."""
    first = clients[0]
    if load == "one":
        return itertools.repeat((by_body(first.client, first.secret), True))
    if load == "basic":
        return itertools.repeat((by_basic(first.client, first.secret), True))
    return drawn(clients)


def drawn(clients: list[Credential]) -> Iterator[tuple[bytes, bool]]:
    shuffle = random.Random(1)
    for number in itertools.count(1):
        one, right = shuffle.choice(clients), number % EVERY_TENTH != 0
        yield by_body(one.client, one.secret if right else one.wrong), right


class Run:
    """One life of a proxy under callgrind: its total, and its share by function."""

    def __init__(self, lab: Lab, kind: type[Proxy], load: str, clients: list[Credential], backend: int, requests: int):
        self.profile = lab.directory / f"callgrind.{kind.name}.{load}.{requests}"
        proxy = kind(lab, backend, clients)
        # Fair scheduling: else a thread that never waits could keep valgrind's one lock from the others.
        proxy.start(["valgrind", "--tool=callgrind", "--fair-sched=try", "--separate-threads=yes",
                     f"--callgrind-out-file={self.profile}"], START_PATIENCE)
        with Caller(proxy.port, timeout=60) as caller:
            for request, right in itertools.islice(calls(load, clients), requests):
                status, body = caller.ask(request)
                if status != (401 if proxy.checks and not right else 200):
                    raise Problem(f"{kind.name}: {status} to a {'right' if right else 'wrong'} secret: {body!r}")
        time.sleep(SETTLE_SECONDS)
        proxy.stop()
        # One file a thread, and one that holds nothing but says so.
        self.threads = {path.name.rpartition("-")[2]: path.read_text(errors="replace")
                        for path in sorted(lab.directory.glob(f"{self.profile.name}-*"))}
        if not self.threads:
            raise Problem(f"{kind.name} left no profile. It said:\n{lab.log_of(kind.name).read_text(errors='replace')[-2000:]}")

    def totals(self) -> dict[str, int]:
        """By thread."""
        found = {thread: re.search(r"^totals: (\d+)", text, re.MULTILINE) for thread, text in self.threads.items()}
        return {thread: int(match[1]) for thread, match in found.items() if match}

    def calls(self, functions: set[str], thread: str) -> int:
        """How often a thread called these."""
        names: dict[str, str] = {}
        called, count = "", 0
        for line in self.threads.get(thread, "").splitlines():
            if match := re.match(r"c?fn=\((\d+)\)(?: (.+))?$", line):
                names.setdefault(match[1], match[2] or "")
                if line.startswith("cfn="):
                    called = names[match[1]].split("'")[0]
            elif line.startswith("calls=") and called in functions:
                count += int(line[6:].split()[0])
        return count

    def by_function(self, thread: str) -> dict[str, int]:
        told = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", f"{self.profile}-{thread}"],
                              capture_output=True, text=True, timeout=120, check=True).stdout
        line = re.compile(r"^\s*([\d,]+) \([ \d.]+%\)\s+(.+)$", re.MULTILINE)
        share: dict[str, int] = {}
        for count, place in line.findall(told):
            if place != "PROGRAM TOTALS":
                name = function_name(place)
                share[name] = share.get(name, 0) + int(count.replace(",", ""))
        return share


def function_name(place: str) -> str:
    """`file:function [object]` to the function; a recursion's number, a symbol's hash and the object's path say nothing here."""
    name = re.sub(r"\s*\[[^\]]*\]$", "", place).split(":", 1)[-1]
    return re.sub(r"::h[0-9a-f]{16}$", "", re.sub(r"'\d+$", "", name))


def measure(
    lab: Lab, kind: type[Proxy], load: str, clients: list[Credential], backend: int, options: argparse.Namespace
) -> dict:
    short = Run(lab, kind, load, clients, backend, options.base)
    long = Run(lab, kind, load, clients, backend, options.base + options.requests)
    before, after = short.totals(), long.totals()
    serving = max(after, key=lambda thread: long.calls(SENDING, thread))
    if long.calls(SENDING, serving) < options.requests:
        raise Problem(f"{kind.name}: no thread of it sends answers by {', '.join(sorted(SENDING))}")
    growth = (after[serving] - before[serving]) / options.requests
    earlier, later = short.by_function(serving), long.by_function(serving)
    per_request = {name: (later.get(name, 0) - earlier.get(name, 0)) / options.requests for name in earlier | later}
    hashing = sum(count for name, count in per_request.items() if SHA256_IN_SOFTWARE.search(name))
    result = {"proxy": kind.name, "load": load, "instructions_per_request": growth,
              "with_hardware_sha": growth - max(0, hashing - SHA256_IN_HARDWARE),
              "allocations": (long.calls(ALLOCATOR, serving) - short.calls(ALLOCATOR, serving)) / options.requests}
    if options.top:
        result["functions"] = dict(sorted(per_request.items(), key=lambda entry: -entry[1])[: options.top])
    return result


def show(result: dict) -> None:
    total = result["instructions_per_request"]
    print(f"{result['proxy']:14}{result['load']:8}{total:12,.0f} instructions per request, "
          f"{result['with_hardware_sha']:,.0f} with SHA-256 in hardware, {result['allocations']:.1f} allocations", flush=True)
    for name, count in result.get("functions", {}).items():
        print(f"{count:12,.0f} {count / total:6.1%}  {name[:130]}")


def keeps(result: dict, options: argparse.Namespace) -> bool:
    """Whether a result is within the budget, if it has one."""
    kept = True
    for figure, most in {"with_hardware_sha": options.budget, "allocations": options.allocations}.items():
        if most is not None and result["proxy"] == Relatch.name and result[figure] > most:
            print(f"over the budget: {figure} of `{result['load']}` is {result[figure]:,.1f}, {most:,} is the most.\n"
                  "  --top 40 tells where it goes. If what was added is worth it, raise the budget in the Makefile and say why.",
                  file=sys.stderr)
            kept = False
    return kept


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relatch", type=Path, default=Relatch.binary, help="the release binary (default: %(default)s)")
    parser.add_argument("--peers", default="relatch", help=f"some of {','.join(PROXIES)} (default: %(default)s)")
    parser.add_argument("--loads", default="", help="some of one,basic,random (default: all for relatch, one for its peers)")
    parser.add_argument("--base", type=int, default=8000, help="requests in both runs: enough that every credential has been seen (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=4000, help="requests that the second run has more (default: %(default)s)")
    parser.add_argument("--top", type=int, default=0, metavar="N", help="also the N functions that take most, by their own instructions")
    parser.add_argument("--budget", type=int, metavar="N", help="fail where a request of relatch takes more instructions, SHA-256 in hardware")
    parser.add_argument("--allocations", type=float, metavar="N", help="... or more allocations")
    parser.add_argument("--cpu-proxy", type=int, default=0)
    parser.add_argument("--cpu-load", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.base < 1 or options.requests < 1 or options.base % EVERY_TENTH or options.requests % EVERY_TENTH:
        parser.error(f"--base and --requests are multiples of {EVERY_TENTH}, so that both runs have their share of wrong secrets")
    if not set(filter(None, options.loads.split(","))) <= {"one", "basic", "random"}:
        parser.error("--loads takes some of one,basic,random")
    Relatch.binary = options.relatch
    return options


def loads_of(kind: type[Proxy], options: argparse.Namespace) -> list[str]:
    asked = [load for load in options.loads.split(",") if load] or list(kind.loads)
    if kind.checks and kind is not Relatch and "basic" in asked:
        raise Problem(f"{kind.name} is set up for secrets in the body only; leave out the load `basic`")
    return asked


def main() -> int:
    options = arguments()
    end_on_sigterm()
    try:
        kinds = proxies.chosen(options.peers)
        needed = {"gcc": "gcc", "valgrind": "valgrind", "callgrind_annotate": "valgrind"}
        for kind in kinds:
            needed |= kind.needs
        require(needed)
        clients, results = credentials(), []
        with Lab(options.cpu_proxy, options.cpu_load) as lab:
            backend = lab.start_backend()
            for kind, load in [(kind, load) for kind in kinds for load in loads_of(kind, options)]:
                results.append(measure(lab, kind, load, clients, backend, options))
                if not options.json:
                    show(results[-1])
        if options.json:
            print(json.dumps(results, indent=1))
        return 0 if all([keeps(result, options) for result in results]) else 1
    except Problem as problem:
        print(f"instructions.py: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
