"""A real `terrapod serve` as a process of its own, for suites that drive it from outside."""

from __future__ import annotations

import base64
import fcntl
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest

from terrapod_core.secrets import Keyring
from tests.support.waiting import until

EMAIL = "admin@example.com"
PASSWORD = "correct horse battery staple"
TOKEN = "bootstrap-token-of-the-tests-0123456789"
KEYS = "test:" + base64.b64encode(bytes(range(32))).decode()
UNLIMITED = {
    "LIMITS__REQUESTS_PER_SECOND_PER_TOKEN": "0",
    "LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS": "0",
    "LIMITS__REQUESTS_PER_MINUTE_PER_RUN": "0",
    "LIMITS__CONNECTIONS_PER_ADDRESS": "0",
}
"""A suite asks as one person from one address, and much faster than one."""

NO_SANDBOX = {"RUNNER__LOCAL__ISOLATION": "none"}
"""Configurations of most tests stop at pipes and write files on this machine. Tests of the sandbox say so."""

OWN_ENGINES = {"MIRRORS__ENGINES": "false"}
"""Runs of most tests use the terraform of this machine, and ask nobody in the internet for another."""

START_SECONDS = 60.0
STOP_SECONDS = 40.0
FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below the ports that the kernel hands out: nobody takes ours while the server is down, and no client connects to itself."""

_started: list[Server] = []
_given: set[int] = set()


class Server:
    """One server: its address, data and admin stay the same however often it is killed and started again.

    `database_url` is that of an empty database, or `None` for SQLite in the data directory. `settings` are further
    `TERRAPOD_…` variables, by the rest of their names.
    """

    email = EMAIL
    password = PASSWORD
    token = TOKEN
    """The API token of the bootstrap admin."""
    program: tuple[str, ...] = ("-m", "terrapod_core")
    """What the interpreter is given before the command."""
    starter: tuple[str, ...] = ()
    """A program that starts the interpreter, where it is to be somebody else's."""

    def __init__(
        self, directory: Path, *, database_url: str | None = None, dev_tls: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "server.log"
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        """As terraform writes a host name."""
        self.url = f"{'https' if dev_tls else 'http'}://{self.host}"
        self.storage = "local"
        """The name of its storage backend."""
        self.authority = self.data / "dev-tls" / "ca.pem" if dev_tls else None
        """What clients have to trust; `None` over plain HTTP."""
        self._settings = UNLIMITED | NO_SANDBOX | OWN_ENGINES | dict(settings or {})
        if database_url is not None:
            # Only a server that has everything in its data directory makes keys for itself.
            self._settings |= {"DATABASE_URL": database_url, "SECRETS__KEYS": KEYS}
        self._process: subprocess.Popen[bytes] | None = None
        self._api: httpx.Client | None = None
        self._shown = 0

    def set(self, name: str, value: str) -> None:
        """One more setting, for the next start."""
        self._settings[name] = value

    @property
    def database_url(self) -> str:
        """Where its database is."""
        return self._settings.get("DATABASE_URL", f"sqlite+aiosqlite:///{self.data / 'terrapod.db'}")

    @property
    def addresses(self) -> list[str]:
        """Where each server of the site is reached without the others."""
        return [self.url]

    # -- its life

    def start(self, *, awaiting: str = "/ready") -> Server:
        """Start it, and return when `/ready` says so; `/health` is for a server that is not to become ready."""
        assert self._process is None, "the server runs already"
        arguments = ["serve", "--port", str(self.port), "--data-dir", str(self.data)]
        if self.authority is not None:
            arguments.append("--dev-tls")
        with self.log.open("ab") as log:
            self._process = self._begin(arguments, log)
        _started.append(self)
        try:
            until(partial(self._answers, awaiting), f"the server at {self.url} to answer at {awaiting}", seconds=START_SECONDS)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> int:
        """SIGTERM, as an operator would; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the server alone: its runners go on, as after a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> Server:
        """Stop it as an operator would, and start it again."""
        assert self.stop() == 0, self.said()
        return self.start()

    def close(self) -> None:
        """The end: whatever runs still works in its directory ends too."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        for process in working_in(self.directory):
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                process.kill()

    @property
    def pid(self) -> int:
        """Of the process that serves now."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    # -- talking to it

    @property
    def api(self) -> httpx.Client:
        """A client of `/api/v2/` as the bootstrap admin; paths are relative: `server.api.get("account/details")`."""
        if self._api is None or self._api.is_closed:
            self._api = self.client(self.token)
        return self._api

    def client(self, token: str | None) -> httpx.Client:
        """A client of `/api/v2/` with another token, or without one. Close it."""
        headers = {"Accept": "application/vnd.api+json", "Content-Type": "application/vnd.api+json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=f"{self.url}/api/v2/", headers=headers, verify=self.trust, timeout=30, trust_env=False)

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """httpx's `verify`."""
        return ssl.create_default_context(cafile=str(self.authority)) if self.authority is not None else True

    @property
    def where(self) -> dict[str, str]:
        """The variables by which a command beside the server finds its database, keys and objects."""
        needed = ("DATABASE_URL", "SECRETS__KEYS", "STORAGE__", "REDIS_URL", "COORDINATION__")
        return {f"TERRAPOD_{name}": value for name, value in self._settings.items() if name.startswith(needed)}

    @property
    def keyring(self) -> Keyring:
        """Its keys, for tests that make links of their own."""
        keys = self._settings.get("SECRETS__KEYS")
        return Keyring.load(keys, self.data, embedded=keys is None)

    def said(self) -> str:
        """All that it wrote to standard output and error."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def news(self) -> str:
        """What it wrote since the last time somebody asked."""
        text = self.said()
        news, self._shown = text[self._shown :], len(text)
        return news

    # --

    def _begin(self, arguments: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in ("PATH", "CHECKPOINT_DISABLE") if name in os.environ}
        environment |= {
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "TERRAPOD_BOOTSTRAP__ADMIN_EMAIL": self.email,
            "TERRAPOD_BOOTSTRAP__ADMIN_PASSWORD": self.password,
            "TERRAPOD_BOOTSTRAP__ADMIN_TOKEN": self.token,
        }
        environment |= {f"TERRAPOD_{name}": value for name, value in self._settings.items()}
        command = [*self.starter, sys.executable, *self.program, *arguments]
        # In a session of its own, so that a Ctrl-C at the tests' terminal reaches the fixture that stops it, and not the server.
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _answers(self, path: str) -> bool:
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            raise AssertionError(f"the server ended at its start with exit code {code}:\n{self.said()[-4000:]}")
        if self.authority is not None and not self.authority.exists():
            return False
        try:
            return httpx.get(f"{self.url}{path}", verify=self.trust, timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "the server does not run"
        if self._api is not None:
            self._api.close()
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not end within {STOP_SECONDS:g} s:\n{self.said()[-4000:]}") from None
        finally:
            _started.remove(self)


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that no other test process was given: a lock of ours says so until we end.

    Between the question and the server that listens lie seconds, and the tests that run side by side ask thousands of times.
    """
    while True:
        port = random.randint(FIRST_PORT, LAST_PORT)
        if port in _given or not _reserved(port):
            continue
        _given.add(port)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _reserved(port: int) -> bool:
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _reservations() -> IO[bytes]:
    """The file whose n-th byte is locked by whoever was given port n; closing it would end all locks of this process."""
    return Path(tempfile.gettempdir(), f"terrapod-ports-{os.getuid()}").open("ab")


@contextmanager
def running(directory: Path, **options: object) -> Iterator[Server]:
    """A started server that is gone at the end; `options` are those of `Server`."""
    server = Server(directory, **options)  # type: ignore[arg-type]
    try:
        yield server.start()
    finally:
        server.close()


def show_logs(report: pytest.TestReport) -> None:
    """Put what each running server wrote during a failed test into its report; forget what it wrote during others."""
    for server in _started:
        news = server.news()
        if report.failed:
            report.sections.append((f"log of the server at {server.url}", news))


def working_in(directory: Path) -> list[psutil.Process]:
    inside = []
    for process in psutil.process_iter():
        try:
            where = Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        if where == directory or directory in where.parents:
            inside.append(process)
    return inside
