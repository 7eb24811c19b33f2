"""What backends over object stores have in common: blocks, retries, one version per read, and errors an operator can act on.

A plugin extends `ObjectStore` with the requests of its service, each of which asks once; here they are asked again when that
can help. The core's own streams are never read twice for it: what is sent again is a block that is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Annotated, Final, NoReturn, Protocol, TypeVar

from msgspec import Meta

from terrapod_core.plugin.settings import PluginSettings
from terrapod_core.plugin.storage import ObjectExists, ObjectInfo, ObjectMissing, check_key
from terrapod_core.settings import setting

BLOCK: Final = 6 * 1024 * 1024
"""Bytes that are sent in one request, unless a store wants others; a smaller object is one request as a whole."""
PIECE: Final = 1024 * 1024
"""Bytes that a read hands over at once, at most."""
FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 10.0
AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may work a moment later."""

T = TypeVar("T")


class StoreFailed(Exception):
    """The store does not do what it should. The text is one sentence that an operator can act on, with no secret in it."""


@dataclass(frozen=True, kw_only=True)
class ObjectStoreSettings(PluginSettings):
    """What can be chosen of every object store."""

    prefix: str = setting(
        "", "What the names of all objects begin with, when the place is shared: `terrapod` keeps them under `terrapod/`."
    )
    connect_timeout_seconds: Annotated[float, Meta(gt=0)] = setting(5.0, "How long a connection to the store may take.")
    read_timeout_seconds: Annotated[float, Meta(gt=0)] = setting(30.0, "How long the store may be silent within an answer.")
    retries: Annotated[int, Meta(ge=0, le=20)] = setting(4, "How often a request is made again that met a 429, a 5xx or no connection.")
    retry_seconds: Annotated[float, Meta(gt=0)] = setting(60.0, "How long one request may take with all its repetitions.")

    def __post_init__(self) -> None:
        if self.prefix:
            check_key(self.prefix.removesuffix("/"))

    @property
    def patience(self) -> Patience:
        """How long to go on."""
        return Patience(self.retries, self.retry_seconds)


@dataclass(frozen=True)
class Patience:
    """How often a request is repeated, and for how many seconds in all."""

    retries: int = 4
    seconds: float = 60.0


class Fault(Enum):
    """What an error of a service means to us."""

    MISSING = auto()
    UNMET = auto()
    """A condition does not hold: the object is there already, or is no longer the version that was asked for."""
    BEYOND = auto()
    """The range begins behind the end of the object."""
    AWAY = auto()
    """It may work a moment later."""
    REFUSED = auto()
    """It will not work until somebody does something."""


FAULTS: Final = {404: Fault.MISSING, 412: Fault.UNMET, 416: Fault.BEYOND}
"""What statuses mean, unless the service has a word that says otherwise."""


@dataclass(frozen=True)
class Verdict:
    """An error of a service, judged."""

    fault: Fault
    words: str = ""
    """For `AWAY` and `REFUSED`: what to tell the operator, a sentence without its full stop."""
    wait: float = 0.0
    """Seconds that the service asks us to wait."""


@dataclass(frozen=True)
class Opened:
    """An answer that brings bytes."""

    version: str
    """Names the version of the object, for the next request."""
    end: int
    """Where the bytes end, as a position in the object."""
    pieces: AsyncGenerator[bytes]


@dataclass(frozen=True)
class Page:
    """Some objects of a listing, by their whole names."""

    objects: Sequence[ObjectInfo]
    next: str | None
    """What to ask for the next page with; `None` after the last."""


class Upload(Protocol):
    """An object that is sent in blocks. Nothing of it is seen until `finish`; a call that failed may be made again."""

    async def begin(self) -> None:
        """Tell the service."""
        ...

    async def part(self, number: int, data: bytes, *, last: bool) -> None:
        """Send block `number`, counted from 0."""
        ...

    async def finish(self) -> ObjectInfo:
        """Make the object of the blocks."""
        ...

    async def abort(self) -> None:
        """Throw away what was sent."""
        ...


