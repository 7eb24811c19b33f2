"""What still needs which key: sealed columns, objects of the store, hashes, and signed links that are on their way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.secrets import SEALED, Keyring, SecretUnreadable
from terrapod_core.secrets.models import KeyCheck
from terrapod_core.secrets.resealing import count
from terrapod_core.secrets.watch import NOTED
from terrapod_core.storage.named import NAMED, Named
from terrapod_core.storage.objects import Objects

LINKS_LIVE: Final = timedelta(days=2)
"""The longest life of anything signed: the credential of a runner."""

BATCH: Final = 200
ASKED_AT_ONCE: Final = 8

Hashes = Mapping[str, Callable[[Session, datetime], Counter[str | None]]]
"""By name: how many hashes rest on each key; under `None` those of which it is not known."""


@dataclass
class KeyStanding:
    """One key, and what needs it."""

    key_id: str
    given: bool
    newest: bool
    """It is the one that seals."""
    settles_at: datetime | None
    """When it begins to; `None` when that is past, or it was never registered."""
    registered_at: datetime | None
    links_until: datetime | None
    """Until then links, form fields and runner credentials that were signed with it may still be shown."""
    stored: dict[str, int] = field(default_factory=dict)
    """Sealed values by column, and objects by kind: `values of variables.value`, `objects of kind state`."""
    hashed: dict[str, int] = field(default_factory=dict)
    """Tokens and sessions."""

    @property
    def needed_by(self) -> list[str]:
        """What of it is stored, in words: `12 values of variables.value`."""
        return [f"{number} {what}" for what, number in {**self.stored, **self.hashed}.items()]


@dataclass(frozen=True)
class Standing:
    """All keys, the newest first, and the hashes of which nobody knows the key."""

    keys: list[KeyStanding]
    unknown: dict[str, int]
    """Live tokens and sessions that were made before the key was noted with them."""


class KeyUses:
    """Looks through everything that rests on keys. What it says is of that moment: others go on writing."""

    def __init__(self, db: Database, keyring: Keyring, objects: Objects, hashes: Hashes, signed: Hashes) -> None:
        """`hashes` are of what people show; `signed` vouches for something, and is not needed to go on."""
        self._db = db
        self._keyring = keyring
        self._objects = objects
        self._hashes = hashes
        self._signed = signed

    async def needed(self, but_for: Collection[str]) -> dict[str, list[str]]:
        """Which keys stored values and objects need, but for those named, and for what."""
        return _by_key({**await self._columns(but_for), **await self._kinds()}, but_for)

    async def hashed(self, but_for: Collection[str]) -> dict[str, list[str]]:
        """Likewise which keys live tokens and sessions need. Those of which nobody knows the key are left out."""
        return _by_key(await self._count(self._hashes), but_for)

    async def standing(self) -> Standing:
        """Every key that is given, registered or needed, and what needs it. Reads the end of every object in the store."""
        now = self._db.clock.now()
        checks = await self._db.read(lambda session: {row.key_id: row for row in session.execute(select(KeyCheck)).scalars()})
        stored = {**await self._columns(self._keyring.given), **await self._kinds()}
        hashed = await self._count({**self._hashes, **self._signed})
        everywhere = {key_id for counts in stored.values() for key_id in counts}
        everywhere |= {key_id for counts in hashed.values() for key_id in counts if key_id is not None}
        ids = list(dict.fromkeys([*self._keyring.key_ids, *sorted(checks), *sorted(everywhere)]))
        keys = [self._of(key_id, checks.get(key_id), now) for key_id in ids]
        for key in keys:
            key.stored = {what: counts[key.key_id] for what, counts in stored.items() if counts[key.key_id]}
            key.hashed = {what: counts[key.key_id] for what, counts in hashed.items() if counts[key.key_id]}
        return Standing(keys, {what: counts[None] for what, counts in hashed.items() if counts[None]})

    def _of(self, key_id: str, check: KeyCheck | None, now: datetime) -> KeyStanding:
        newest = key_id == self._keyring.newest
        links = check.newest_at + NOTED + LINKS_LIVE if check is not None and check.newest_at is not None and not newest else None
        return KeyStanding(
            key_id,
            given=key_id in self._keyring.given,
            newest=newest,
            settles_at=check.settles_at if check is not None and check.settles_at > now else None,
            registered_at=check.registered_at if check is not None else None,
            links_until=links if links is not None and links > now else None,
        )

    async def _count(self, hashes: Hashes) -> dict[str, Counter[str | None]]:
        now = self._db.clock.now()
        return await self._db.read(lambda session: {what: query(session, now) for what, query in hashes.items()})

    async def _columns(self, known: Collection[str]) -> dict[str, Counter[str]]:
        ids = [*known] or [self._keyring.newest]
        found: dict[str, Counter[str]] = {}
        for column in SEALED:
            found[f"values of {column.name}"] = await self._db.read(lambda session, column=column: count(session, column, ids))  # type: ignore[misc]
        return found

    async def _kinds(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for named in NAMED.sealed():
            counts: Counter[str] = Counter()
            async for batch in batches(self._db, named):
                counts.update([key_id for key_id in await keys_of(self._objects, [key for _, key in batch]) if key_id is not None])
            found[f"objects of kind {named.kind.value}"] = counts
        return found


def _by_key(counted: Mapping[str, Counter[str]] | Mapping[str, Counter[str | None]], but_for: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for what, counts in counted.items():
        for key_id, number in counts.items():
            if key_id is not None and key_id not in but_for:
                found.setdefault(key_id, []).append(f"{number} {what}")
    return found


async def batches(db: Database, named: Named, size: int = BATCH) -> AsyncIterator[list[tuple[str, str]]]:
    """Id and key of every object of a kind, some at a time."""
    after = ""
    while batch := await db.read(lambda session, after=after: named.batch(session, after, size)):  # type: ignore[misc]
        yield batch
        after = batch[-1][0]


async def keys_of(objects: Objects, keys: list[str]) -> list[str | None]:
    """For each object the id of the key it needs; `None` for one that is gone or damaged."""
    room = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(key: str) -> str | None:
        async with room:
            try:
                return await objects.key_id(key)
            except (NotFound, SecretUnreadable):
                return None

    return await asyncio.gather(*map(ask, keys))
