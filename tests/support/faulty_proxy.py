"""A small HTTP proxy in front of a server, which answers for it, breaks off its answers, or keeps silent, as a test says.

with faulty_proxy(store.port) as proxy:
    proxy.rule = lambda number, request: 503 if number % 2 else None
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class Cut:
    """Pass the request on, and break the connection after so many bytes of the answer."""

    after: int


@dataclass(frozen=True)
class Lose:
    """Pass the request on, wait for the answer, and break the connection without giving any of it."""


@dataclass(frozen=True)
class Silence:
    """Take the request and never answer."""


Act = int | Cut | Lose | Silence | None
"""A status to answer with, or one of the above; `None`: pass it on."""


class FaultyProxy:
    """What it does with the next requests is its `rule`, which gets the number of the request, from 1, and `METHOD target`."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        """Every request so far, as `METHOD target`."""
        self.rule: Callable[[int, str], Act] = lambda number, request: None
        self._upstream = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self._server = _Listener(self._connection)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The end, of open connections too."""
        self._server.shutdown()
        self._thread.join()
        self._ended.set()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    @contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[socket.socket]:
        with self._lock:
            self._open.add(connection)
        try:
            with connection:
                yield connection
        finally:
            with self._lock:
                self._open.discard(connection)

    def _connection(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), self._kept(client):
            received = b""
            while b"\r\n\r\n" not in received:
                data = client.recv(CHUNK)
                if not data:
                    return
                received += data
            self._request(client, *received.split(b"\r\n\r\n", 1))

    def _request(self, client: socket.socket, head: bytes, body: bytes) -> None:
        method, target, _ = head.decode("latin-1").split(" ", 2)
        with self._lock:
            self.asked.append(f"{method} {target}")
            number = len(self.asked)
        act = self.rule(number, f"{method} {target}")
        if isinstance(act, Silence):
            self._ended.wait()
        elif isinstance(act, int):
            _answer(client, head, len(body), act)
        else:
            self._pass(client, head, body, act)

    def _pass(self, client: socket.socket, head: bytes, body: bytes, act: Act) -> None:
        first, _, rest = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head).partition(b"\r\n")
        with self._kept(socket.create_connection(("127.0.0.1", self._upstream))) as store:
            store.sendall(first + b"\r\nConnection: close\r\n" + rest + b"\r\n\r\n" + body)
            threading.Thread(target=_copy, args=(client, store), daemon=True).start()
            if isinstance(act, Lose):
                while store.recv(CHUNK):
                    pass
            else:
                _copy(store, client, act.after if isinstance(act, Cut) else None)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)  # ends the thread that copies the other way


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._serve(request)


def _answer(client: socket.socket, head: bytes, received: int, status: int) -> None:
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left = int(length[1]) - received if length else 0
    while left > 0 and (data := client.recv(CHUNK)):
        left -= len(data)
    client.sendall(f"HTTP/1.1 {status} Injected\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def _copy(source: socket.socket, target: socket.socket, limit: int | None = None) -> None:
    seen = 0
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            if limit is not None and seen + len(data) >= limit:
                target.sendall(data[: limit - seen])
                return
            seen += len(data)
            target.sendall(data)


@contextmanager
def faulty_proxy(port: int) -> Iterator[FaultyProxy]:
    """One in front of a port of this machine; it passes everything on until it has a rule."""
    proxy = FaultyProxy(port)
    try:
        yield proxy
    finally:
        proxy.stop()
