"""The tables of keys this database has met, and of the installation that it is."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, event
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class KeyCheck(Base):
    """A key that some server was given. It tells a wrong key from the right one, and when every server knows a new one."""

    __tablename__ = "key_checks"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    """Derived from the key and saying nothing about it; see `Keyring.fingerprint`."""
    registered_at: Mapped[datetime]
    settles_at: Mapped[datetime]
    """From then on it seals where it stands first: by then every running server has looked and knows it."""
    newest_at: Mapped[datetime | None]
    """When a server last said that it seals under this one; noted every `NOTED` at most."""


INSTANCE_ID: Final = 1


class Instance(Base):
    """The installation that this database is. One row."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    """Random; stays through every restore."""
    epoch: Mapped[str]
    """Empty until the first restore; random and new with each. What was signed in another epoch is refused (`Signer`)."""
    restored_at: Mapped[datetime | None]


@event.listens_for(Instance.__table__, "after_create")
def _add_instance(table: Table, connection: Connection, **_options: Any) -> None:
    """The one row, in tables that are made without the migrations."""
    connection.execute(table.insert().values(id=INSTANCE_ID, name=secrets.token_hex(16), epoch=""))
