"""Tables: state versions and their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base, JSONValue, Sealed
from terrapod_core.secrets import SEALED
from terrapod_core.storage.named import NAMED
from terrapod_core.storage.objects import ObjectKind

SHARES: Final = text("content_of IS NOT NULL")
SHARES_JSON: Final = text("json_content_of IS NOT NULL")


class StateStatus(StrEnum):
    """Where a state version stands; the words are go-tfe's."""

    PENDING = "pending"
    """Announced, and its bytes have not arrived. Only those who may write see it."""
    FINALIZED = "finalized"
    """Whole."""
    DISCARDED = "discarded"
    """Its bytes did not come in time, or another state came first."""


class StateVersion(Base):
    """One state of a workspace. It is current when the workspace says so, and that is said only when its bytes are whole.

    Rows hold no foreign key to the workspace: they outlive it until their objects are removed.
    """

    __tablename__ = "state_versions"
    __allow_unmapped__ = True
    __table_args__ = (
        Index("ix_state_versions_workspace", "workspace_id", "status", "created_at"),
        # The list: in its order, and whether a version is in it told by the index.
        Index("ix_state_versions_newest", "workspace_id", "created_at", "id", "status"),
        Index("ix_state_versions_run", "run_id"),
        Index("ix_state_versions_expiry", "status", "upload_expires_at"),
        Index("ix_state_versions_content", "workspace_id", "sha256"),
        Index("ix_state_versions_json_content", "workspace_id", "json_sha256"),
        Index("ix_state_versions_content_of", "content_of", sqlite_where=SHARES, postgresql_where=SHARES),
        Index("ix_state_versions_json_content_of", "json_content_of", sqlite_where=SHARES_JSON, postgresql_where=SHARES_JSON),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    serial: Mapped[int] = mapped_column(BigInteger)
    lineage: Mapped[str | None]
    """As declared; as in the bytes once they are there."""
    md5: Mapped[str]
    """Of the bytes: lower-case hexadecimal. What the protocol's clients declare, and no protection."""
    size: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(default=StateStatus.PENDING.value)
    intermediate: Mapped[bool] = mapped_column(default=False)
    """Written while an apply was going on."""
    force: Mapped[bool] = mapped_column(default=False)
    """Pushed without regard to serial and lineage."""
    rescued: Mapped[bool] = mapped_column(default=False)
    """Left by a runner that had lost its lease: kept, and never current by itself."""
    run_id: Mapped[str | None]
    rollback_of_id: Mapped[str | None]
    """The version whose content this one brought back."""
    created_by_id: Mapped[str | None]
    created_by_name: Mapped[str]
    """What its maker was called then; for audit entries of an upload, which comes without a credential."""
    terraform_version: Mapped[str | None]
    state_version: Mapped[int | None]
    """The version of the format."""
    resources: Mapped[list[dict[str, Any]] | None]
    providers: Mapped[dict[str, Any] | None]
    modules: Mapped[dict[str, Any] | None]
    resource_count: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None]
    """Of the bytes; `None` for what was stored before it was kept."""
    object_key: Mapped[str | None]
    content_of: Mapped[str | None]
    """The version of the same workspace that the object was stored for, when the same bytes were there already; `None`: this one."""
    json_object_key: Mapped[str | None]
    """The parsed view (`terraform show -json`), when a client brought it."""
    json_content_of: Mapped[str | None]
    """As `content_of`."""
    json_sha256: Mapped[str | None]
    json_size: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    finalized_at: Mapped[datetime | None]
    upload_expires_at: Mapped[datetime]
    """Until then bytes are taken, and the same bytes again."""

    @property
    def content_id(self) -> str:
        """What the object that holds its bytes is bound to."""
        return self.content_of or self.id

    @property
    def json_content_id(self) -> str:
        """The same of its parsed view."""
        return self.json_content_of or self.id

    # Set on what the service returns, not columns: paths of links, for whoever may, and the ids of its outputs.
    upload_path: str | None = None
    json_upload_path: str | None = None
    download_path: str | None = None
    json_download_path: str | None = None
    output_ids: Sequence[str] = ()


class StateVersionOutput(Base):
    """One output of a state version. Values are sealed, secret or not: whether they are is for the state to say."""

    __tablename__ = "state_version_outputs"
    __allow_unmapped__ = True
    __table_args__ = (Index("uq_state_version_outputs_name", "state_version_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    state_version_id: Mapped[str] = mapped_column(ForeignKey("state_versions.id", ondelete="CASCADE"))
    name: Mapped[str]
    sensitive: Mapped[bool]
    type: Mapped[str]
    """In go-tfe's words: string, number, boolean, array, object."""
    detailed_type: Mapped[Any] = mapped_column(JSONValue, nullable=True)
    """cty's JSON; `None` for a value too large to be kept here, which makes terraform read the state itself."""
    value: Mapped[bytes | None] = mapped_column(Sealed)

    shown_value: msgspec.Raw | None = None
    """The value, when the one who asks may see it; set on what the service returns, not a column."""


VALUE_COLUMN = "state_version_outputs.value"
"""What a sealed value is bound to, beside the row's id."""

SEALED.add(StateVersionOutput, "value", VALUE_COLUMN)
NAMED.add(ObjectKind.STATE, StateVersion, "object_key", shared="content_of")
NAMED.add(ObjectKind.STATE_JSON, StateVersion, "json_object_key", shared="json_content_of")
