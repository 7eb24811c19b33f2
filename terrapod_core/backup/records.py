"""The inner form of an archive: a header, rows, objects, a footer, each a record.

    kind (1 byte) | length (4 bytes) | payload

A header or a footer is MessagePack; `ROWS` is one zstd frame of MessagePack: the number of a table in the header, and rows as lists of
values in the order of its columns. `OBJECT` is the next bytes of an object, with its key and whether
more of it follows. The records of one object follow each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
import zstandard

from terrapod_core.backup.problems import DAMAGED, BackupError
from terrapod_core.backup.sealing import Archive, Sealing

FORMAT: Final = 1
LONGEST: Final = 256 * 1024 * 1024
"""Bytes of a record, also when it is unpacked: what is longer is a forgery. A row is what no record is divided into."""

HEADER, ROWS, OBJECT, FOOTER = b"H", b"R", b"O", b"F"
_HEAD: Final = struct.Struct(">cI")


class TableOf(msgspec.Struct, frozen=True):
    """A table in the archive."""

    name: str
    columns: list[str]
    rows: int


class Header(msgspec.Struct, frozen=True):
    """What an archive holds, and what is needed to use it."""

    format: int
    made_at: datetime
    version: str
    """Of the Terrapod that made it."""
    instance: str
    """Name of the installation (`Instance`)."""
    database: str
    storage: str
    revisions: dict[str, str | None]
    """Of the core's and each plugin's migrations."""
    keys: dict[str, str]
    """Id and fingerprint of every key that was given; the keys themselves are not here."""
    tables: list[TableOf]
    objects: int
    """How many different objects the rows name."""
    key_text: str | None = None
    """The keys, in an archive that was made to hold them."""


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one table."""

    table: int
    rows: list[list[Any]]


class ObjectBytes(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of an object, as they lie in the store."""

    key: str
    data: bytes
    more: bool


class Footer(msgspec.Struct, frozen=True):
    """What went in."""

    rows: int
    objects: int
    object_bytes: int
    missing: list[str]
    """The first of the objects that were named and not in the store."""
    missing_count: int


Record = Header | Rows | ObjectBytes | Footer


class RecordWriter:
    """Puts records into an archive. Blocks."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing
        self._zstd = zstandard.ZstdCompressor(level=3)

    def write(self, record: Record) -> None:
        """Put one in. Raises `BackupError` when it is too long for any reader."""
        payload = msgspec.msgpack.encode(record)
        if len(payload) > LONGEST:
            raise BackupError("a row of the database is larger than an archive can hold")
        kind = _KINDS[type(record)]
        if isinstance(record, Rows):
            payload = self._zstd.compress(payload)
        self._sealing.write(_HEAD.pack(kind, len(payload)))
        self._sealing.write(payload)


class RecordReader:
    """Takes records out of an archive. Blocks; raises `BackupError`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._zstd = zstandard.ZstdDecompressor()
        record = self._next()
        if not isinstance(record, Header):
            raise BackupError(DAMAGED)
        if record.format != FORMAT:
            raise BackupError(f"the archive's content is of version {record.format}, and this Terrapod knows {FORMAT}: use a newer one")
        self.header = record

    def batches(self, size: int = 8 << 20) -> Iterator[list[Rows | ObjectBytes | Footer]]:
        """The records behind the header, the footer at last, several at a time; the archive's end is verified with it."""
        held: list[Rows | ObjectBytes | Footer] = []
        length = 0
        while True:
            before = self._archive.position
            record = self._next()
            if isinstance(record, Header):
                raise BackupError(DAMAGED)
            held.append(record)
            length += self._archive.position - before
            if isinstance(record, Footer):
                self._archive.finish()
                yield held
                return
            if length >= size:
                yield held
                held, length = [], 0

    def _next(self) -> Record:
        kind, length = _HEAD.unpack(self._archive.read(_HEAD.size))
        if length > LONGEST or kind not in _TYPES:
            raise BackupError(DAMAGED)
        payload = self._archive.read(length)
        try:
            if kind == ROWS:
                payload = self._zstd.decompress(payload, max_output_size=LONGEST) if _is_bounded(payload) else b""
            record: Record = msgspec.msgpack.decode(payload, type=_TYPES[kind])
        except (msgspec.MsgspecError, zstandard.ZstdError):
            raise BackupError(DAMAGED) from None
        return record


def _is_bounded(payload: bytes) -> bool:
    """Whether a zstd frame says that it fits: memory is taken for what it says."""
    return 0 < zstandard.frame_content_size(payload) <= LONGEST


_TYPES: Final[dict[bytes, Any]] = {HEADER: Header, ROWS: Rows, OBJECT: ObjectBytes, FOOTER: Footer}
_KINDS: Final[dict[type, bytes]] = {kind: code for code, kind in _TYPES.items()}
