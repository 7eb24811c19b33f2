"""The audit record over a real database: writers, sealers, and somebody who may write to the database behind the server's back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from terrapod_core.audit import AnchorFile, AuditEntry, CheckpointKeys, Sealer, Verified, record, verify
from terrapod_core.audit.verify import Anchors
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import Database
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.storage import Objects
from terrapod_core.testing import FakeClock, MemoryStorage

ALICE = Actor(ActorKind.USER, "user-2uPXtbAVfmCkwGsT", "alice", "alice@example.com")
BOB = Actor(ActorKind.USER, "user-3vQYucBWgnDmxHtU", "bob", "bob@example.com")

TRIGGERS = ("audit_entries", "audit_segments", "audit_checkpoints", "audit_archives")


@dataclass
class Record:
    """The record of one installation."""

    db: Database
    clock: FakeClock
    keyring: Keyring = field(default_factory=lambda: Keyring(new_key()))

    def __post_init__(self) -> None:
        self.storage = MemoryStorage(self.clock)
        self.objects = Objects(self.storage, self.keyring)

    def sealer(self, anchor: Path | None = None, db: Database | None = None) -> Sealer:
        """A sealer, as each process has one."""
        return Sealer(db or self.db, CheckpointKeys(self.keyring), AnchorFile(anchor) if anchor is not None else None)

    async def write(self, count: int, actor: Actor = ALICE, action: str = "workspace.update", **detail: Any) -> None:
        """Write so many entries, each a moment after the other."""
        async with self.db.uow() as uow:
            for number in range(count):
                self.clock.advance(microseconds=1)
                record(uow, actor, action, "workspaces", f"ws-{number}", **{"name": "net", **detail})
            await uow.commit()

    async def sealed(self, count: int, anchor: Path | None = None) -> None:
        """Write so many, and seal them."""
        await self.write(count)
        await self.sealer(anchor).run()

    async def checkpoint(self, anchor: Path | None = None) -> None:
        """Let ten minutes pass, so that a checkpoint is made."""
        self.clock.advance(timedelta(minutes=11))
        await self.sealer(anchor).run()

    async def verify(self, anchors: Anchors = (), keyring: Keyring | None = None) -> Verified:
        """What `terrapod audit verify` finds."""
        return await verify(self.db, self.objects, CheckpointKeys(keyring or self.keyring), anchors)

    async def broken(self, anchors: Anchors = ()) -> str:
        """What is wrong; fails when nothing is."""
        found = await self.verify(anchors)
        assert found.broken is not None, "everything is said to be good"
        return found.broken

    async def tamper(self, *statements: str, **values: Any) -> None:
        """Change the database as its owner can: the triggers are gone first."""
        async with self.db.engine.begin() as connection:
            if self.db.is_sqlite:
                names = (await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))).scalars().all()
                for name in names:
                    await connection.execute(text(f"DROP TRIGGER {name}"))
            else:
                for table in TRIGGERS:
                    await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            for statement in statements:
                await connection.execute(text(statement), values)

    async def numbers(self) -> list[int | None]:
        """The numbers of all entries, the unsealed ones last."""

        def query(session: Session) -> list[int | None]:
            found = list(session.execute(select(AuditEntry.seal_no)).scalars())
            return sorted(found, key=lambda number: (number is None, number or 0))

        return await self.db.read(query)

    async def count(self, what: Any = AuditEntry) -> int:
        """How many rows a table has."""
        return await self.db.read(lambda session: session.execute(select(func.count()).select_from(what)).scalar_one())

    async def many(self, writers: int, each: int, sealers: int, databases: list[Database]) -> None:
        """So many writers at once, and as many sealers beside them in each of the databases' processes, until all is sealed."""
        writing = True

        async def write(db: Database, writer: int) -> None:
            for number in range(each):
                async with db.uow() as uow:
                    record(uow, ALICE, "workspace.update", "workspaces", f"ws-{writer}-{number}")
                    await uow.commit()

        async def seal(db: Database) -> None:
            sealer = self.sealer(db=db)
            while writing:
                await sealer.run()
                await asyncio.sleep(0)

        sealing = [asyncio.create_task(seal(db)) for db in databases for _ in range(sealers)]
        try:
            await asyncio.gather(*(write(databases[number % len(databases)], number) for number in range(writers)))
        finally:
            writing = False
            await asyncio.gather(*sealing)
        await self.sealer().run()
