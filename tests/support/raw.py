"""HTTP/1.1 by hand, for clients that no library will play: that lie about lengths, that stop in the middle, that vanish."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back before the server closed or the body was whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Raw:
    """One connection to the server of a URL. A context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._target = parts.path + (f"?{parts.query}" if parts.query else "")
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80), SECONDS)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def head(self, method: str, headers: Mapping[str, str]) -> None:
        """Send the request line and the headers."""
        lines = [f"{method} {self._target} HTTP/1.1", f"Host: {self._host}", *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send(self, content: bytes) -> bool:
        """Send bytes as they are; `False` when the server has hung up."""
        try:
            self.socket.sendall(content)
        except OSError:
            return False
        return True

    def chunks(self, pieces: Iterable[bytes]) -> None:
        """Send pieces of a chunked body, and its end; stops when the server has hung up."""
        for piece in pieces:
            if not self.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n"):
                return
        self.send(b"0\r\n\r\n")

    def vanish(self) -> None:
        """Close so that the other side sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def answer(self) -> Answer:
        """Read the answer; `AssertionError` when there is none."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self._receive()
            assert piece, f"the server hung up without an answer: {received!r}"
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "-1"))
        while len(body) < length or length < 0:
            piece = self._receive()
            if not piece:
                break
            body += piece
        return Answer(int(first.split()[1]), headers, body)

    def answer_or_none(self, seconds: float = 5.0) -> Answer | None:
        """The answer; `None` when the server hangs up without one, or says nothing for so long."""
        self.socket.settimeout(seconds)
        try:
            return self.answer()
        except (AssertionError, TimeoutError):
            return None

    def _receive(self) -> bytes:
        with suppress(ConnectionResetError):
            return self.socket.recv(65536)
        return b""
