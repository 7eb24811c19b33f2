"""One change of roles, or of who holds them, at a time."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import text

from terrapod_core.db import UnitOfWork


class Lock(IntEnum):
    """PostgreSQL's advisory locks about roles. SQLite has one writer."""

    ROLES = 0x726F6C6573
    """`roles` in ASCII."""
    ASSIGNMENTS = 0x61737369676E
    """`assign` in ASCII. Held by whoever gives roles to an address, and by whoever makes an address a user's: each sees the other."""


async def exclusive(uow: UnitOfWork, lock: Lock) -> None:
    """Wait until nobody else holds the lock, and hold it until the transaction ends."""
    if uow.session.get_bind().dialect.name == "postgresql":
        await uow.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": int(lock)})
