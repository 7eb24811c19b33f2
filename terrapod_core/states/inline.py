"""The document that makes a state version, when the state itself may be inside.

As base64 in one attribute a state makes a document of more than a gigabyte, so it is never held: the attribute's bytes flow on as
they come, and what is left is a small document like any other.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from terrapod_core.errors import BadRequest, Invalid, TerrapodError
from terrapod_core.jsonapi import parse
from terrapod_core.states.creation import CreateStateVersion
from terrapod_core.states.scanner import Scanner, Steps
from terrapod_core.storage.streams import batches

DOCUMENT_BYTES: Final = 1 << 20
"""What the document may hold beside the state and its views."""

STATE: Final = "/data/attributes/state"


class CreationReader(Scanner):
    """Reads one document. `has_state` turns true when the state begins; `take` gives what of it was decoded since."""

    what = "document"

    def __init__(self) -> None:
        self.has_state = False
        self.parsed: bytes | None = None
        """The parsed view (`json-state`), when it came too and is small enough to be held."""
        self._kept = 0
        self._data: dict[str, Any] | msgspec.Raw | None = None
        self._attributes: dict[str, msgspec.Raw] = {}
        self._decoded: list[bytes] = []
        self._rest = b""
        self._padded = False
        super().__init__()

    def refused(self, why: str) -> TerrapodError:
        return BadRequest(f"the body is no JSON:API document: {why}")

    def take(self) -> bytes:
        """The bytes of the state decoded since the last call."""
        taken = b"".join(self._decoded)
        self._decoded.clear()
        return taken

    def document(self) -> CreateStateVersion:
        """What else the document said; asked at its end. `BadRequest` or `Invalid` says what is wrong with it."""
        data = {"attributes": self._attributes, **self._data} if isinstance(self._data, dict) else self._data
        return parse(msgspec.json.encode({} if data is None else {"data": data}), CreateStateVersion)

    def member(self, name: str) -> Steps:
        if name != "data":
            yield from self.leaf()
        elif (yield from self.is_object()):
            self._data = {}
            yield from self.members(self._data_member)
        else:
            self._data = yield from self._small()

    def _data_member(self, name: str) -> Steps:
        if name == "attributes" and (yield from self.is_object()):
            yield from self.members(self._attribute)
        else:
            value = yield from self._small()
            if isinstance(self._data, dict):
                self._data[name] = value

    def _attribute(self, name: str) -> Steps:
        wire = name.replace("_", "-")
        if wire == "state" and (yield from self.is_text()):
            if self.has_state:
                raise self.refused("the attribute state is there twice")
            self.has_state = True
            yield from self.text(self._decode)
            if self._rest:
                raise _no_base64()
        elif wire == "state":
            if (yield from self.raw()) != b"null":
                raise _no_base64()
        elif wire == "json-state":
            self.parsed = _parsed((yield from self.leaf()), wire)
        elif wire == "json-state-outputs":
            _parsed((yield from self.leaf()), wire)  # not kept: the outputs are read from the state itself
        else:
            self._attributes[name] = yield from self._small()

    def _small(self) -> Any:
        value: msgspec.Raw | None = yield from self.leaf()
        self._kept += len(memoryview(value)) if value is not None else DOCUMENT_BYTES
        if self._kept >= DOCUMENT_BYTES:
            raise self.refused(f"beside the state it holds more than {DOCUMENT_BYTES} bytes")
        return value

    def _decode(self, piece: bytes) -> None:
        text = self._rest + piece.replace(b"\\/", b"/").replace(b"\\n", b"").replace(b"\\r", b"")
        if not text:
            return
        whole = len(text) // 4 * 4
        self._rest = text[whole:]
        if self._padded:
            raise _no_base64()
        self._padded = text[:whole].endswith(b"=")
        try:
            self._decoded.append(base64.b64decode(text[:whole], validate=True))
        except binascii.Error:
            raise _no_base64() from None


class Incoming:
    """One document on its way in."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._batches = batches(chunks)
        self._reader = CreationReader()

    async def has_state(self) -> bool:
        """Whether the state is inside; what follows its beginning is not read yet. Without one, all has been read."""
        async for batch in self._batches:
            await asyncio.to_thread(self._reader.feed, batch)
            if self._reader.has_state:
                return True
        self._reader.finish()
        return False

    async def state(self) -> AsyncIterator[bytes]:
        """The bytes of the state; the document is there when they have ended."""
        yield self._reader.take()
        async for batch in self._batches:
            await asyncio.to_thread(self._reader.feed, batch)
            yield self._reader.take()
        self._reader.finish()
        yield self._reader.take()

    def document(self) -> CreateStateVersion:
        """What the document said beside the state."""
        return self._reader.document()

    @property
    def parsed(self) -> bytes | None:
        """The parsed view, when it came too."""
        return self._reader.parsed


def _parsed(value: msgspec.Raw | None, name: str) -> bytes | None:
    """The JSON in base64 in a JSON string; `None` for `null` and for one that is too large to be held."""
    try:
        text = msgspec.json.decode(value, type=str | None) if value is not None else None
        if text is None:
            return None
        view = base64.b64decode(text, validate=True)
        msgspec.json.decode(view, type=dict[str, msgspec.Raw])
    except (ValueError, msgspec.MsgspecError) as error:
        raise Invalid(f"{name} must be a JSON object in base64", pointer=f"/data/attributes/{name}") from error
    return view


def _no_base64() -> Invalid:
    return Invalid("state must be the state's bytes in base64", pointer=STATE)
