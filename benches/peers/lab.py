"""The room the measurements are taken in: tools, ports, a directory, and processes that leave with us.

A `Lab` owns everything it starts. Leaving its `with` block ends each process by its own id and removes the directory,
whatever happened inside; should this program itself be killed, the kernel ends its children.
"""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Where Debian keeps nginx and haproxy, and where an ordinary user's shell does not look.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin"
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
# Below the range from which Linux takes ports for outgoing connections, so that no caller of ours can sit on one.
LISTENING_PORTS = range(12000, 32000)


class Problem(Exception):
    """Something that the reader of the terminal can put right."""


def require(tools: dict[str, str]) -> None:
    """Complains about all missing tools at once. `tools` maps a command or a file to the Debian package it comes in."""
    missing = {tool: package for tool, package in tools.items() if not shutil.which(tool) and not os.path.exists(tool)}
    if missing:
        names = ", ".join(f"{tool} (package {package})" for tool, package in missing.items())
        packages = " ".join(sorted(set(missing.values())))
        raise Problem(f"missing: {names}\n  apt-get install {packages}\n  or leave out, with --peers, what needs them")


def free_port() -> int:
    for port in random.sample(LISTENING_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Problem("no free port on 127.0.0.1")


def end_on_sigterm() -> None:
    """So that `kill` and `timeout` leave nothing behind either."""

    def leave(*_):
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, leave)


class Lab:
    def __init__(self, cpu_proxy: int, cpu_load: int):
        usable = os.sched_getaffinity(0)
        if cpu_proxy == cpu_load or not {cpu_proxy, cpu_load} <= usable:
            raise Problem(f"--cpu-proxy and --cpu-load must be two different ones of {sorted(usable)}")
        self.cpu_proxy, self.cpu_load = cpu_proxy, cpu_load
        self.processes: list[subprocess.Popen] = []

    def __enter__(self) -> "Lab":
        os.sched_setaffinity(0, {self.cpu_load})
        self.directory = Path(tempfile.mkdtemp(prefix="relatch-peers-"))
        (self.directory / "logs").mkdir()
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            self.stop(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def compile(self, name: str) -> Path:
        program = self.directory / name
        subprocess.run(["gcc", "-O2", "-o", program, HERE / f"{name}.c", "-lm"], check=True, timeout=60)
        return program

    def start_backend(self) -> int:
        port = free_port()
        process = self.spawn("backend", [self.compile("backend"), port], self.cpu_load)
        self.wait_for_port(port, process, "backend")
        return port

    def log_of(self, name: str) -> Path:
        # In a folder of its own: relatch watches the one that its list is in.
        return self.directory / "logs" / f"{name}.log"

    def spawn(self, name: str, command: list, cpu: int) -> subprocess.Popen:
        """Starts a command on one CPU. What it says goes to `log_of(name)`, appended, so the file can be cut while it runs."""

        def in_the_child():
            os.sched_setaffinity(0, {cpu})
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        # A stray RELATCH__SECTION__KEY would change what is measured and leave no trace in the result.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RELATCH")}
        with open(self.log_of(name), "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment,
                preexec_fn=in_the_child,
            )
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen, patience: float = 15) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def wait_for_port(self, port: int, process: subprocess.Popen, name: str, patience: float = 10) -> None:
        def listens() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False

        self._wait(listens, process, name, f"listen on port {port}", patience)

    def wait_for_ok(self, url: str, process: subprocess.Popen, name: str, patience: float = 10) -> None:
        def answers() -> bool:
            try:
                return fetch(url) is not None
            except (urllib.error.URLError, OSError):
                return False

        self._wait(answers, process, name, f"answer 200 at {url}", patience)

    def _wait(self, ready, process: subprocess.Popen, name: str, what: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        while not ready():
            ended = process.poll()
            if ended is not None or time.monotonic() > deadline:
                how = f"ended with {ended} before it did" if ended is not None else f"did not in {patience:.0f} s"
                said = self.log_of(name).read_text(errors="replace")[-2000:].rstrip()
                raise Problem(f"{name} was to {what} and {how}. It said:\n{said or '(nothing)'}")
            time.sleep(0.05)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()
