"""The table of configuration versions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.configurations.ingress import ingress_id_of
from terrapod_core.db import Base, JSONValue
from terrapod_core.storage.named import NAMED
from terrapod_core.storage.objects import ObjectKind


class ConfigurationStatus(StrEnum):
    """Where a configuration version stands; the words are go-tfe's."""

    PENDING = "pending"
    """Made, and no archive has arrived yet."""
    UPLOADED = "uploaded"
    """The archive is whole, checked and stored: runs may use it."""
    ERRORED = "errored"
    """No archive came in time."""
    ARCHIVED = "archived"
    """The archive was removed; what is known about it stays."""


class ConfigurationVersion(Base):
    """One upload of configuration files to a workspace.

    Rows hold no foreign key to the workspace: they outlive it until their objects are removed.
    """

    __tablename__ = "configuration_versions"
    __allow_unmapped__ = True
    __table_args__ = (
        Index("ix_configuration_versions_workspace", "workspace_id", "created_at"),
        Index("ix_configuration_versions_expiry", "status", "upload_expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    status: Mapped[str] = mapped_column(default=ConfigurationStatus.PENDING.value)
    source: Mapped[str]
    """Which client made it: `terraform+cloud` for the CLI, else `tfe-api`; or the forge that it came from, as `github`."""
    speculative: Mapped[bool]
    """Its runs only plan."""
    provisional: Mapped[bool]
    """It does not become the workspace's current one by itself."""
    auto_queue_runs: Mapped[bool]
    error: Mapped[str | None]
    error_message: Mapped[str | None]
    created_by_id: Mapped[str | None]
    created_by_name: Mapped[str]
    """What its maker was called then; for audit entries of an upload, which comes without a credential."""
    ingress: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """Where it came from in version control, as `ingress-attributes` names it; `None` for what was uploaded."""
    of_fork: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is of somebody who may not push to the repository, a fork's, so that no run of it gets any secret."""
    trusted: Mapped[bool]
    """Whether its maker had the level write: what it says may be given the workspace's secrets."""
    object_key: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes of the archive as it was sent."""
    sha256: Mapped[str | None]
    status_timestamps: Mapped[dict[str, str]]
    created_at: Mapped[datetime]
    upload_expires_at: Mapped[datetime]

    upload_path: str | None = None
    """Path of the link its archive is uploaded to, for whoever may; set on what the service returns, not a column."""

    @property
    def ingress_id(self) -> str | None:
        """The id of its ingress attributes; `None` when it was uploaded."""
        return ingress_id_of(self.id) if self.ingress is not None else None


NAMED.add(ObjectKind.CONFIGURATION, ConfigurationVersion, "object_key")
