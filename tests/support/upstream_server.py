"""A web server over TLS that can be made to misbehave, path by path, while it runs. `upstream.py` lists the knobs."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from tests.support.server import free_port
from tests.support.waiting import PATIENCE_SECONDS, until

STEP = 16 * 1024
"""Bytes that are sent at a time."""

GOODBYE_SECONDS = 0.5
LAST_MODIFIED = "Tue, 03 Nov 2026 10:00:00 GMT"
PAGE = b"<!doctype html><title>Welcome</title><p>Please sign in to the hotel's network.\n"


@functools.cache
def authority() -> trustme.CA:
    """One for all upstreams of a process: whoever trusts one of them trusts the others."""
    return trustme.CA()


@dataclass(frozen=True)
class Content:
    """What a path has: bytes, or a file too large to be held."""

    body: bytes | Path
    kind: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    digest: str | None = None
    """SHA-256 of a file, which is not read for an `ETag`."""

    @property
    def size(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size

    @property
    def etag(self) -> str:
        if isinstance(self.body, Path):
            return f'"{self.digest or self.size}"'
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    def pieces(self) -> Iterator[bytes]:
        """All of it, a step at a time."""
        if isinstance(self.body, bytes):
            for start in range(0, len(self.body), STEP):
                yield self.body[start : start + STEP]
            return
        with self.body.open("rb") as file:
            while piece := file.read(STEP):
                yield piece


class Gate:
    """A place in an answer's body where it waits until the test opens the gate."""

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self._reached = threading.Semaphore(0)
        self._open = threading.Event()

    def wait(self) -> None:
        """Return when one more answer stands before the gate."""
        assert self._reached.acquire(timeout=PATIENCE_SECONDS), "nobody came to the gate"

    def open(self) -> None:
        """Let everybody through, from now on."""
        self._open.set()

    def pass_through(self) -> None:
        """For the server."""
        self._reached.release()
        self._open.wait(PATIENCE_SECONDS)


@dataclass
class Twist:
    """How an answer differs from what it should be. Without any, it does not."""

    status: int | None = None
    """Instead of 200; the body is a short text unless `body` is given."""
    body: bytes | Callable[[bytes], bytes] | None = None
    """Instead of the right one, or made of it."""
    html: bool = False
    """A page for people, with 200."""
    tampered: bool = False
    """One bit in the middle is another; the length is right."""
    location: str | None = None
    """A redirect there (302)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """More of them, or others."""
    without: tuple[str, ...] = ()
    """Headers that are left out, such as `ETag`."""
    declared: int | None = None
    """What `Content-Length` says, whatever the body has."""
    cut: int | None = None
    """The connection is reset after so many bytes of the body."""
    ended: int | None = None
    """The connection is closed in good order after so many bytes of the body, with no `Content-Length` before it."""
    gate: Gate | None = None
    bytes_per_second: int | None = None
    times: int | None = None
    """For so many requests; later ones are answered right."""
    every: int = 1
    """For every so-manieth request: 2 flaps."""
    seen: int = 0

    def applies(self) -> bool:
        """Whether it twists this request. Counts it."""
        self.seen += 1
        return self.seen % self.every == 0 and (self.times is None or self.seen <= self.times * self.every)


@dataclass
class Asked:
    """One request, as it arrived, and what was sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    status: int = 0
    sent: int = 0
    """Bytes of the body so far."""
    first_byte_at: float | None = None
    """By `time.monotonic()`, when the body's first byte was handed to the system."""


class _Broken(Exception):
    """The connection is to be reset."""


