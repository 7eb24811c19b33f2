"""As much of Gitea as a sign-in sees, for tests: whoever opens its authorize page is `person` and said yes."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

CLIENT_ID = "the-client"
CLIENT_SECRET = "the-secret"


@dataclass
class Gitea:
    """The server's state; tests change it."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"id": 7, "login": "ada", "email": "ada@example.com"})
    addresses: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"email": "old@example.com", "verified": True, "primary": False},
            {"email": "ada@example.com", "verified": True, "primary": True},
        ]
    )
    organizations: list[dict[str, Any]] = field(default_factory=lambda: [{"username": "platform"}])
    down: bool = False
    """Every answer of its API is a 500 with a page."""
    instead: dict[str, bytes] = field(default_factory=dict)
    """Bodies it answers instead, by path."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def authorize(self, query: str) -> str:
        """Where the browser goes after the person said yes."""
        asked = dict(parse_qsl(query))
        assert asked["client_id"] == CLIENT_ID
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        """The token endpoint."""
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        token = secrets.token_urlsafe(16)
        self.tokens.add(token)
        return 200, {"access_token": token, "token_type": "bearer"}

    def read(self, path: str, page: int, token: str) -> tuple[int, Any]:
        """Its API."""
        if token not in self.tokens:
            return 401, {"message": "token is required"}
        things = {"/api/v1/user": self.person, "/api/v1/user/emails": self.addresses}
        if path == "/api/v1/user/orgs":
            return 200, self.organizations[(page - 1) * 50 : page * 50]
        return (200, things[path]) if path in things else (404, {})


@contextmanager
def gitea() -> Iterator[Gitea]:
    """A server on a port of this machine."""
    state = Gitea()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/login/oauth/authorize":
                self.send_response(302)
                self.send_header("Location", state.authorize(parts.query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            page = int(dict(parse_qsl(parts.query)).get("page", "1"))
            self.answer(parts.path, *state.read(parts.path, page, self.headers.get("Authorization", "").removeprefix("Bearer ")))

        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), keep_blank_values=True))
            self.answer(self.path, *state.exchange(form))

        def answer(self, path: str, status: int, document: Any) -> None:
            body = state.instead.get(path, json.dumps(document).encode())
            if state.down:
                status, body = 500, b"<h1>a page that nobody asked for</h1>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name it has in the library
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