class ObjectStore(ABC):
    """A storage backend over the requests of one service: the methods that are abstract here, each of which asks once.

    They take whole names, with the prefix; they raise what the client library raises, and `_judge` says what that means.
    """

    name: str
    in_flight = 2
    """Blocks that are on their way at once, while the next one is gathered."""
    block = BLOCK
    """Bytes of a block."""
    single = BLOCK
    """Bytes of the largest object that is stored by one request."""

    def __init__(self, where: str, settings: ObjectStoreSettings) -> None:
        """`where` names the place in sentences: `the bucket states at https://minio.example.com`."""
        self._where = where
        self._prefix = settings.prefix.removesuffix("/") + "/" if settings.prefix else ""
        self._patience = settings.patience
        self._ending: set[asyncio.Task[None]] = set()

    # -- what a service gives

    @abstractmethod
    async def _put(self, name: str, data: bytes, *, create: bool) -> ObjectInfo:
        """Store a small object; with `create` only where there is none."""

    @abstractmethod
    def _upload(self, name: str, *, create: bool) -> Upload:
        """An object to be sent in blocks; it asks nothing yet."""

    @abstractmethod
    async def _open(self, name: str, start: int, end: int | None, version: str | None) -> Opened:
        """Ask for bytes, of this version when one is named."""

    @abstractmethod
    async def _head(self, name: str) -> ObjectInfo:
        """Size and age."""

    @abstractmethod
    async def _remove(self, name: str) -> None:
        """Delete; it may raise for one that is missing."""

    @abstractmethod
    async def _page(self, prefix: str, after: str | None) -> Page:
        """A page of a listing."""

    @abstractmethod
    def _judge(self, error: Exception) -> Verdict:
        """What an error means."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close the connections; a later request makes new ones."""

    # -- the backend

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store an object: a small one by one request, a large one by blocks. Raises `StoreFailed`."""
        return await self._write(key, chunks, create=False)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of a range as they come; a connection that breaks is made again for the same version.

        Raises `ObjectMissing`, and `StoreFailed`, also when the object was replaced and the connection to the former one broke.
        """
        name = self._named(key)
        if end is not None and end <= start:
            await self.info(key)
            return
        at, version, broken = start, None, 0
        while True:
            opened = await self._opened(key, name, at, end, version)
            if opened is None:
                return
            version = opened.version
            try:
                async with contextlib.aclosing(opened.pieces) as pieces:
                    async for piece in pieces:
                        broken = 0
                        for part in _pieces(piece):
                            at += len(part)
                            yield part
                if at >= opened.end:
                    return
                raise ConnectionResetError("the answer ended early")
            except Exception as error:  # noqa: BLE001 - judged, and raised unless it can be mended
                broken += 1
                verdict = self._judged(error)
                if verdict.fault is Fault.UNMET:
                    raise self._replaced(key) from None
                if verdict.fault is not Fault.AWAY or broken > self._patience.retries:
                    self._fail(key, error, verdict)
            await asyncio.sleep(_wait(broken))

    async def info(self, key: str) -> ObjectInfo:
        """Size and age of an object. Raises `ObjectMissing` and `StoreFailed`."""
        name = self._named(key)
        return self._ours(await self._kept_at(key, lambda: self._head(name)))

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already. Raises `StoreFailed`."""
        name = self._named(key)
        with contextlib.suppress(ObjectMissing):
            await self._kept_at(key, lambda: self._remove(name))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, a page at a time. Raises `StoreFailed`."""
        after: str | None = None
        while True:
            page = await self._kept_at(prefix, lambda after=after: self._page(self._prefix + prefix, after))  # type: ignore[misc]
            for found in page.objects:
                info = self._ours(found)
                if _is_key(info.key):  # what others put there is not ours
                    yield info
            after = page.next
            if after is None:
                return

    async def close(self) -> None:
        """Wait for what still tidies up, and let go of the connections."""
        if self._ending:
            await asyncio.wait(self._ending)
        await self._disconnect()

    # -- for the plugins

    def _named(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _answer(self, status: int | None, code: str, after: str | None) -> Verdict:
        """The verdict on a status; `code` is the service's own word for it, `after` its `Retry-After`."""
        if status in FAULTS:
            return Verdict(FAULTS[status])
        said = f"{status} ({code})" if status and code else str(status or code)
        if status in AGAIN:
            return Verdict(Fault.AWAY, f"{self._where} answers {said}; check the store if this lasts", _seconds(after))
        if status in (401, 403):
            return Verdict(
                Fault.REFUSED,
                f"{self._where} refuses access with {said}; check the credentials, and that they may read, write, list and delete there",
            )
        return Verdict(Fault.REFUSED, f"{self._where} answers {said}; check its settings, and the log of the store")

    def _unreachable(self, why: str) -> Verdict:
        """The verdict on a connection that cannot be made, or breaks."""
        return Verdict(Fault.AWAY, f"{self._where} cannot be reached ({why}); check that the store runs and that this server can reach it")

    async def _kept_at(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, asked again while that can help. Raises `ObjectMissing`, `ObjectExists` and `StoreFailed`."""
        end = time.monotonic() + self._patience.seconds
        for attempt in itertools.count(1):
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    return await ask()
            except Exception as error:  # noqa: BLE001 - judged, and raised unless it can be mended
                verdict = self._judged(error)
                wait = max(_wait(attempt), verdict.wait)
                if verdict.fault is not Fault.AWAY or attempt > self._patience.retries or time.monotonic() + wait >= end:
                    self._fail(key, error, verdict)
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    # --

    async def _opened(self, key: str, name: str, at: int, end: int | None, version: str | None) -> Opened | None:
        try:
            opened = await self._kept_at(key, lambda: self._open(name, at, end, version))
        except _Beyond:
            return None
        except ObjectExists:
            raise self._replaced(key) from None
        if version is not None and opened.version != version:  # some stores do not read the condition
            await anext(opened.pieces, None)  # what never began does not end either
            await opened.pieces.aclose()
            raise self._replaced(key)
        return opened

    def _replaced(self, key: str) -> StoreFailed:
        return StoreFailed(f"the object {key} in {self._where} was replaced while it was read; read it again")

    async def _write(self, key: str, chunks: AsyncIterable[bytes], *, create: bool) -> ObjectInfo:
        name = self._named(key)
        async with contextlib.aclosing(_blocks(chunks, self.block)) as blocks:
            first = deque([await anext(blocks)])  # popped where it is sent: a frame that waits holds no block
            if first[0][1] and len(first[0][0]) <= self.single:
                return self._ours(await self._kept_at(key, lambda: self._put(name, first[0][0], create=create)))
            return self._ours(await self._send(key, self._upload(name, create=create), first, blocks))

    async def _send(
        self, key: str, upload: Upload, first: deque[tuple[bytes, bool]], blocks: AsyncIterator[tuple[bytes, bool]]
    ) -> ObjectInfo:
        sending: deque[asyncio.Task[None]] = deque()
        try:
            await self._kept_at(key, upload.begin)
            sending.append(asyncio.create_task(self._part(key, upload, 0, *first.pop())))
            number = 0
            async for block, last in blocks:
                number += 1
                while len(sending) >= self.in_flight:
                    await sending[0]
                    sending.popleft()
                sending.append(asyncio.create_task(self._part(key, upload, number, block, last)))
            for task in sending:
                await task
            return await self._kept_at(key, upload.finish)
        except BaseException:
            ending = asyncio.create_task(self._give_up(key, upload, sending))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)  # a second cancellation changes nothing
            raise

    async def _part(self, key: str, upload: Upload, number: int, block: bytes, last: bool) -> None:
        await self._kept_at(key, lambda: upload.part(number, block, last=last))

    async def _give_up(self, key: str, upload: Upload, sending: deque[asyncio.Task[None]]) -> None:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        # What cannot be thrown away now, the service's own rule for unfinished uploads removes.
        with contextlib.suppress(StoreFailed, ObjectMissing):
            await self._kept_at(key, upload.abort)

    def _ours(self, found: ObjectInfo) -> ObjectInfo:
        return ObjectInfo(found.key.removeprefix(self._prefix), found.size, found.modified)

    def _judged(self, error: Exception) -> Verdict:
        if isinstance(error, (StoreFailed, ObjectMissing, ObjectExists)):
            raise error
        if isinstance(error, TimeoutError):
            return self._unreachable("no answer in time")
        if isinstance(error, ConnectionError):
            return self._unreachable("the connection broke")
        return self._judge(error)

    def _fail(self, key: str, error: Exception, verdict: Verdict) -> NoReturn:
        match verdict.fault:
            case Fault.MISSING:
                raise ObjectMissing(key) from None
            case Fault.UNMET:
                raise ObjectExists(key) from None
            case Fault.BEYOND:
                raise _Beyond from None
            case _:
                raise StoreFailed(verdict.words) from error


class _Beyond(Exception):
    """There is nothing in the range."""


async def _blocks(chunks: AsyncIterable[bytes], size: int) -> AsyncGenerator[tuple[bytes, bool]]:
    """A stream in blocks of `size` bytes; each with whether it is the last, which alone may be smaller, or empty."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) > size:
            with memoryview(held) as view:
                block = view[:size].tobytes()
            del held[:size]
            yield block, False
    block = bytes(held)
    held.clear()
    yield block, True


def _pieces(data: bytes) -> Sequence[bytes]:
    if len(data) <= PIECE:
        return [data] if data else []
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


def _wait(attempt: int) -> float:
    """Seconds before the next attempt: any time up to a limit that doubles, so that many who failed together spread out."""
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)))  # noqa: S311 - no secret


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def _seconds(value: str | None) -> float:
    """The seconds that a `Retry-After` names, up to a limit; 0 when it names a date, or nothing."""
    return min(float(value), LONGEST_WAIT) if value and re.fullmatch(r"\d{1,9}", value) else 0.0


def http_date(value: str | None, now: Callable[[], datetime]) -> datetime:
    """The time in a `Date` or `Last-Modified`; `now()` without one."""
    try:
        return parsedate_to_datetime(value) if value else now()
    except ValueError:
        return now()
