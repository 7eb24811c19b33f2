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

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from enum import StrEnum
from typing import Final

from terrapod_core.errors import NotFound
from terrapod_core.plugin import ObjectMissing, StorageBackend
from terrapod_core.secrets import Keyring, SecretUnreadable
from terrapod_core.secrets.frames import WRAPPED_TAIL, Binding, Directory, rewrapped, wrapped_key
from terrapod_core.secrets.stream import ObjectEncoder, ReadRange, ahead, decode, open_directory
from terrapod_core.storage.storing import Counted, Stored, new_key, put_whole, working


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
        key = new_key(LAYOUT[kind], object_id)
        encoder = ObjectEncoder(Binding(self._keyring, kind.value, object_id))
        source = Counted(chunks, limit)
        await put_whole(self._backend, key, source, encoder.encode(source.read()))
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
            with working(self._backend, "read"):
                directory = await self._directory(Binding(self._keyring, kind.value, object_id), key, read)
                async with contextlib.aclosing(ahead(decode(directory, read, start, end))) as chunks:
                    async for chunk in chunks:
                        yield chunk
        except ObjectMissing:
            raise NotFound(f"The {kind.value.replace('_', ' ')} of {object_id} is no longer in the store.") from None

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
            with working(self._backend, "read"):
                _, tail = await self._end_of(key)
        except ObjectMissing:
            raise NotFound(f"The object {key} is no longer in the store.") from None
        return Keyring.key_id_of(wrapped_key(tail))

    async def rewrap(self, kind: ObjectKind, object_id: str, key: str) -> None:
        """Put the object's data key under the newest key. Raises `NotFound` and `SecretUnreadable`; nothing has changed then.

        The store can only replace a whole object, so its bytes pass through here once, in constant memory and without being
        decrypted. Readers are not disturbed: the bytes in front of the wrapped key are the same before and after, and a read
        that began before the replacement goes on with the former object.
        """
        try:
            with working(self._backend, "rewrite"):
                size, tail = await self._end_of(key)
                replaced, end = rewrapped(Binding(self._keyring, kind.value, object_id), tail)
                await self._backend.write(key, self._followed_by(key, size - replaced, end))
        except ObjectMissing:
            raise NotFound(f"The {kind.value.replace('_', ' ')} of {object_id} is no longer in the store.") from None

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

    async def exists(self, key: str) -> bool:
        """Whether the store holds an object under this key; its content is not read. Raises `Unavailable`."""
        try:
            with working(self._backend, "look"):
                await self._backend.info(key)
        except ObjectMissing:
            return False
        return True

    async def delete(self, key: str) -> None:
        """Remove an object; one that is absent is fine. Raises `Unavailable`."""
        with working(self._backend, "delete"):
            await self._backend.delete(key)
