"""Who calls, and with what: 1,000 clients with two secrets each, and the token requests they send.

The secrets have the shape that relatch generates (`rls_`, 43 base62 characters, a CRC-32 in six more), the wrong ones too:
a wrong secret is well formed and simply not on the list, so no proxy can refuse it for less than the look-up.
Everything is derived from names, so every run meets the same clients.
"""

import base64
import hashlib
import socket
import zlib
from typing import NamedTuple

CLIENTS = 1000
SECRETS_PER_CLIENT = 2
PATH = "/oauth/token"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Credential(NamedTuple):
    """One active secret of a client, and a wrong one to present in its place."""

    client: str
    number: int
    secret: str
    wrong: str

    def sha256(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()


def base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def secret_from(seed: str) -> str:
    random_part = base62(int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big"), 43)
    return f"rls_{random_part}{base62(zlib.crc32(random_part.encode()), 6)}"


def credentials() -> list[Credential]:
    return [
        Credential(client, number, secret_from(f"{client} {number}"), secret_from(f"{client} {number} wrong"))
        for client in (f"svc-{n:04d}" for n in range(CLIENTS))
        for number in range(SECRETS_PER_CLIENT)
    ]


def by_body(client: str, secret: str, scope: str = "read") -> bytes:
    return _request("", f"grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={scope}")


def by_basic(client: str, secret: str, scope: str = "read") -> bytes:
    token = base64.b64encode(f"{client}:{secret}".encode()).decode()
    return _request(f"Authorization: Basic {token}\r\n", f"grant_type=client_credentials&scope={scope}")


def _request(credentials_header: str, form: str) -> bytes:
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: relatch-bench/1\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n{credentials_header}"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    ).encode()


class Caller:
    """One keep-alive connection. A request leaves in one segment, as from a real client, and is awaited to its last byte."""

    def __init__(self, port: int, timeout: float = 10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, body = answer.split(b"\r\n\r\n", 1)
        while len(body) < self._size(head):
            body += self._more()
        return int(head.split(b" ", 2)[1]), body

    def _more(self) -> bytes:
        got = self.socket.recv(65536)
        if not got:
            raise ConnectionError("the proxy closed the connection in the middle of an answer")
        return got

    @staticmethod
    def _size(head: bytes) -> int:
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return int(value)
        raise ConnectionError(f"an answer without Content-Length: {head!r}")
