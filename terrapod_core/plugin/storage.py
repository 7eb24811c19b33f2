"""Where bytes lie: states, logs, archives, plan files.

The core compresses and encrypts before it writes, so a backend never sees what is inside.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, runtime_checkable

KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""Segments of letters, digits, `.`, `_` and `-`, joined by `/`; none begins with a dot."""


class ObjectMissing(Exception):
    """There is no object of that key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no object {key}")
        self.key = key


class ObjectExists(Exception):
    """There is an object of that key already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is an object {key} already")
        self.key = key


class CannotSign(Exception):
    """The backend's credentials sign no URLs; the text says what would. The caller lets the core serve the bytes."""


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of a stored object."""

    key: str
    size: int
    """In bytes."""
    modified: datetime
    """When it was written; aware. What `write` returns may be some seconds off."""


def check_key(key: str) -> str:
    """`key` itself, when it is one; `ValueError` for a key that could name anything outside the store."""
    if len(key) > 512 or not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no object key: it must be segments of A-Z a-z 0-9 . _ - joined by /, none beginning with a dot")
    return key


@runtime_checkable
class StorageBackend(Protocol):
    """Keeps objects by key. Every call with a key that `check_key` refuses raises `ValueError`.

    Any other failure (a full disk, a store that is away) is raised as it comes: the core turns it into 503.
    """

    @property
    def name(self) -> str:
        """What `[storage] backend` says to choose it."""
        ...

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store the whole of `chunks` under `key`, in place of what was there.

        Whole or not at all: until it returns, readers see the former object or none, and so they do for ever when
        `chunks` raises or the call is cancelled. When it returns, a power cut does not undo it.
        """
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, without, `end` (`None`: to the end of the object), in chunks.

        A range that passes the end is cut there, one that begins behind it is empty. All chunks come from one version of
        the object, whoever writes meanwhile. Raises `ObjectMissing`, at the first chunk at the latest.
        """
        ...

    async def info(self, key: str) -> ObjectInfo:
        """Size and age of an object; raises `ObjectMissing`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every whole object whose key begins with `prefix` (plain text, "" for all), in no particular order."""
        ...


@runtime_checkable
class SupportsCreating(Protocol):
    """A backend that can store an object only where there is none, however many try at once."""

    async def create(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Like `write`, but raises `ObjectExists`, and changes nothing, when there is an object under `key`.

        Of several who create at once, one at most succeeds. When the connection broke after the store had done it and before
        it said so, `ObjectExists` may be raised for the object that this very call made.
        """
        ...


@runtime_checkable
class SupportsClosing(Protocol):
    """A backend that holds connections."""

    async def close(self) -> None:
        """Let go of them; called once at the end of the process, on the loop that used them."""
        ...


@runtime_checkable
class SupportsSignedURLs(Protocol):
    """A backend whose objects clients may fetch themselves. Without it the core serves the bytes."""

    async def signed_url(self, key: str, method: Literal["GET", "PUT"], expires: timedelta) -> str:
        """An absolute URL that allows `method` on `key` to anybody who holds it, for as long as `expires`.

        Raises `CannotSign` when the credentials in use sign nothing.
        """
        ...
