"""Who holds which role."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class PlatformRoleAssignment(Base):
    """One user's platform role."""

    __tablename__ = "platform_role_assignments"
    __table_args__ = (UniqueConstraint("user_id", "role"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[datetime]
