#!/usr/bin/env python3
"""What size costs: a reload of 1,000,000 secrets, a scrape of 100,000, and the memory of connections and requests.

reload    A list of 500,000 clients with two secrets each is changed in one line and reloaded by SIGHUP, `--rounds` times,
          while token requests come at 1,000 a second (`paced.c`, an open loop). Told are the seconds from the edit
          until the log tells of it, the longest a request took meanwhile and in the same seconds without, resident memory
          before, at its peak and after, and the CPU time of it.
replaced  The same with a secret for the upstream in each client's entry.
scrape    100,000 secrets: how long GET /metrics takes, and the p99 of the same requests with a scrape a second, and while one
          scrape follows the other, over the p99 without, pair by pair; and with nothing on either side, which is the noise. The
          scraper, which is on another machine elsewhere, gives way to everybody here.
memory    Resident memory idle, for each of 5,000 connections that were asked once and lie idle, for each of 2,000 requests
          whose upstream does not answer, and what is left when all of them have gone.

The proxy has a CPU of its own but for `reload` and `scrape`, where its other threads may use both. Needs gcc.
"""

import argparse
import json
import multiprocessing
import os
import signal
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab import Lab, end_on_sigterm, free_port, require  # noqa: E402
from sidecar import Paced, Sidecar, nobodys_digest, write_list  # noqa: E402
from workload import by_body, secret_from  # noqa: E402

CALLING = [f"svc-{n:07d}" for n in range(0, 1000, 7)]
TOKENS = [by_body(client, secret_from(f"{client} 0")) for client in CALLING]
RATE = 1000


def replaced(lab: Lab, binary: Path, backend: int, rounds: int) -> dict:
    secret_file = lab.write("upstream-secret", "what-the-upstream-knows\n")
    return reload(lab, binary, backend, rounds, f'[client.upstream]\nsecret_file = "{secret_file}"\n')


def reload(lab: Lab, binary: Path, backend: int, rounds: int, upstream: str = "") -> dict:
    listed = write_list(lab, "clients.toml", [f"svc-{n:07d}" for n in range(500_000)], 2, set(CALLING), upstream)
    both = {lab.cpu_proxy, lab.cpu_load}
    began = time.monotonic()
    sidecar, paced = Sidecar(lab, binary, backend, listed, cpus=both), Paced(lab)
    start = time.monotonic() - began
    told = {"what": f"reload of 1,000,000 secrets{', each client with its upstream secret' * bool(upstream)}", "start_s": round(start, 2), "rss_before": round(sidecar.memory())}
    took, stalls, calm, cpu = [], [], [], []
    for number in range(rounds):
        calm.append(paced.run(sidecar.port, RATE, 4, TOKENS)["most"] / 1e3)
        known, before = sidecar.reloads(), sidecar.cpu_seconds()
        sidecar.forget_peak()
        measured: dict = {}
        load = threading.Thread(target=lambda: measured.update(paced.run(sidecar.port, RATE, 8, TOKENS)))
        load.start()
        time.sleep(1)
        began = time.monotonic()
        with open(listed, "a") as out:
            out.write(f'[[client]]\nid = "late-{number}"\n[[client.secret]]\nid = "s"\nhash = "$sha256${nobodys_digest()}"\n')
        sidecar.process.send_signal(signal.SIGHUP)
        while sidecar.reloads() == known:
            assert time.monotonic() - began < 100, "the reload does not come to an end"
            time.sleep(0.02)
        took.append(time.monotonic() - began)
        load.join()
        cpu.append(sidecar.cpu_seconds() - before)
        stalls.append(measured["most"] / 1e3)
    time.sleep(2)
    told |= {"seconds": took, "longest_ms": stalls, "longest_ms_without": calm, "cpu_s": cpu,
             "rss_peak": round(sidecar.memory("VmHWM")), "rss_after": round(sidecar.memory())}
    sidecar.stop()
    return told


def read_metrics(port: int) -> int:
    """Reads the exposition off a socket as fast as it comes, so that little of the time is the reader's own."""
    room, size = bytearray(1 << 20), 0
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
        while got := connection.recv_into(room):
            size += got
    return size


