"""Tables: the key that this server signs bundles with, and those of others that it trusts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base, Sealed
from terrapod_core.secrets.columns import SEALED

BUNDLE_KEY: Final = "bundle_keys.secret"


class BundleKey(Base):
    """The server's own key: one row, made when the first bundle is written, and never another."""

    __tablename__ = "bundle_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    public: Mapped[bytes] = mapped_column(LargeBinary)
    """Ed25519, 32 bytes."""
    secret: Mapped[bytes] = mapped_column(Sealed)
    """Sealed as `BUNDLE_KEY` for the row's id."""
    created_at: Mapped[datetime]


class TrustedBundleKey(Base):
    """Whose bundles are loaded."""

    __tablename__ = "trusted_bundle_keys"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str]
    """What the server that has it called itself when it was trusted."""
    trusted_at: Mapped[datetime]


SEALED.add(BundleKey, "secret", BUNDLE_KEY)
