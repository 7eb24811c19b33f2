"""Millions of keys in bounded memory: a table that lies on disk as far as it must, and is gone with its connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

PAGE = 500


class KeySet:
    """Different keys, in their order. Blocks for moments only; used by one task at a time."""

    def __init__(self) -> None:
        # "" is a database of SQLite's own in the temporary directory, without a name that anybody else could open.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode=OFF")
        self._file.execute("CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()

    def add(self, keys: Iterable[str]) -> None:
        """Add those that are not there."""
        self._file.executemany("INSERT OR IGNORE INTO keys VALUES (?)", ((key,) for key in keys))

    def __contains__(self, key: str) -> bool:
        return self._file.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone() is not None

    def __len__(self) -> int:
        return int(self._file.execute("SELECT count(*) FROM keys").fetchone()[0])

    def discard(self, key: str) -> bool:
        """Take one out; whether it was there."""
        return self._file.execute("DELETE FROM keys WHERE key = ?", (key,)).rowcount > 0

    def pages(self, size: int = PAGE) -> Iterator[list[str]]:
        """All of them, some at a time; those that are taken out meanwhile may be missing."""
        after = ""
        while page := [row[0] for row in self._file.execute("SELECT key FROM keys WHERE key > ? ORDER BY key LIMIT ?", (after, size))]:
            yield page
            after = page[-1]
