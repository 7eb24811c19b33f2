"""The engine's `http` backend: a server on the loopback interface that speaks to one engine and stores with the keeper.

The address has a random path and a random password, which travel in the engine's environment only. A POST is answered when the
server has the state, or, while the server is away, when the state is safe in a file that is delivered later.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .states import NoState, StateKeeper

DELIVERY_SECONDS = 3.0
"""How long the engine waits for the server before the file alone has to do."""


class LoopbackBackend:
    """Serves GET and POST of one state; `environment` is what makes the engine use it."""

    def __init__(self, keeper: StateKeeper) -> None:
        self.keeper = keeper
        self.path = f"/{secrets.token_urlsafe(24)}"
        self._password = secrets.token_urlsafe(24)
        self.authorization = "Basic " + base64.b64encode(f"terrapod:{self._password}".encode()).decode()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.backend = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 60}, name="backend", daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TF_HTTP_ADDRESS": f"http://127.0.0.1:{self._server.server_address[1]}{self.path}",
            "TF_HTTP_USERNAME": "terrapod",
            "TF_HTTP_PASSWORD": self._password,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    backend: LoopbackBackend


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 600

    def do_GET(self) -> None:
        saved = self.server.backend.keeper.current if self._allowed() else None
        if saved is None:
            self._answer(404)
            return
        with saved.path.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile)

    def do_POST(self) -> None:
        if not self._allowed():
            self._answer(404)
            return
        keeper = self.server.backend.keeper
        path = keeper.new_file()
        try:
            md5 = self._receive(path)
            saved = keeper.save(path, md5)
        except (NoState, ValueError, OSError) as error:
            path.unlink(missing_ok=True)
            self._answer(500, f"the runner cannot keep this state: {error}")
            return
        if keeper.delivered(saved, DELIVERY_SECONDS) is False:
            self._answer(409, "the server refuses this state")
        else:
            self._answer(200)

    def _receive(self, path: os.PathLike[str]) -> str:
        """Write the body to a synced file; its md5 in hex."""
        left = int(self.headers.get("Content-Length") or "")
        digest = hashlib.md5(usedforsecurity=False)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            while left:
                chunk = self.rfile.read(min(left, 1 << 18))
                if not chunk:
                    raise ValueError("it was cut off")
                digest.update(chunk)
                left -= file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        sent = self.headers.get("Content-MD5")
        if sent and base64.b64decode(sent) != digest.digest():
            raise ValueError("its md5 does not match")
        return digest.hexdigest()

    def _allowed(self) -> bool:
        backend = self.server.backend
        given = self.headers.get("Authorization") or ""
        return self.path.partition("?")[0] == backend.path and hmac.compare_digest(given.encode(), backend.authorization.encode())

    def _answer(self, status: int, text: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status >= 400:
            self.send_header("Connection", "close")  # part of the body may be unread
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass  # the path is a secret