def keep_scraping(port: int, every: float, count) -> None:
    """A Prometheus on a machine of its own: here it takes only what nobody else wants of the CPUs."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    due = time.monotonic()
    while True:
        read_metrics(port)
        count.value += 1
        due = max(due + every, time.monotonic())
        time.sleep(max(0, due - time.monotonic()))


# Seconds from one to the next.
SCRAPES = {"nothing": None, "a scrape a second": 1, "one after the other": 0}


def scrape(lab: Lab, binary: Path, backend: int, rounds: int) -> dict:
    listed = write_list(lab, "scraped.toml", [f"svc-{n:07d}" for n in range(50_000)], 2, set(CALLING))
    sidecar, paced = Sidecar(lab, binary, backend, listed, cpus={lab.cpu_proxy, lab.cpu_load}), Paced(lab)
    took = []
    for _ in range(5):
        began = time.monotonic()
        size = read_metrics(sidecar.telemetry)
        took.append((time.monotonic() - began) * 1e3)
    told = {"what": "scrape of 100,000 secrets", "bytes": size, "ms": round(statistics.median(took))}
    pairs = {beside: [] for beside in SCRAPES}
    counts = {beside: [] for beside in SCRAPES}
    for _ in range(rounds):
        for beside, every in SCRAPES.items():
            without = paced.run(sidecar.port, RATE, 5, TOKENS)["p99"]
            count = multiprocessing.Value("i", 0)
            scraper = multiprocessing.Process(target=keep_scraping, args=(sidecar.telemetry, every, count), daemon=True)
            if every is not None:
                scraper.start()
            pairs[beside].append((without, paced.run(sidecar.port, RATE, 5, TOKENS)["p99"]))
            if every is not None:
                scraper.terminate(), scraper.join()
                assert count.value >= 3, f"{count.value} scrapes in 5 seconds: nothing was measured"
            counts[beside].append(count.value)
    sidecar.stop()
    for beside, of in pairs.items():
        told[beside] = {"p99_us": of, "median_us": [statistics.median(side) for side in zip(*of)],
                        "ratio": round(statistics.median(b / a for a, b in of), 2), "scrapes_in_5_s": counts[beside]}
    return told


def silent_server() -> int:
    """Takes connections and never answers."""
    listener = socket.create_server(("127.0.0.1", free_port()), backlog=4096)
    kept = []
    threading.Thread(target=lambda: [kept.append(listener.accept()) for _ in iter(int, 1)], daemon=True).start()
    return listener.getsockname()[1]


def hold(port: int, count: int, answered: bool) -> list[socket.socket]:
    """Connections that were asked once."""
    held = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 30)
        connection.sendall(TOKENS[number % len(TOKENS)])
        if answered:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200"), number
        held.append(connection)
    return held


def let_go(held: list[socket.socket]) -> None:
    for connection in held:
        connection.close()


def memory(lab: Lab, binary: Path, backend: int, _: int) -> dict:
    listed = write_list(lab, "few.toml", [f"svc-{n:07d}" for n in range(1000)], 2, set(CALLING))
    settings = "[limits]\nmax_connections = 20000\n"
    told, idle, asked = {"what": "memory"}, 5000, 2000

    sidecar = Sidecar(lab, binary, backend, listed, settings=settings)
    told["idle_mib"] = round(sidecar.memory(), 1)
    let_go(hold(sidecar.port, 100, answered=True))
    before = sidecar.memory()
    held = hold(sidecar.port, idle, answered=True)
    time.sleep(3)
    told["idle_connection_kib"] = round((sidecar.memory() - before) * 1024 / idle, 1)
    let_go(held)
    time.sleep(3)
    told["after_idle_connections_mib"] = round(sidecar.memory(), 1)
    sidecar.stop()

    sidecar = Sidecar(lab, binary, silent_server(), listed, settings=settings)
    before = sidecar.memory()
    held = hold(sidecar.port, asked, answered=False)
    time.sleep(3)
    told["request_in_flight_kib"] = round((sidecar.memory() - before) * 1024 / asked, 1)
    let_go(held)
    time.sleep(5)
    told["after_burst_mib"] = round(sidecar.memory(), 1)
    sidecar.stop()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/relatch"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="reload,replaced,scrape,memory")
    options = parser.parse_args()
    require({"gcc": "gcc"})
    end_on_sigterm()
    with Lab(0, 1) as lab:
        backend = lab.start_backend()
        for name, measure in {"reload": reload, "replaced": replaced, "scrape": scrape, "memory": memory}.items():
            if name in options.only.split(","):
                print(json.dumps(measure(lab, options.binary, backend, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
