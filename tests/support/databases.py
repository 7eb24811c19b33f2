"""Fresh databases of one kind, SQLite files or PostgreSQL databases, behind one door."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.support.postgres import PostgresServer

Fill = Callable[[str], None]


class Databases(Protocol):
    """Where tests get databases from. URLs are those of `TERRAPOD_DATABASE_URL`."""

    def empty(self) -> str:
        """Make a database without a table and return its URL."""

    def copy_of(self, template: str, fill: Fill) -> str:
        """Make a copy of a template and return its URL; `fill(url)` makes the template the first time it is asked for."""

    def drop(self, url: str) -> None:
        """Remove a database, whoever still holds it open."""


class SQLiteDatabases:
    """One file each in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._templates: dict[str, Path] = {}

    def empty(self) -> str:
        return self._url(self._file())

    def copy_of(self, template: str, fill: Fill) -> str:
        if template not in self._templates:
            made = self._file()
            fill(self._url(made))
            self._templates[template] = made
        copy = self._file()
        # With the write-ahead log, if `fill` left one: without it the copy would lack the newest pages.
        for ending in ("", "-wal"):
            source = self._templates[template].with_name(self._templates[template].name + ending)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + ending))
        return self._url(copy)

    def drop(self, url: str) -> None:
        path = Path(url.partition(":///")[2])
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)

    def _file(self) -> Path:
        return self._directory / f"t{next(self._numbers)}.db"

    @staticmethod
    def _url(path: Path) -> str:
        return f"sqlite+aiosqlite:///{path}"


class PostgreSQLDatabases:
    """One database each on a server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def empty(self) -> str:
        return self._server.url(self._server.create())

    def copy_of(self, template: str, fill: Fill) -> str:
        return self._server.url(self._server.create_from(template, fill))

    def drop(self, url: str) -> None:
        self._server.drop(url.partition("?")[0].rpartition("/")[2])