class TwistedServer:
    """Answers by `find`. Its address stays the same however often it is stopped and started again."""

    def __init__(self, find: Callable[[Asked], Content | None]) -> None:
        self.port = free_port()
        self.asked: list[Asked] = []
        """All requests since the beginning, or since `forget`."""
        self.connections = 0
        """That were accepted."""
        self.twists: list[tuple[str, Twist]] = []
        self._find = find
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    # -- its life

    def start(self) -> None:
        """Listen. Returns when connections are accepted."""
        assert self._server is None, "it runs already"
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and break every connection off."""
        server, self._server = self._server, None
        if server is None:
            return
        assert self._thread is not None
        for _, twist in self.twists:
            if twist.gate is not None:
                twist.gate.open()
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.break_all()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody listens in this block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    # -- what is seen of it

    def count(self, pattern: str = "*", method: str | None = "GET") -> int:
        """Requests for paths like this (`fnmatch`), however they were answered; of every method when `None`."""
        return len(self._like(pattern, method))

    def sent(self, pattern: str = "*") -> int:
        """Bytes of bodies, of paths like this."""
        return sum(each.sent for each in self._like(pattern, None))

    def first_byte_at(self, pattern: str = "*") -> float:
        """When the first byte of the first body of such a path was sent, by `time.monotonic()`."""
        return next(each.first_byte_at for each in self._like(pattern, "GET") if each.first_byte_at is not None)

    def wait_for(self, count: int, pattern: str = "*") -> None:
        """Return when so many requests have come."""
        until(lambda: self.count(pattern) >= count, f"{count} requests for {pattern}")

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.asked.clear()
            self.connections = 0

    def _like(self, pattern: str, method: str | None) -> list[Asked]:
        with self._lock:
            return [each for each in self.asked if fnmatchcase(each.path, pattern) and method in (None, each.method)]

    # -- its knobs

    def twist(self, pattern: str, **how: Any) -> Twist:
        """From now on answer paths like this otherwise; the last such twist counts. `how` is of `Twist`."""
        twist = Twist(**how)
        with self._lock:
            self.twists.append((pattern, twist))
        return twist

    def gate(self, pattern: str, after: int = 0) -> Gate:
        """From now on answers of such paths wait after so many bytes of their body, until the gate is opened."""
        gate = Gate(after)
        self.twist(pattern, gate=gate)
        return gate

    @contextmanager
    def twisted(self, pattern: str, **how: Any) -> Iterator[Twist]:
        """The same for a block."""
        twist = self.twist(pattern, **how)
        try:
            yield twist
        finally:
            with self._lock:
                self.twists = [each for each in self.twists if each[1] is not twist]

    def heal(self) -> None:
        """Take all twists back."""
        with self._lock:
            self.twists.clear()

    # -- for its requests

    def connected(self) -> None:
        """One more."""
        with self._lock:
            self.connections += 1

    def answer(self, asked: Asked) -> tuple[Content, Twist]:
        """What this request gets, and how it is twisted."""
        with self._lock:
            self.asked.append(asked)
            twist = next((each for pattern, each in reversed(self.twists) if fnmatchcase(asked.path, pattern)), None)
            if twist is None or not twist.applies():
                twist = Twist()
        return self._find(asked) or Content(b"There is no such thing here.\n", "text/plain", status=404), twist


class _Server(ThreadingHTTPServer):
    """Each connection in a thread of its own, its TLS handshake too."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, owner: TwistedServer) -> None:
        self.owner = owner
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert("localhost", "127.0.0.1").configure_cert(self._context)
        self._open: set[socket.socket] = set()
        self._handlers: set[threading.Thread] = set()
        super().__init__(("127.0.0.1", owner.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        raw, address = super().get_request()
        self.owner.connected()
        return self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        self._handlers.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._handlers.discard(threading.current_thread())

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            if not request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                request.settimeout(GOODBYE_SECONDS)
                request.unwrap()
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has seen enough, or does not trust us, is no failure."""

    def break_all(self) -> None:
        """Break off what is open, and wait for the threads."""
        for each in list(self._open):
            with contextlib.suppress(OSError, ValueError):
                _abandon(each)
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # wakes the thread that reads from it
        for thread in list(self._handlers):
            thread.join(PATIENCE_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, path, query, headers)
        content, twist = self.server.owner.answer(asked)
        try:
            self._send(asked, _twisted(content, twist), twist)
        except _Broken:
            _abandon(self.connection)
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, asked: Asked, content: Content, twist: Twist) -> None:
        unchanged = content.status == 200 and _is_known(content, asked.headers, twist.without)
        asked.status = 304 if unchanged else content.status
        self.send_response(asked.status, HTTPStatus(asked.status).phrase)
        for name, value in self._headers(content, twist).items():
            if name not in twist.without and not (unchanged and name == "Content-Length"):
                self.send_header(name, value)
        self.end_headers()
        if not unchanged and self.command != "HEAD":
            self._send_body(asked, content, twist)

    def _headers(self, content: Content, twist: Twist) -> dict[str, str]:
        length = content.size if twist.declared is None else twist.declared
        headers = {"Content-Type": content.kind, "Content-Length": str(length)}
        if content.status == 200:
            headers |= {"ETag": content.etag, "Last-Modified": LAST_MODIFIED}
        if twist.ended is not None:
            del headers["Content-Length"]
        if twist.ended is not None or twist.declared is not None:
            headers["Connection"] = "close"
        return {**headers, **content.headers, **twist.headers}

    def _send_body(self, asked: Asked, content: Content, twist: Twist) -> None:
        stops = [each for each in (twist.cut, twist.ended) if each is not None]
        gates = [twist.gate] if twist.gate is not None else []
        began = time.monotonic()
        for piece in _cut(content.pieces(), [*stops, *(each.after for each in gates)]):
            for gate in [each for each in gates if each.after <= asked.sent]:
                gates.remove(gate)
                self.wfile.flush()
                gate.pass_through()
            if stops and asked.sent >= stops[0]:
                break
            if not piece:
                break
            self.wfile.write(piece)
            if asked.first_byte_at is None:
                asked.first_byte_at = time.monotonic()
            asked.sent += len(piece)
            if twist.bytes_per_second is not None:
                time.sleep(max(0.0, began + asked.sent / twist.bytes_per_second - time.monotonic()))
        self.close_connection = self.close_connection or twist.ended is not None or twist.declared is not None
        if twist.cut is not None or (twist.declared is not None and twist.declared > asked.sent):
            raise _Broken

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _twisted(content: Content, twist: Twist) -> Content:
    """What is sent in the place of the right content."""
    if twist.location is not None:
        return Content(b"", "text/plain", {"Location": twist.location}, twist.status or 302)
    if twist.html:
        return Content(PAGE, "text/html")
    if twist.tampered:
        whole = b"".join(content.pieces())
        middle = len(whole) // 2
        return Content(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], content.kind)
    body = twist.body
    if callable(body):
        body = body(b"".join(content.pieces()))
    if body is None and twist.status is not None:
        body = f"{twist.status} {HTTPStatus(twist.status).phrase}\n".encode()
    return content if body is None else Content(body, content.kind, content.headers, twist.status or 200)


def _is_known(content: Content, headers: Mapping[str, str], without: tuple[str, ...]) -> bool:
    if "if-none-match" in headers:
        return "ETag" not in without and content.etag in headers["if-none-match"]
    return "Last-Modified" not in without and headers.get("if-modified-since") == LAST_MODIFIED


def _cut(pieces: Iterator[bytes], stops: list[int]) -> Iterator[bytes]:
    """The same bytes, in pieces of which none goes over a stop; after the last one an empty piece, so that a stop at the end is seen."""
    at = 0
    for piece in pieces:
        while piece:
            nearest = min((each - at for each in stops if 0 < each - at < len(piece)), default=len(piece))
            yield piece[:nearest]
            at += nearest
            piece = piece[nearest:]
    yield b""


def _abandon(connection: socket.socket) -> None:
    """When it is closed, that is a reset: no end of TLS, no end of TCP."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
