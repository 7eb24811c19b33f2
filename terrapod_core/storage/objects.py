"""States, plans, logs and configurations, encrypted over the chosen storage backend.

Where they lie (`<attempt>` is random and new with every `put`):

    state               state-versions/<id>/state.<attempt>
    state_json          state-versions/<id>/json.<attempt>
    configuration       configuration-versions/<id>/archive.<attempt>
    plan_file           plans/<id>/plan-file.<attempt>
    plan_json           plans/<id>/plan-json.<attempt>
    provider_schemas    plans/<id>/provider-schemas.<attempt>
    log                 logs/<id>/log.<attempt>                    id of the plan or apply
    audit               audit/<id>/entries.<attempt>               id of the archive

Two uploads of one thing at the same moment therefore never touch each other's bytes: each returns its own key, and the one
whose key is stored in the row, in the row's own transaction, is the object. The key is no secret and no protection: the bytes
are bound to kind and id by their encryption, so a key copied to another row reads nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from terrapod_core.errors import NotFound, TerrapodError, TooLarge, Unavailable
from terrapod_core.plugin import ObjectMissing, StorageBackend
from terrapod_core.secrets import Keyring, SecretUnreadable
from terrapod_core.secrets.frames import WRAPPED_TAIL, Binding, Directory, rewrapped, wrapped_key
from terrapod_core.secrets.stream import ObjectEncoder, ReadRange, ahead, decode, open_directory

_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")


class ObjectKind(StrEnum):
    """What an object is. Part of what its encryption is bound to: a value never changes."""

    STATE = "state"
    STATE_JSON = "state_json"
    CONFIGURATION = "configuration"
    PLAN_FILE = "plan_file"
    PLAN_JSON = "plan_json"
    PROVIDER_SCHEMAS = "provider_schemas"
    LOG = "log"
    AUDIT = "audit"


LAYOUT: Final[dict[ObjectKind, str]] = {
    ObjectKind.STATE: "state-versions/{id}/state",
    ObjectKind.STATE_JSON: "state-versions/{id}/json",
    ObjectKind.CONFIGURATION: "configuration-versions/{id}/archive",
    ObjectKind.PLAN_FILE: "plans/{id}/plan-file",
    ObjectKind.PLAN_JSON: "plans/{id}/plan-json",
    ObjectKind.PROVIDER_SCHEMAS: "plans/{id}/provider-schemas",
    ObjectKind.LOG: "logs/{id}/log",
    ObjectKind.AUDIT: "audit/{id}/entries",
}


@dataclass(frozen=True)
class Stored:
    """An object that is whole and durable in the store."""

    key: str
    """Where it lies: for the row, and for `get` and `delete`."""
    size: int
    """Bytes of plaintext, as are the hashes; hexadecimal in lower case."""
    md5: str
    sha256: str


class Objects:
    """Puts and gets objects; computing and waiting for disks happen off the event loop."""

    def __init__(self, backend: StorageBackend, keyring: Keyring) -> None:
        self._backend = backend
        self._keyring = keyring

    async def put(self, kind: ObjectKind, object_id: str, chunks: AsyncIterable[bytes], *, limit: int | None) -> Stored:
        """Store a stream whole or not at all; it is durable when this returns.

        `limit` is in bytes of plaintext (`None`: no limit); `TooLarge` as soon as it is passed. Whatever ends the stream
        early, the limit, an error of `chunks` or a cancellation, leaves nothing behind.
        """
        key = f"{_stem(kind, object_id)}.{secrets.token_hex(12)}"
        encoder = ObjectEncoder(Binding(self._keyring, kind.value, object_id))
        source = _Source(chunks, limit)
        try:
            async with contextlib.aclosing(ahead(encoder.encode(source.read()))) as encoded:
                await self._backend.write(key, encoded)
        except BaseException as error:
            # The backend removes what it had not finished; this is for the one that finished just before a cancellation.
            with contextlib.suppress(Exception):
                await asyncio.shield(self._backend.delete(key))
            if source.failed or isinstance(error, TerrapodError) or not isinstance(error, Exception):
                raise
            raise self._away() from error
        digests = encoder.digests
        return Stored(key, digests.size, digests.md5, digests.sha256)

    async def get(self, kind: ObjectKind, object_id: str, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to `end` (exclusive; `None`: to the end), in chunks of up to 1 MiB.

        A range beyond the end gives what there is. Raises `NotFound` when the store has no such object, `SecretUnreadable` when
        it is damaged or belongs to another kind or id; the directory of the whole object is verified before the first chunk.
        """

        def read(first: int, beyond: int) -> AsyncIterator[bytes]:
            return self._backend.read(key, first, beyond)

        try:
            directory = await self._directory(Binding(self._keyring, kind.value, object_id), key, read)
            async with contextlib.aclosing(ahead(decode(directory, read, start, end))) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ObjectMissing:
            raise NotFound(f"The {kind.value.replace('_', ' ')} of {object_id} is no longer in the store.") from None
        except (TerrapodError, ValueError):
            raise
        except Exception as error:
            raise self._away() from error

    async def _directory(self, binding: Binding, key: str, read: ReadRange) -> Directory:
        size = (await self._backend.info(key)).size
        while True:
            try:
                return await open_directory(binding, size, read)
            except SecretUnreadable:
                # A rotation replaced it between the look at its size and the read of its end; all before the end stays the same.
                again = (await self._backend.info(key)).size
                if again == size:
                    raise
                size = again

    async def key_id(self, key: str) -> str:
        """Id of the instance's key that an object needs, as it says itself. Raises `NotFound` and `SecretUnreadable`."""
        try:
            _, tail = await self._end_of(key)
        except ObjectMissing:
            raise NotFound(f"The object {key} is no longer in the store.") from None
        except Exception as error:
            raise self._away() from error
        return Keyring.key_id_of(wrapped_key(tail))

    async def rewrap(self, kind: ObjectKind, object_id: str, key: str) -> None:
        """Put the object's data key under the newest key. Raises `NotFound` and `SecretUnreadable`; nothing has changed then.

        The store can only replace a whole object, so its bytes pass through here once, in constant memory and without being
        decrypted. Readers are not disturbed: the bytes in front of the wrapped key are the same before and after, and a read
        that began before the replacement goes on with the former object.
        """
        try:
            size, tail = await self._end_of(key)
            replaced, end = rewrapped(Binding(self._keyring, kind.value, object_id), tail)
            await self._backend.write(key, self._followed_by(key, size - replaced, end))
        except ObjectMissing:
            raise NotFound(f"The {kind.value.replace('_', ' ')} of {object_id} is no longer in the store.") from None
        except TerrapodError:
            raise
        except Exception as error:
            raise self._away() from error

    async def _end_of(self, key: str) -> tuple[int, bytes]:
        """The size of an object as it is stored, and its last bytes, its wrapped data key among them."""
        size = (await self._backend.info(key)).size
        return size, b"".join([part async for part in self._backend.read(key, max(0, size - WRAPPED_TAIL), size)])

    async def _followed_by(self, key: str, length: int, end: bytes) -> AsyncGenerator[bytes]:
        seen = 0
        async for piece in self._backend.read(key, 0, length):
            seen += len(piece)
            yield piece
        if seen != length:
            raise SecretUnreadable(f"The object {key} changed while it was read.")
        yield end

    def _away(self) -> Unavailable:
        """What the client is told when the store fails; the cause is chained, for the log only."""
        return Unavailable(f"The storage {self._backend.name!r} does not work at the moment; try again.", retry_after=5)

    async def exists(self, key: str) -> bool:
        """Whether the store holds an object under this key; its content is not read."""
        try:
            await self._backend.info(key)
        except ObjectMissing:
            return False
        return True

    async def delete(self, key: str) -> None:
        """Remove an object; one that is absent is fine."""
        await self._backend.delete(key)


def _stem(kind: ObjectKind, object_id: str) -> str:
    if not _ID.match(object_id):
        raise ValueError(f"{object_id!r} is not an id that an object can be stored for")
    return LAYOUT[kind].format(id=object_id)


class _Source:
    """The stream that comes in, counted; tells its own failures from those of the store."""

    def __init__(self, chunks: AsyncIterable[bytes], limit: int | None) -> None:
        self._chunks = chunks
        self._limit = limit
        self.failed = False

    async def read(self) -> AsyncGenerator[bytes]:
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
