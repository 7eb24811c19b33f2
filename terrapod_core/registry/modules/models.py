"""Tables: modules, their labels, their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE, Guard, GuardKind, LabelColumns
from terrapod_core.db import Base, JSONValue
from terrapod_core.registry.models import Item, ItemLabel, Version, VersionStatus
from terrapod_core.storage import ArchiveKind
from terrapod_core.storage.named import NAMED

KIND: Final = "registry-module"
"""Of reserved names."""
_DUE: Final = text("next_try_at IS NOT NULL")
_FOLLOWING: Final = text("vcs_repository_id IS NOT NULL")


@dataclass(frozen=True)
class Numbered:
    """What a module is shown with of each version: one may have hundreds."""

    version: str
    status: VersionStatus


class Module(Item, Base):
    """One module: `<namespace>/<name>/<provider>`."""

    __tablename__ = "registry_modules"
    __table_args__ = (
        Index("uq_registry_modules_address", "namespace", "name", "provider", unique=True),
        Index("ix_registry_modules_listed", "name", "provider", "namespace", "id"),
        Index("ix_registry_modules_owner_id", "owner_id"),
        Index("ix_registry_modules_vcs_repository_id", "vcs_repository_id", sqlite_where=_FOLLOWING, postgresql_where=_FOLLOWING),
    )

    provider: Mapped[str] = mapped_column(BYTEWISE)
    """What terraform calls the target system: `aws`."""
    vcs_repository_id: Mapped[str | None] = mapped_column(ForeignKey("vcs_repositories.id", ondelete="SET NULL"))
    """The repository whose tags are published as versions."""
    vcs_link: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """What is shown of it, and which of its tags and files are wanted: see `connecting`."""
    vcs_linked_by_id: Mapped[str | None]
    """The user in whose name its versions are published."""
    vcs_looked_at: Mapped[datetime | None]
    """When its tags were seen first."""
    vcs_trouble: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """Why the repository cannot be looked at: `code`, `detail` and `since`; `None` when it can."""

    versions: Sequence[Numbered] = ()
    """Those that the one who asks may see, the newest first; set on what the service returns, not a column."""
    unpublished: Sequence[ModuleTag] | None = None
    """Its tags that wait, were refused or moved, the newest first; `None` for who may not see them. Likewise."""

    @property
    def address(self) -> str:
        """As it is written in a `source`, without the host."""
        return f"{self.namespace}/{self.name}/{self.provider}"


class ModuleLabel(ItemLabel, Base):
    """One label of a module."""

    __tablename__ = "registry_module_labels"
    __table_args__ = (Index("ix_registry_module_labels_key_value", "key", "value"),)

    item_id: Mapped[str] = mapped_column(ForeignKey("registry_modules.id", ondelete="CASCADE"), primary_key=True, sort_order=-1)


GUARD: Final = Guard(
    GuardKind.REGISTRY, Module.id, Module.owner_id, Module.name, LabelColumns(ModuleLabel.item_id, ModuleLabel.key, ModuleLabel.value)
)


class ModuleVersion(Version, Base):
    """One version of a module."""

    __tablename__ = "registry_module_versions"
    __table_args__ = (Index("uq_registry_module_versions_order", "module_id", "version_order", unique=True),)

    module_id: Mapped[str] = mapped_column(ForeignKey("registry_modules.id", ondelete="CASCADE"))
    object_key: Mapped[str | None]
    """Names its archive; set once, when the archive is whole and checked."""
    size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes of the archive."""
    sha256: Mapped[str | None]
    wrapper: Mapped[str | None]
    """The directory of the archive that the module is in; empty for its root."""
    tag: Mapped[str | None]
    commit_sha: Mapped[str | None]
    """What it was published from; `None` for one that was uploaded."""

    upload_path: str | None = None
    """Path of the link that its archive is uploaded to, for who made it; set on what the service returns, not a column."""
    contents: bytes | None = None
    """What is known of its archive, as JSON, where one version was asked for; likewise."""


NAMED.add_plain(ArchiveKind.MODULE, ModuleVersion, "object_key")


class ModuleContents(Base):
    """What is known of the archive of a version. Apart from its row, because lists have no use for it and it may be long."""

    __tablename__ = "registry_module_contents"

    version_id: Mapped[str] = mapped_column(ForeignKey("registry_module_versions.id", ondelete="CASCADE"), primary_key=True)
    contents: Mapped[str]
    """JSON, the members of `registry.contents.structs.ModuleContents`."""


class TagStatus(StrEnum):
    """What became of a tag."""

    PENDING = "pending"
    """It is to be published; `reason` says why it could not be so far."""
    PUBLISHED = "published"
    """There is a version, which may wait for a publisher."""
    SKIPPED = "skipped"
    """No version is wanted of it; `reason` says why."""
    REFUSED = "refused"
    """It can be no version; `reason` says why. Only another tag is tried."""


class ModuleTag(Base):
    """A tag of a module's repository that names a version, dealt with once. One that is moved or deleted at the forge changes nothing."""

    __tablename__ = "registry_module_tags"
    __table_args__ = (Index("ix_registry_module_tags_due", "next_try_at", sqlite_where=_DUE, postgresql_where=_DUE),)

    module_id: Mapped[str] = mapped_column(ForeignKey("registry_modules.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    repository_id: Mapped[str]
    sha: Mapped[str]
    """The commit that it named when it was seen first."""
    moved_to: Mapped[str | None]
    """The commit that it names now, when that is another one."""
    version: Mapped[str] = mapped_column(BYTEWISE)
    version_order: Mapped[str] = mapped_column(BYTEWISE)
    status: Mapped[str] = mapped_column(default=TagStatus.PENDING.value)
    reason: Mapped[str | None]
    version_id: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    """When it is tried next; `None` when nothing is to be done."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
