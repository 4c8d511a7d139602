#!/usr/bin/env python3
"""What relatch adds to the time of a token request: an open loop of 5,000 requests a second, through it and past it.

Each request is due at its own moment, whether the one before was answered or not, so that a pause is felt by all
that fall into it. Rounds go in pairs: directly to the token server, then through relatch (replace mode, settings as they
are by default, random credentials of 1,000 clients). Told are the percentiles in microseconds and, pair by pair, what was added.

A virtual machine's kernel may keep one of its CPUs from time to time: where that is the proxy's it is charged to it alone, so
turn `--cpu-proxy` and `--cpu-load` round to see.

Needs gcc.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from lab import Lab, end_on_sigterm, require  # noqa: E402
from sidecar import Paced, Sidecar, write_list  # noqa: E402
from workload import by_body, secret_from  # noqa: E402

CLIENTS = [f"svc-{n:07d}" for n in range(1000)]
# In an order that has nothing to do with theirs.
TOKENS = [by_body(client, secret_from(f"{client} 0")) for client in sorted(CLIENTS, key=lambda name: name[::-1])]
SHARES = ("p50", "p99", "most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/relatch"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--cpu-proxy", type=int, default=0)
    parser.add_argument("--cpu-load", type=int, default=1)
    options = parser.parse_args()
    require({"gcc": "gcc"})
    end_on_sigterm()
    with Lab(options.cpu_proxy, options.cpu_load) as lab:
        backend = lab.start_backend()
        secret_file = lab.write("upstream-secret", "what-the-upstream-knows\n")
        upstream = f'[client.upstream]\nsecret_file = "{secret_file}"\n'
        listed = write_list(lab, "clients.toml", CLIENTS, 2, set(CLIENTS), upstream)
        sidecar, paced = Sidecar(lab, options.binary, backend, listed), Paced(lab)
        ports, taken = {"direct": backend, "relatch": sidecar.port}, {"direct": [], "relatch": []}
        for port in ports.values():
            paced.run(port, options.rate, 1, TOKENS)
        for _ in range(options.rounds):
            for name, port in ports.items():
                taken[name].append(paced.run(port, options.rate, options.seconds, TOKENS))
        sidecar.stop()
    pairs = list(zip(taken["direct"], taken["relatch"]))
    told = {name: {share: round(statistics.median(each[share] for each in runs)) for share in SHARES}
            for name, runs in taken.items()}
    told["added"] = {share: {"median": round(statistics.median(b[share] - a[share] for a, b in pairs)),
                             "pairs": [round(b[share] - a[share]) for a, b in pairs]} for share in SHARES}
    print(json.dumps({"what": f"microseconds at {options.rate} requests a second"} | told))


if __name__ == "__main__":
    main()
