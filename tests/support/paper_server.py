"""The server's half of the listener protocol, as a test writes it: what no real server does on demand."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import until

SIGNED = re.compile(r'created=(\d+);expires=\d+;nonce="([^"]+)";keyid="([^"]+)"')
PATIENCE_SECONDS = 30.0
LATER = datetime(2099, 1, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Heard:
    """One request."""

    what: str
    """`join`, `heartbeat`, `renew`, `next` or `tell`."""
    path: str
    document: Mapping[str, Any]
    created: int = 0
    nonce: str = ""
    key_id: str = ""


@dataclass(frozen=True)
class Answer:
    """What is answered in place of the usual."""

    status: int
    code: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(
            {"errors": [{"status": str(self.status), "code": self.code, "detail": f"no: {self.code}", "meta": self.meta}]}
        ).encode()


class PaperServer:
    """Answers every request of a listener as a server would, but for what the test says. Polls wait until there is something."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers: dict[str, deque[Answer]] = {each: deque() for each in ("join", "heartbeat", "renew", "next", "tell")}
        self.is_away = False
        """Whether every request is answered with 503."""
        self._given: deque[Mapping[str, Any]] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._polls = 0
        self._certificates = 1
        self._http = _HTTP(("127.0.0.1", 0), _Handler)
        self._http.paper = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """No more answers."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # -- what the test says

    def give(
        self,
        phase_id: str = "plan-1",
        epoch: int = 1,
        *,
        run_id: str = "run-1",
        phase: str = "plan",
        asks: Mapping[str, Any] | None = None,
        over: Sequence[str] = (),
    ) -> None:
        """Hand out a phase with the next poll, and say what may be let go of."""
        sent = {"phase": phase, "phase-id": phase_id, "epoch": epoch, "url": self.url, "token": "hunter2", "status": "plan_queued"}
        sent |= {"organization": "default", "workspace": "demo", "cpu": None, "memory": None, "service-account": None}
        self.answer_poll({"type": "runs", "id": run_id, "attributes": sent | dict(asks or {})}, over=list(over))

    def cancel(self, word: str, phase_id: str = "plan-1", epoch: int = 1) -> None:
        """Say that somebody cancelled."""
        self.answer_poll(cancels=[{"run-id": "run-1", "phase-id": phase_id, "epoch": epoch, "cancel": word}])

    def end(self, *names: str) -> None:
        """Say that these may be let go of."""
        self.answer_poll(over=list(names))

    def answer_poll(self, data: Mapping[str, Any] | None = None, **meta: Any) -> None:
        """Answer one poll."""
        with self._news:
            self._given.append({"data": data, "meta": {"cancels": [], "over": []} | meta})
            self._news.notify_all()

    def refuse(
        self,
        what: str,
        status: int,
        code: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Answer the next request of this kind with a refusal."""
        self.answers[what].append(Answer(status, code, meta or {}, headers or {}))

    # -- what the listener said

    def said(self, what: str) -> list[Heard]:
        """The requests of one kind, in order."""
        return [each for each in self.heard if each.what == what]

    @property
    def told(self) -> list[tuple[str, str]]:
        """What was told of phases: launch and status."""
        sent = [each.document["data"]["attributes"] for each in self.said("tell")]
        return [(f"{each['phase-id']}.{each['epoch']}", each["status"]) for each in sent]

    def has_told(self, launch: str, status: str) -> bool:
        """Whether this was told of a phase."""
        return (launch, status) in self.told

    def wait_for(self, what: str, count: int = 1) -> list[Heard]:
        """Wait until so many were heard."""
        until(lambda: len(self.said(what)) >= count, f"{count} times {what}")
        return self.said(what)

    @property
    def held(self) -> list[str]:
        """What the latest poll said that it holds."""
        found = re.search(r"holds=([^&]*)", self.said("next")[-1].path)
        assert found is not None
        return found[1].split(",") if found[1] else []

    # -- answering

    def answer(self, handler: _Handler, method: str, body: bytes) -> None:
        """Answer one request."""
        what = _kind(method, handler.path)
        signed = SIGNED.search(handler.headers.get("signature-input", ""))
        created, nonce, key_id = signed.groups() if signed else ("0", "", "")
        self.heard.append(Heard(what, handler.path, json.loads(body) if body else {}, int(created), nonce, key_id))
        if self.is_away:
            handler.send(Answer(503).body, 503)
        elif self.answers[what]:
            answer = self.answers[what].popleft()
            handler.send(answer.body, answer.status, answer.headers)
        elif what == "next":
            self._answer_poll(handler)
        elif what == "tell":
            handler.send(b'{"data": {"type": "runs", "id": "run-1", "attributes": {"status": "planning"}}}')
        else:
            handler.send(self._listener(what), 201 if what == "join" else 200)

    def _answer_poll(self, handler: _Handler) -> None:
        handler.begin()
        with self._news:
            self._polls += 1
            mine = self._polls
            self._news.notify_all()  # a second poll ends the first
            self._news.wait_for(lambda: self._given or self._closed or self._polls != mine, PATIENCE_SECONDS)
            given = self._given.popleft() if self._given and self._polls == mine else None
        if given is not None:
            handler.piece(json.dumps(given).encode())
        handler.piece(b"")

    def _listener(self, what: str) -> bytes:
        self._certificates += what == "renew"
        key_id = str(self._certificates)
        shown = {"name": "one", "certificate-expires-at": "2099-01-08T00:00:00Z", "renew-at": "2099-01-04T00:00:00Z", "draining": False}
        if what in ("join", "renew"):
            shown |= {"certificate": "PEM", "certificate-chain": "PEM", "key-id": key_id}
        return json.dumps({"data": {"type": "listeners", "id": "agent-1", "attributes": shown}}).encode()


class _HTTP(ThreadingHTTPServer):
    daemon_threads = True
    paper: PaperServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HTTP

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PATCH(self) -> None:
        self._handle()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with suppress(OSError):  # who asked is gone
            self.server.paper.answer(self, self.command, body)

    def send(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.piece(b"\n")

    def piece(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the library
        """Nothing: the tests look at what was heard."""


def _kind(method: str, path: str) -> str:
    return "tell" if method == "PATCH" else path.partition("?")[0].rsplit("/", 1)[1]
