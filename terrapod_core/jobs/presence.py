"""Which processes of the installation there are: each says every few seconds that it is there.

On SQLite there is one, and it says nothing. Whether another is there is told by its row changing while this process looks on; the
clocks of two machines are never compared.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from terrapod_core import __version__
from terrapod_core.db import Base, Database
from terrapod_core.jobs.looking import Looking

BEAT_SECONDS: Final = 5.0
KEPT: Final = timedelta(days=1)
"""How long the row of a process that is gone stays. It says that there were servers once."""


class Kind(StrEnum):
    """What a process does."""

    SERVER = "server"
    WORKER = "worker"


class Process(Base):
    """One process of the installation, as it said last."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    started_at: Mapped[datetime]
    beat: Mapped[int]
    """Grows each time it says that it is there."""
    seen_at: Mapped[datetime]
    """When that was, by its own clock."""


class Presence:
    """Says that this process is there, and watches for the servers when it is none itself. `monotonic` tells seconds that nobody sets."""

    def __init__(self, db: Database, kind: Kind, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._kind = kind
        self._monotonic = monotonic
        self._id = secrets.token_hex(8)
        self._looking = Looking("presence", lambda: BEAT_SECONDS, self.say)
        self._known: dict[str, int] = {}
        self._heard_at = monotonic()

    def start(self) -> None:
        """Begin to say so; returns at once. A database that is away is told when it is back."""
        if not self._db.is_sqlite:
            self._looking.start()

    async def stop(self) -> None:
        """Say nothing more; the row stays, and changes no more."""
        await self._looking.stop()

    async def servers_heard(self, lately: timedelta) -> bool:
        """Whether some server was there `lately`: while there is none, no runner can say anything, so nobody is to be taken for lost.

        True as well for a process that serves, and where no server ever said anything (one of an earlier version does not).
        """
        if self._db.is_sqlite or self._kind is Kind.SERVER:
            return True
        beats = await self._db.read(_servers)
        if not beats or beats != self._known:
            self._known, self._heard_at = beats, self._monotonic()
        return self._monotonic() - self._heard_at <= lately.total_seconds()

    async def say(self) -> None:
        """Say once that it is there."""
        now = self._db.clock.now()
        async with self._db.uow() as uow:
            mine = update(Process).where(Process.id == self._id).values(beat=Process.beat + 1, seen_at=now).returning(Process.beat)
            if (await uow.session.execute(mine)).scalar_one_or_none() is None:
                uow.add(self._row(now))
                await uow.session.execute(delete(Process).where(Process.seen_at < now - KEPT))
            await uow.commit()

    def _row(self, now: datetime) -> Process:
        return Process(
            id=self._id,
            kind=self._kind.value,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            started_at=now,
            beat=0,
            seen_at=now,
        )


def _servers(session: Session) -> dict[str, int]:
    query = select(Process.id, Process.beat).where(Process.kind == Kind.SERVER.value)
    return {row.id: row.beat for row in session.execute(query)}
