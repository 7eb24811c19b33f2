"""What stands in an archive behind its header, judged as it passes: the rules that hold for whatever comes from outside.

The frames prove that nobody changed the archive who does not know its secret; these, that whoever does can write nothing anywhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Self

from terrapod_core.backup.problems import DAMAGED, BackupError
from terrapod_core.backup.records import Footer, ObjectBytes, RecordReader, Rows
from terrapod_core.plugin.storage import check_key
from terrapod_core.storage.key_sets import KeySet


class Contents:
    """One pass over an archive. Raises `BackupError`, at its end at the latest, for one that is not whole."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader
        self._keys = KeySet()
        self._open: str | None = None
        """The object whose bytes follow."""
        self.rows = 0
        self.objects = 0
        self.object_bytes = 0
        self.footer: Footer | None = None

    def __enter__(self) -> Self:
        self._keys.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._keys.__exit__(None, None, None)

    async def records(self) -> AsyncGenerator[Rows | ObjectBytes]:
        """Rows, then objects; the footer is there when this ends. Decrypts and unpacks in a thread."""
        batches = self._reader.batches()
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for each in batch:
                if isinstance(each, Rows):
                    self._see_rows(each)
                    yield each
                elif isinstance(each, ObjectBytes):
                    self._see_object(each)
                    yield each
                else:
                    self._see_footer(each)

    def written(self, key: str) -> bool:
        """Whether the archive has an object of this key, as far as it was read."""
        return key in self._keys

    @property
    def keys(self) -> KeySet:
        """The keys of all objects so far."""
        return self._keys

    def _see_rows(self, rows: Rows) -> None:
        if self.objects or self._open is not None:
            raise BackupError(DAMAGED)
        self.rows += len(rows.rows)

    def _see_object(self, piece: ObjectBytes) -> None:
        if self._open is None:
            try:
                check_key(piece.key)
            except ValueError:
                raise BackupError(f"the archive holds an object that no store may keep: {piece.key!r}") from None
            if piece.key in self._keys:
                raise BackupError(DAMAGED)
            self._keys.add([piece.key])
        elif piece.key != self._open:
            raise BackupError(DAMAGED)
        self._open = piece.key if piece.more else None
        self.objects += not piece.more
        self.object_bytes += len(piece.data)

    def _see_footer(self, footer: Footer) -> None:
        told = (footer.rows, footer.objects, footer.object_bytes)
        expected = (sum(table.rows for table in self._reader.header.tables), self._reader.header.objects - footer.missing_count)
        if self._open is not None or told != (self.rows, self.objects, self.object_bytes) or told[:2] != expected:
            raise BackupError(DAMAGED)
        self.footer = footer
