"""What storing has in common, encrypted or plain: new keys, counted streams, whole or not at all, and a store that fails."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from terrapod_core.errors import TerrapodError, TooLarge, Unavailable
from terrapod_core.plugin import ObjectMissing, StorageBackend, StoreFailed
from terrapod_core.secrets.stream import ahead

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")

log = structlog.get_logger("terrapod.storage")


@dataclass(frozen=True)
class Stored:
    """An object that is whole and durable in the store."""

    key: str
    """Where it lies: for the row, and to read and delete it."""
    size: int
    """Bytes of plaintext, as are the hashes; hexadecimal in lower case."""
    md5: str
    sha256: str


class Counted:
    """The stream that comes in, counted; tells its own failures from those of the store."""

    def __init__(self, chunks: AsyncIterable[bytes], limit: int | None) -> None:
        self._chunks = chunks
        self._limit = limit
        self.failed = False

    async def read(self) -> AsyncGenerator[bytes]:
        """Its chunks. Raises `TooLarge` as soon as there are more bytes than the limit."""
        size = 0
        try:
            async for chunk in self._chunks:
                size += len(chunk)
                if self._limit is not None and size > self._limit:
                    raise TooLarge(f"The body is larger than the limit of {self._limit} bytes ({self._limit / 1024**2:.6g} MiB).")
                yield chunk
        except Exception:
            self.failed = True
            raise


def new_key(stem: str, object_id: str) -> str:
    """A key that nothing has, for an id put into `stem` in the place of `{id}`. `ValueError` for what is no id."""
    if not _ID.fullmatch(object_id):
        raise ValueError(f"{object_id!r} is not an id that an object can be stored for")
    return f"{stem.format(id=object_id)}.{secrets.token_hex(12)}"


async def put_whole(backend: StorageBackend, key: str, source: Counted, pieces: AsyncGenerator[bytes]) -> None:
    """Write what `pieces` makes of `source`. Whatever ends it early leaves nothing behind; raises `Unavailable` for the store's part."""
    try:
        async with contextlib.aclosing(ahead(pieces)) as made:
            await backend.write(key, made)
    except BaseException as error:
        # The backend removes what it had not finished; this is for the one that finished just before a cancellation.
        with contextlib.suppress(Exception):
            await asyncio.shield(backend.delete(key))
        if source.failed or isinstance(error, TerrapodError) or not isinstance(error, Exception):
            raise
        raise _away(backend, "write", error) from error


@contextlib.contextmanager
def working(backend: StorageBackend, doing: str) -> Iterator[None]:
    """Turn failures of the store into `Unavailable`. What is missing, wrongly asked for, or said in our own words passes."""
    try:
        yield
    except (ObjectMissing, TerrapodError, ValueError):
        raise
    except Exception as error:
        raise _away(backend, doing, error) from error


def _away(backend: StorageBackend, doing: str, error: Exception) -> Unavailable:
    """What the client is told; the operator reads the cause in the log."""
    log.warning("the storage failed", storage=backend.name, operation=doing, cause=_cause(error))
    return Unavailable(f"The storage {backend.name!r} does not work at the moment; try again.", retry_after=5)


def _cause(error: Exception) -> str:
    """One line. Texts of client libraries may hold signed URLs, so of what they raise only the type is told."""
    if isinstance(error, StoreFailed):
        return str(error)
    said = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
