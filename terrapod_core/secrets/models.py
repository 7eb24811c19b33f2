"""The table of keys this database has met."""

from __future__ import annotations

from datetime import datetime

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
