"""Refusals, bounded: nobody may fill the record by being refused.

Requests without a valid credential are counted for each address, never written one by one. Refusals of somebody known are written,
up to 60 a minute; what goes beyond is counted. When the minute has ended, each count becomes one entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from terrapod_core.audit.models import AuditEntry
from terrapod_core.audit.record import REQUEST, entry, refused
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import Database
from terrapod_core.jobs.flushing import Flushing

A_MINUTE: Final = 60
"""Refusals of one actor that are written one by one in a minute."""

REMEMBERED: Final = 2000
"""Addresses, and actors, that are told apart in one minute; what goes beyond is counted together."""

MINUTES: Final = 10
"""How many minutes of counts are kept while the database is away."""

OTHERS: Final = "others"
"""What stands for all of them."""

LOOK_SECONDS: Final = 5.0

ANONYMOUS: Final = Actor(ActorKind.USER, "anonymous", "anonymous")
"""Who sends a request without a valid credential. Only ever named in entries, never given to the gate."""

log = structlog.get_logger("terrapod.audit")


@dataclass
class Count:
    """How often somebody was refused in one minute."""

    actor: Actor
    address: str | None
    written: int = 0
    """Written one by one."""
    counted: int = 0


class Refusals:
    """Counts in this process; `start` sees to it that counts are written when their minute ends."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._minutes: dict[datetime, dict[str, Count]] = {}
        self._flushing = Flushing("audit:refusals", LOOK_SECONDS, self.flush, partial(self.flush, all_of_it=True))

    def anonymous(self) -> None:
        """Count the request being served, which came without a valid credential."""
        request = REQUEST.get()
        address = (request.address if request is not None else None) or "unknown"
        self._of("address " + address, ANONYMOUS, address).counted += 1

    async def known(self, actor: Actor, action: str, resource_type: str, resource_id: str, **detail: Any) -> None:
        """Write down what somebody was refused, or count it when they were refused too often. Raises `Unavailable`."""
        count = self._of("actor " + actor.id, actor, None)
        if count.written >= A_MINUTE:
            count.counted += 1
            return
        count.written += 1
        await refused(self._db, actor, action, resource_type, resource_id, **detail)

    async def flush(self, *, all_of_it: bool = False) -> int:
        """Write the counts of the minutes that have ended, or all; returns how many entries that made.

        Raises `Unavailable`, and then forgets nothing.
        """
        now = self._db.clock.now()
        ended = {minute: counts for minute, counts in self._minutes.items() if all_of_it or minute < _minute(now)}
        entries = [_entry(now, minute, each) for minute, counts in ended.items() for each in counts.values() if each.counted]
        if entries:
            async with self._db.uow() as uow:
                uow.add(*entries)
                await uow.commit()
        for minute in ended:
            self._minutes.pop(minute, None)  # given up meanwhile, when the database was slow for too long
        return len(entries)

    def start(self) -> None:
        """Begin to look for minutes that have ended; returns at once."""
        self._flushing.start()

    async def stop(self) -> None:
        """Write what was counted, this minute's too."""
        await self._flushing.stop()

    def _of(self, key: str, actor: Actor, address: str | None) -> Count:
        now = _minute(self._db.clock.now())
        if now not in self._minutes and len(self._minutes) >= MINUTES:
            log.warning("counted refusals are lost: the database is away for too long", minute=min(self._minutes).isoformat())
            del self._minutes[min(self._minutes)]
        counts = self._minutes.setdefault(now, {})
        if key in counts:
            return counts[key]
        if len(counts) < REMEMBERED:
            return counts.setdefault(key, Count(actor, address))
        return counts.setdefault(OTHERS, Count(ANONYMOUS, None, written=A_MINUTE))


def _minute(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(second=0, microsecond=0)


def _entry(now: datetime, minute: datetime, count: Count) -> AuditEntry:
    detail = {"count": count.counted, "since": minute.isoformat(), "until": (minute + timedelta(minutes=1)).isoformat()}
    kind, which = ("addresses", count.address or OTHERS) if count.actor is ANONYMOUS else ("users", count.actor.id)
    made = entry(now, count.actor, "request.refuse", kind, which, "refused", detail)
    made.address, made.request_id = count.address, None
    return made
