"""Tables: what upstreams have, what was verified of it, and the packages that are here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE
from terrapod_core.db import Base
from terrapod_core.plugin import EngineSource, ModuleSource, Platform, ProviderSource, Source
from terrapod_core.storage import ArchiveKind
from terrapod_core.storage.named import NAMED

ENGINE: Final = "engine"
PROVIDER: Final = "provider"
MODULE: Final = "module"


def key_of(source: Source) -> str:
    """What rows name a source by: its kind and its address, as `provider:registry.terraform.io/hashicorp/aws`."""
    kind = ENGINE if isinstance(source, EngineSource) else PROVIDER if isinstance(source, ProviderSource) else MODULE
    return f"{kind}:{source}"


def source_of(key: str) -> Source:
    """The other way round."""
    kind, _, address = key.partition(":")
    parts = address.split("/")
    if kind == ENGINE:
        return EngineSource(*parts)
    return ProviderSource(*parts) if kind == PROVIDER else ModuleSource(*parts)


class MirrorIndex(Base):
    """Which versions an upstream has of a source, as it said last."""

    __tablename__ = "mirror_indexes"

    source: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    """`key_of`."""
    versions: Mapped[list[dict[str, Any]]]
    """The newest first: `version`, `platforms` (`linux_amd64`, or `None` when not told), `protocols`."""
    warnings: Mapped[list[str]]
    validator: Mapped[str | None]
    """What the upstream is asked with the next time."""
    revision: Mapped[int] = mapped_column(default=0)
    """Raised with every change of what clients are told of it."""
    changed_at: Mapped[datetime]
    checked_at: Mapped[datetime]
    """When the upstream said last that this is so."""
    is_missing: Mapped[bool]
    """It said that it has no such source; then there are no versions, unless there were some before."""
    failed_at: Mapped[datetime | None]
    """Since when it has not been reached; `None` while it is."""
    failure: Mapped[str | None]
    """Why, in a sentence without a secret."""


class MirrorRelease(Base):
    """One version of a source: what was verified of it the first time holds for ever."""

    __tablename__ = "mirror_releases"
    __table_args__ = (Index("uq_mirror_releases_version", "source", "version", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(BYTEWISE)
    version: Mapped[str] = mapped_column(BYTEWISE)
    """As the upstream writes it."""
    protocols: Mapped[list[str]]
    """Of terraform's plugins; empty for what is no provider, and when not told."""
    sums: Mapped[bytes | None] = mapped_column(LargeBinary)
    """`SHA256SUMS` whose signature holds; `None` for what nobody signs."""
    signature: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Binary, detached."""
    key_id: Mapped[str | None]
    ascii_armor: Mapped[str | None]
    """The key that made it."""
    created_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """Raised with every change of what clients are told of its files."""


class IndexState(Base):
    """What every request for a list of versions looks at: the row without the list."""

    __table__ = MirrorIndex.__table__
    __mapper_args__ = {"include_properties": ["source", "revision", "checked_at", "is_missing", "failed_at"]}

    source: Mapped[str]
    revision: Mapped[int]
    checked_at: Mapped[datetime]
    is_missing: Mapped[bool]
    failed_at: Mapped[datetime | None]


class ReleaseState(Base):
    """Likewise of a version: the row without sums and key."""

    __table__ = MirrorRelease.__table__
    __mapper_args__ = {"include_properties": ["id", "source", "version", "revision"]}

    id: Mapped[str]
    source: Mapped[str]
    version: Mapped[str]
    revision: Mapped[int]


class MirrorPackage(Base):
    """One file of a release, whether its bytes are here or not. The row stays when they go: its digests are pinned."""

    __tablename__ = "mirror_packages"
    __table_args__ = (
        Index("uq_mirror_packages_platform", "release_id", "os", "arch", unique=True),
        Index("ix_mirror_packages_last_used_at", "last_used_at"),
    )
    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    release_id: Mapped[str] = mapped_column(ForeignKey("mirror_releases.id", ondelete="CASCADE"))
    os: Mapped[str] = mapped_column(BYTEWISE)
    """Empty for modules, as is `arch`."""
    arch: Mapped[str] = mapped_column(BYTEWISE)
    filename: Mapped[str]
    sha256: Mapped[str | None]
    """From the sums, or of the first bytes that came: others are never taken. `None` until either is known."""
    h1: Mapped[str | None]
    """Of a provider, once its zip was here; likewise for ever."""
    root: Mapped[str] = mapped_column(default="")
    """`Package.root` of a module, a `*` replaced by the folder's name once it is known."""
    size: Mapped[int | None] = mapped_column(BigInteger)
    object_key: Mapped[str | None]
    """Where its bytes lie; `None` while they are not here."""
    created_at: Mapped[datetime]
    fetched_at: Mapped[datetime | None]
    """When its bytes came last."""
    last_used_at: Mapped[datetime]
    """When somebody wanted it, but for the last seconds."""
    uses: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    """How often its bytes were given without asking an upstream; likewise."""

    @property
    def platform(self) -> Platform | None:
        """`None` for a module."""
        return Platform(self.os, self.arch) if self.os else None


class MirrorWarming(Base):
    """A package that somebody wants in the cache before anybody needs it, and how far that is."""

    __tablename__ = "mirror_warmings"
    __table_args__ = (Index("ix_mirror_warmings_created_at", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    package_id: Mapped[str] = mapped_column(ForeignKey("mirror_packages.id", ondelete="CASCADE"))
    status: Mapped[str]
    """`WarmingStatus`."""
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes that have come, when that was written down last."""
    message: Mapped[str | None]
    """Why it failed, in a sentence without a secret."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class MirrorKey(Base):
    """A key that signs the packages of a namespace: the first that was seen, and those that were accepted since."""

    __tablename__ = "mirror_keys"

    scope: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    """`<host>/<namespace>` of providers, or the tool for engines."""
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    """Hexadecimal in upper case."""
    key_id: Mapped[str]
    ascii_armor: Mapped[str]
    pinned_at: Mapped[datetime]
    pinned_by: Mapped[str]
    """Who accepted it; `first seen` when it was the first."""


NAMED.add_plain(ArchiveKind.MIRRORED, MirrorPackage, "object_key")
