"""A server that speaks the phase protocol for one phase, in a thread: what docs/reference/phase-protocol.md says, and nothing more."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "phase-token-that-nobody-else-has"


def archive(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> bytes:
    """A configuration as the CLI uploads it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


class PhaseServer:
    """Answers one phase's calls and remembers them; `changed` is notified after each."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.configuration = b""
        self.state: bytes | None = None
        self.material: dict[str, Any] = {}
        self.plan_file: bytes | None = None
        self.begin("plan")
        self.cancel = "none"
        self.lost = False
        self.gone = False
        self.refuse_state: tuple[int, str] | None = None
        self.lose_answers = 0
        """How many log appends are taken without the client learning of it."""
        self._port = 0
        self._server: _Server | None = None
        self.come_back()

    def begin(self, phase: str, **material: object) -> None:
        """Make ready for the next phase of the same run."""
        self.log = bytearray()
        self.report: dict[str, Any] | None = None
        self.states: list[tuple[dict[str, str], bytes]] = []
        self.stored: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.started: dict[str, Any] | None = None
        self.material = {
            "phase": phase,
            "run-id": "run-1",
            "workspace-id": "ws-1",
            "workspace-name": "demo",
            "organization": "default",
            "project-name": "Default Project",
            "renew-seconds": 0.2,
            "engine": {"tool": None, "version": "latest"},
            "working-directory": "",
            "operation": {},
            "variables": [],
            "environment": [],
            "state": None if self.state is None else {"serial": json.loads(self.state)["serial"], "lineage": "any"},
            "plan-digest": None if self.plan_file is None else hashlib.sha256(self.plan_file).hexdigest(),
            "state-transport": "http",
            "limits": {},
            **material,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def text(self) -> str:
        """The log so far."""
        return self.log.decode()

    def come_back(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.phase = self
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def go_away(self) -> None:
        """Stop listening and cut every connection, as a killed server does."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server = None

    def close(self) -> None:
        if self._server is not None:
            self.go_away()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Block until a call made the condition true."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"never happened; calls {self.calls}, log {self.text!r}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    phase: PhaseServer

    def __init__(self, *args: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was cut off


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        phase = self.server.phase
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        prefix, _, name = parts.path.rpartition("/")
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        call = f"{self.command} {name}"
        with phase.changed:
            phase.calls.append(call)
            if self.headers["Authorization"] != f"Bearer {TOKEN}" or prefix != "/api/runner/v1/phases/plan-1" or phase.gone:
                self._answer(404, {"errors": [{"status": "404", "title": "not found"}]})
            elif phase.lost and name != "state":
                self._answer(409, {"errors": [{"status": "409", "detail": "the lease was lost"}], "meta": {"lost": True}})
            else:
                self._serve(phase, call, query, body)
            phase.changed.notify_all()

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _serve(self, phase: PhaseServer, call: str, query: dict[str, str], body: bytes) -> None:
        downloads = {"GET configuration": phase.configuration, "GET state": phase.state, "GET plan-file": phase.plan_file}
        if call in downloads:
            return self._raw(downloads[call])
        match call:
            case "POST claim":
                return self._answer(200, phase.material)
            case "POST started":
                phase.started = json.loads(body)
                return self._answer(204, None)
            case "POST renew":
                return self._answer(200, {"cancel": phase.cancel})
            case "PUT log":
                return self._log(phase, int(query["offset"]), body)
            case "PUT state":
                return self._state(phase, query, body)
            case "POST report":
                phase.report = json.loads(body)
                return self._answer(200, {})
            case "PUT plan-file":
                phase.plan_file = body
                return self._answer(200, {"digest": hashlib.sha256(body).hexdigest()})
            case "PUT plan-json" | "PUT provider-schemas":
                phase.stored[call.removeprefix("PUT ")] = body
                return self._answer(200, {})
        return self._answer(405, {"errors": [{"detail": call}]})

    def _log(self, phase: PhaseServer, offset: int, body: bytes) -> None:
        if offset != len(phase.log):
            return self._answer(409, {"errors": [{"detail": "not the end of the log"}], "meta": {"size": len(phase.log)}})
        phase.log += body
        if phase.lose_answers:
            phase.lose_answers -= 1
            self.close_connection = True
            return None
        return self._answer(200, {"size": len(phase.log), "cancel": phase.cancel})

    def _state(self, phase: PhaseServer, query: dict[str, str], body: bytes) -> None:
        if phase.refuse_state is not None:
            return self._answer(phase.refuse_state[0], {"errors": [{"detail": phase.refuse_state[1]}]})
        assert hashlib.md5(body).hexdigest() == query["md5"]
        phase.states.append((query, body))
        phase.state = body
        return self._answer(200, {})

    def _raw(self, data: bytes | None) -> None:
        self.send_response(204 if data is None else 200)
        if data is not None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data or b"")

    def _answer(self, status: int, document: object) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
