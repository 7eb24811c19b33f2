"""Tables: which workspaces use a version, and who downloaded it. The rows go with their version."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class Consumer:
    """A workspace and a version that it uses: one row, whatever the number of its runs. A kind adds `version_id`, first of the key."""

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    """Of a room beside this one: when a workspace is deleted, news of it removes its rows."""
    run_id: Mapped[str]
    """The last run that used it."""
    used_at: Mapped[datetime]
    plan_only: Mapped[bool]
    """Whether runs that changed nothing are all that used it: plans that were never applied."""


class ModuleConsumer(Consumer, Base):
    """A workspace that uses a version of a module."""

    __tablename__ = "registry_module_consumers"
    __table_args__ = (Index("ix_registry_module_consumers_workspace_id", "workspace_id"),)

    version_id: Mapped[str] = mapped_column(ForeignKey("registry_module_versions.id", ondelete="CASCADE"), primary_key=True, sort_order=-1)


class ProviderConsumer(Consumer, Base):
    """A workspace that uses a version of a provider."""

    __tablename__ = "registry_provider_consumers"
    __table_args__ = (Index("ix_registry_provider_consumers_workspace_id", "workspace_id"),)

    version_id: Mapped[str] = mapped_column(
        ForeignKey("registry_provider_versions.id", ondelete="CASCADE"), primary_key=True, sort_order=-1
    )


class By(StrEnum):
    """What the one showed who was given the link of a download."""

    TOKEN = "token"  # noqa: S105  # a word, and no password
    """A token; `by_id` is the token's."""
    RUN = "run"
    """The engine of a run; `by_id` is the workspace's."""
    OTHER = "other"
    """A session, or a link that the management API shows; `by_id` is empty."""


class Download:
    """How often a version was downloaded by links that one party was given. A kind adds `version_id`, first of the key."""

    by: Mapped[str] = mapped_column(primary_key=True)
    """One of `By`."""
    by_id: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]


class ModuleDownload(Download, Base):
    """Downloads of a version of a module."""

    __tablename__ = "registry_module_downloads"

    version_id: Mapped[str] = mapped_column(ForeignKey("registry_module_versions.id", ondelete="CASCADE"), primary_key=True, sort_order=-1)


class ProviderDownload(Download, Base):
    """Downloads of a version of a provider: of its zips, whatever their platform."""

    __tablename__ = "registry_provider_downloads"

    version_id: Mapped[str] = mapped_column(
        ForeignKey("registry_provider_versions.id", ondelete="CASCADE"), primary_key=True, sort_order=-1
    )
