"""A relatch for a measurement: its files, its process, and what the kernel and its own metrics tell of it."""

import base64
import hashlib
import http.client
import json
import os
import re
import subprocess
from pathlib import Path

from lab import Lab, free_port
from workload import secret_from

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Secrets of a client that may be active at once.
MOST_ACTIVE = 8


def digest_of(client: str, number: int) -> str:
    digest = hashlib.sha256(secret_from(f"{client} {number}").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def nobodys_digest() -> str:
    """Of a secret that nobody has: many clients are listed and only some of them call."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def write_list(lab: Lab, name: str, clients: list[str], secrets: int, calling: set[str], upstream: str = "") -> Path:
    """A list whose `calling` clients have secrets that `secret_from` makes, those above the limit of active ones revoked.
    `upstream` stands in each client's entry."""
    path = lab.directory / name
    with open(path, "w") as out:
        for client in clients:
            out.write(f'[[client]]\nid = "{client}"\n{upstream}')
            for number in range(secrets):
                digest = digest_of(client, number) if client in calling else nobodys_digest()
                out.write(f'[[client.secret]]\nid = "sec_{number}"\nhash = "$sha256${digest}"\n')
                if number >= MOST_ACTIVE:
                    out.write('status = "revoked"\n')
    return path


class Sidecar:
    """A running relatch, pinned where the lab pins proxies; with an admin API where `admin` is asked for."""

    def __init__(self, lab: Lab, binary: Path, backend: int, list_path: Path, *, settings: str = "", workers: int = 1,
                 admin: bool = False, cpus: set[int] | None = None, patience: float = 120):
        self.port, self.telemetry, self.admin = free_port(), free_port(), free_port()
        folder = f"sidecar-{self.port}"
        doors = f'[admin]\nlisten = ["unix:relatch.sock", "127.0.0.1:{self.admin}"]\n' if admin else ""
        config = lab.write(f"{folder}/relatch.toml", f"""[proxy]
listen = "127.0.0.1:{self.port}"
workers = {workers}
[upstream]
url = "http://127.0.0.1:{backend}"
[clients]
path = "{list_path}"
[telemetry]
listen = "127.0.0.1:{self.telemetry}"
{doors}{settings}""")
        command = [binary.resolve(), "--config", config]
        if admin:
            made = subprocess.run([*command, "token", "add", "bench", "--scope", "admin", "-q"],
                                  capture_output=True, text=True, check=True, timeout=60)
            self.token = made.stdout.strip()
        self.name = folder
        self.lab, self.process = lab, lab.spawn(folder, [binary.resolve(), "run", "--config", config], lab.cpu_proxy)
        if cpus:
            os.sched_setaffinity(self.process.pid, cpus)
        lab.wait_for_ok(f"http://127.0.0.1:{self.telemetry}/readyz", self.process, folder, patience)

    def stop(self) -> None:
        self.lab.stop(self.process, patience=60)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory(self, what: str = "VmRSS") -> float:
        """MiB; `VmHWM` is the most it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{what}:\s+(\d+) kB", status, re.M)[1]) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def reloads(self) -> int:
        """How many its log tells of."""
        return self.lab.log_of(self.name).read_text(errors="replace").count('"msg":"client list in force"')

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple[int, bytes]:
        """Of the admin API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=120)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        status, read = answer.status, answer.read()
        connection.close()
        return status, read


class Paced:
    """The open loop of `paced.c`."""

    def __init__(self, lab: Lab):
        self.lab, self.program = lab, lab.compile("paced")

    def run(self, port: int, rate: float, seconds: float, requests: list[bytes], connections: int = 20, refused: bool = False) -> dict:
        path = self.lab.directory / "requests"
        path.write_bytes(b"".join(f"{len(request)}\n".encode() + request for request in requests))
        command = [self.program, port, rate, seconds, connections, path]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 60)
        assert done.returncode == 0, done.stderr
        measured = json.loads(done.stdout)
        assert refused or measured["not_200"] == 0, measured
        return measured
