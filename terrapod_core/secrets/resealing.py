"""Sealed columns, counted by key and moved on to the newest, while everybody else goes on writing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, not_, or_, select, tuple_, update
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.secrets.columns import SealedColumn
from terrapod_core.secrets.keyring import Keyring, SecretUnreadable

BATCH: Final = 25
"""Rows read and written at a time: the largest values, stretches of logs, are 1 MiB, and SQLite's one writer is not held long."""

Progress = Callable[[int], None]
"""Told how many more were looked at."""


@dataclass
class Moved:
    """What became of the values that were not under the newest key."""

    changed: int = 0
    passed: int = 0
    """Changed or deleted by somebody else meanwhile."""
    unreadable: int = 0
    """Damaged, or under a key that is not given; left as they are."""


def count(session: Session, column: SealedColumn, known: Iterable[str]) -> Counter[str]:
    """How many values of a column each key sealed; keys beside the `known` ones are found too."""
    found: Counter[str] = Counter()
    waiting = list(known)
    asked: list[str] = []
    while waiting:
        for key_id in waiting:
            found[key_id] = session.execute(select(func.count()).select_from(column.table).where(column.under(key_id))).scalar_one()
        asked += waiting
        others = select(column.values).where(column.values.is_not(None), not_(or_(*map(column.under, asked)))).limit(1)
        stranger = session.execute(others).scalar_one_or_none()
        waiting = _readable_id(stranger, asked) if stranger is not None else []
    return +found


def _readable_id(sealed: bytes, asked: Sequence[str]) -> list[str]:
    try:
        key_id = Keyring.key_id_of(sealed)
    except SecretUnreadable:
        return []
    return [key_id] if key_id not in asked else []


async def move_on(db: Database, keyring: Keyring, column: SealedColumn, progress: Progress) -> Moved:
    """Seal every value of a column anew that is not under the newest key.

    Each is written only where it still is what was read, so a change that somebody makes meanwhile is never undone. Whatever
    ends it early, what is done is done: it goes on where it was.
    """
    moved, newest, last = Moved(), keyring.newest, None
    while True:
        rows = await db.read(lambda session: _batch(session, column, newest, last))  # noqa: B023 - called before the next turn
        if not rows:
            return moved
        last = rows[-1][:-1]
        await _write(db, keyring, column, rows, moved)
        progress(len(rows))


def _batch(session: Session, column: SealedColumn, newest: str, last: tuple[Any, ...] | None) -> list[tuple[Any, ...]]:
    key = column.key
    query = select(*key, column.values).where(column.values.is_not(None), not_(column.under(newest))).order_by(*key).limit(BATCH)
    if last is not None:
        query = query.where(tuple_(*key) > tuple_(*last))
    return [tuple(row) for row in session.execute(query)]


async def _write(db: Database, keyring: Keyring, column: SealedColumn, rows: list[tuple[Any, ...]], moved: Moved) -> None:
    names = [part.name for part in column.table.primary_key.columns]

    def sealed_anew() -> list[bytes | None]:
        return [_anew(keyring, column, dict(zip(names, row, strict=False)), row[-1]) for row in rows]

    # In a thread, and before the transaction: keys may have to be fetched, and SQLite has one writer.
    fresh = await asyncio.to_thread(sealed_anew)
    async with db.uow() as uow:
        for row, value in zip(rows, fresh, strict=True):
            if value is None:
                moved.unreadable += 1
                continue
            here = and_(*(part == at for part, at in zip(column.key, row, strict=False)), column.values == row[-1])
            result: Any = await uow.session.execute(update(column.table).where(here).values({column.column: value}))
            moved.changed += result.rowcount
            moved.passed += 1 - result.rowcount
        await uow.commit()


def _anew(keyring: Keyring, column: SealedColumn, key: dict[str, object], sealed: bytes) -> bytes | None:
    row = column.row_of(key)
    try:
        return keyring.seal(keyring.open(sealed, column=column.name, row=row), column=column.name, row=row)
    except SecretUnreadable:
        return None
