"""The table of those for whom a plugin may act when they are not there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class PluginDelegate(Base):
    """A user who had a plugin keep something that it does later in their name. Gone with the user."""

    __tablename__ = "plugin_delegates"

    plugin: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    created_at: Mapped[datetime]
