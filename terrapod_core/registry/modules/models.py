"""Tables: modules, their labels, their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE, Guard, GuardKind, LabelColumns
from terrapod_core.db import Base
from terrapod_core.registry.models import Item, ItemLabel, Version, VersionStatus
from terrapod_core.storage import ArchiveKind
from terrapod_core.storage.named import NAMED

KIND: Final = "registry-module"
"""Of reserved names."""


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
    )

    provider: Mapped[str] = mapped_column(BYTEWISE)
    """What terraform calls the target system: `aws`."""

    versions: Sequence[Numbered] = ()
    """Those that the one who asks may see, the newest first; set on what the service returns, not a column."""

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
