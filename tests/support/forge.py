"""A forge as far as git goes: real bare repositories behind real smart HTTP, over TLS, with accounts, knobs and a count of what is asked.

What a certain forge's API answers is in `forge_github.py` and `forge_gitlab.py`, which extend `Forge`. People here push with a real git.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.server import free_port
from tests.support.upstream_server import authority

_GIT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Alice Example",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice Example",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
    "GIT_TERMINAL_PROMPT": "0",
}
MAIN_TF = 'resource "terraform_data" "pet" {\n  input = "rex"\n}\n'


def git(*arguments: str, cwd: Path, data: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a real git prints; fails when git does."""
    done = subprocess.run(["git", *arguments], cwd=cwd, env={**_GIT, **(env or {})}, input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="surrogateescape").strip()


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    target: str = ""
    """Path and query, before anything of them was unquoted."""
    status: int = 0

    @property
    def token(self) -> str | None:
        """What proves who asks, whichever header has it."""
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            return base64.b64decode(value).decode().partition(":")[2]
        return value or self.headers.get("private-token")

    def one(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return self.query.get(name, [default])[0]

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What is sent back; the body of a `stream` is read from a command's output."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: list[str] | None = None

    @classmethod
    def of(cls, document: object, status: int = 200, **headers: str) -> Answer:
        """A document in JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json; charset=utf-8", **named})


@dataclass
class Pull:
    """A pull request; also a closed one."""

    number: int
    title: str
    head_branch: str
    base_branch: str
    repo: str
    """The path of the repository it was opened at."""
    head_repo: str
    """Another one for a fork."""
    body: str = ""
    open: bool = True
    comments: dict[int, str] = field(default_factory=dict)


class Repository:
    """One repository of the forge, and a working copy whose owner pushes to it."""

    def __init__(self, forge: Forge, path: str, *, private: bool = True) -> None:
        self.forge = forge
        self.path = path
        self.private = private
        self.bare = forge.root / f"{path}.git"
        self.copy = forge.root / "copies" / path
        self.bare.mkdir(parents=True)
        self.copy.mkdir(parents=True)
        git("init", "-q", "--bare", "-b", "main", cwd=self.bare)
        git("config", "uploadpack.allowFilter", "true", cwd=self.bare)
        git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=self.bare)
        git("config", "http.receivepack", "true", cwd=self.bare)
        git("init", "-q", "-b", "main", cwd=self.copy)
        git("remote", "add", "origin", self.url, cwd=self.copy)
        self.statuses: list[tuple[str, str, str, str, str]] = []
        """SHA, context, state, description and target of each status, in the order in which they were set; in the forge's words."""

    @property
    def url(self) -> str:
        """Where it is cloned from."""
        return f"{self.forge.url}/{self.path}.git"

    def git(self, *arguments: str) -> str:
        """In the working copy, as its owner."""
        return git(*arguments, cwd=self.copy, env=self.forge.pushing)

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Change the working copy; `None` removes a file."""
        for name, content in files.items():
            path = self.copy / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: Mapping[str, str | bytes | None] | None = None, message: str = "Change it") -> str:
        """Commit in the working copy; the SHA. Nothing is pushed."""
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(
        self,
        files: Mapping[str, str | bytes | None] | None = None,
        message: str = "Change it",
        branch: str = "main",
        *,
        force: bool = False,
    ) -> str:
        """Commit to a branch, which is made when it is not there, and push it; the SHA."""
        self.checkout(branch)
        sha = self.commit(files, message)
        self.git("push", "-q", *(["--force"] if force else []), "origin", f"HEAD:refs/heads/{branch}")
        return sha

    def checkout(self, branch: str) -> None:
        """Go on with a branch, made from where the working copy stands when it is not there."""
        known = self.git("branch", "--list", branch)
        current = self.git("symbolic-ref", "--short", "HEAD")
        if branch != current:
            self.git("checkout", "-q", *([] if known else ["-b"]), branch)

    def tag(self, name: str, *, annotated: bool = False, force: bool = False, sha: str = "HEAD") -> str:
        """Tag a commit and push the tag; the commit's SHA."""
        self.git("tag", *(["-f"] if force else []), *(["-a", "-m", f"Release {name}"] if annotated else []), name, sha)
        self.git("push", "-q", *(["--force"] if force else []), "origin", f"refs/tags/{name}")
        return self.git("rev-parse", f"{name}^{{commit}}")

    def delete_branch(self, branch: str) -> None:
        """Delete a branch at the forge."""
        self.git("push", "-q", "origin", f":refs/heads/{branch}")

    def sha(self, ref: str = "refs/heads/main") -> str:
        """What a ref is at the forge now."""
        return git("rev-parse", ref, cwd=self.bare)


class Forge:
    """Serves repositories. Extend it: `api` answers what is not git's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.tokens: set[str] = {"forge-token"}
        """Those that are let in, beside the one people push with."""
        self.asked: list[Asked] = []
        self.repositories: dict[str, Repository] = {}
        self.pulls: list[Pull] = []
        self.twists: list[tuple[str, Callable[[Asked], Answer | None]]] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def pushing(self) -> dict[str, str]:
        """What a git needs to push as people do."""
        basic = base64.b64encode(b"people:push-token").decode()
        return {
            "GIT_SSL_CAINFO": str(self.ca_file),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate."""
        path = self.root / "forge-ca.pem"
        if not path.exists():
            authority().cert_pem.write_to_path(str(path))
        return path

    # -- what people do

    def repository(self, path: str, files: Mapping[str, str | bytes | None] | None = None, *, private: bool = True) -> Repository:
        """A new repository, with a first commit on `main`."""
        made = Repository(self, path, private=private)
        self.repositories[path] = made
        made.push(files if files is not None else {"main.tf": MAIN_TF}, "Begin")
        return made

    def fork(self, of: str, path: str) -> Repository:
        """Somebody's own copy of a repository."""
        original = self.repositories[of]
        made = Repository(self, path, private=original.private)
        self.repositories[path] = made
        made.git("fetch", "-q", original.url, "main")
        made.git("reset", "-q", "--hard", "FETCH_HEAD")
        made.git("push", "-q", "origin", "HEAD:refs/heads/main")
        return made

    def open_pull(
        self, repo: str, head_branch: str, *, title: str = "Improve it", base: str = "main", head_repo: str | None = None
    ) -> Pull:
        """Open a pull request from a branch that is there; its head is also a ref of the repository, as forges have it."""
        pull = Pull(len(self.pulls) + 1, title, head_branch, base, repo, head_repo or repo)
        self.pulls.append(pull)
        self.bring(pull)
        return pull

    def bring(self, pull: Pull) -> None:
        """Let a pull request's head ref, and the objects of a fork, be in the repository it was opened at."""
        into, source = self.repositories[pull.repo], self.repositories[pull.head_repo]
        git("fetch", "-q", str(source.bare), f"+refs/heads/{pull.head_branch}:{self.pull_ref(pull)}", cwd=into.bare)

    def pull_ref(self, pull: Pull) -> str:
        return f"refs/pull/{pull.number}/head"

    def head_of(self, pull: Pull) -> str:
        """The SHA of its head; a push to its branch has moved it."""
        if pull.open:
            self.bring(pull)
        return self.repositories[pull.repo].sha(self.pull_ref(pull))

    # -- its life

    def start(self) -> None:
        """Listen."""
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                forge._handle(self)

            def log_message(self, *arguments: object) -> None:
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert("localhost", "127.0.0.1").configure_cert(context)
        # The handshake is done in the connection's own thread, at its first read: one silent client holds up nobody.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be away."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            assert self._thread is not None
            self._thread.join()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody listens in this block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def twisted(self, pattern: str, answer: Answer | Callable[[Asked], Answer | None]) -> Iterator[None]:
        """In this block, paths like this are answered otherwise; a function that returns `None` lets the right answer through."""
        twist = (pattern, answer if callable(answer) else lambda _asked: answer)
        self.twists.append(twist)
        try:
            yield
        finally:
            self.twists.remove(twist)

    def count(self, pattern: str = "*", method: str | None = None) -> int:
        """Requests for paths like this since `forget`."""
        with self._lock:
            return sum(fnmatchcase(each.path, pattern) and method in (None, each.method) for each in self.asked)

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.asked.clear()

    # -- answering

    def api(self, asked: Asked) -> Answer:
        """What the forge's own API answers."""
        return Answer.of({"message": "Not Found"}, 404)

    def admits(self, token: str | None) -> bool:
        """Whether git's door is open for whoever shows this."""
        return token == "push-token" or token in self.tokens

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, unquote(parts.path), parse_qs(parts.query), headers, _body(handler), handler.path)
        answer = self._twist(asked)
        if answer is None:
            answer = self._git(asked, parts.path, parts.query) if ".git/" in asked.path else self._conditional(asked, self.api(asked))
        asked.status = answer.status
        with self._lock:
            if asked.token != "push-token":
                self.asked.append(asked)
        _send(handler, answer)

    def _twist(self, asked: Asked) -> Answer | None:
        for pattern, twist in reversed(self.twists):
            if fnmatchcase(asked.path, pattern) and asked.token != "push-token":
                answer = twist(asked)
                if answer is not None:
                    return answer
        return None

    def _conditional(self, asked: Asked, answer: Answer) -> Answer:
        """An `ETag` on every document, and 304 for who has it."""
        if asked.method != "GET" or answer.status != 200 or answer.stream is not None:
            return answer
        etag = f'W/"{hashlib.sha256(answer.body + answer.headers.get("Link", "").encode()).hexdigest()[:32]}"'
        if asked.headers.get("if-none-match") == etag:
            return Answer(304, b"", {"ETag": etag})
        return Answer(answer.status, answer.body, {**answer.headers, "ETag": etag})

    def _git(self, asked: Asked, path: str, query: str) -> Answer:
        repo = self.repositories.get(asked.path.partition(".git/")[0].strip("/"))
        if not self.admits(asked.token):
            return Answer(401, b"who are you?", {"WWW-Authenticate": 'Basic realm="forge"'})
        if repo is None:
            return Answer(404, b"no such repository")
        environ = {
            **_GIT,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": asked.path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": asked.method,
            "CONTENT_TYPE": asked.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(asked.body)),
            "REMOTE_USER": "people",
            "GIT_PROTOCOL": asked.headers.get("git-protocol", ""),
            "HTTP_CONTENT_ENCODING": asked.headers.get("content-encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], env=environ, input=asked.body, capture_output=True, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        named = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(named.pop("Status", "200").split()[0])
        return Answer(status, body, named)

    def archive(self, repo: Repository, sha: str, prefix: str, paths: list[str] | None = None) -> Answer:
        """A commit's tree as forges pack it."""
        command = ["git", "-C", str(repo.bare), "archive", "--format=tar.gz", f"--prefix={prefix}/", sha, *(paths or [])]
        return Answer(200, b"", {"Content-Type": "application/gzip"}, stream=command)


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
        parts = []
        while size := int(handler.rfile.readline().split(b";")[0], 16):
            parts.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(parts)
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    try:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.stream is not None:
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            with subprocess.Popen(answer.stream, stdout=subprocess.PIPE, env=_GIT) as packing:
                assert packing.stdout is not None
                while piece := packing.stdout.read(64 * 1024):
                    handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            handler.wfile.write(b"0\r\n\r\n")
            return
        if answer.status != 304:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer.body)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        handler.close_connection = True
