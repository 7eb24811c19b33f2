"""Tables: providers, versions, the zips of their platforms, the keys of their publishers, and the server's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE, Guard, GuardKind, LabelColumns
from terrapod_core.db import Base, Sealed
from terrapod_core.jsonapi import ABSENT
from terrapod_core.registry.models import Item, ItemLabel, Version
from terrapod_core.secrets import SEALED
from terrapod_core.storage import ArchiveKind
from terrapod_core.storage.named import NAMED

KIND: Final = "registry-provider"
"""Of reserved names."""

SERVER_KEY: Final = "provider_signing_keys.secret"
"""What the sealed key of the server authenticates as its place; it never changes."""


class Source(StrEnum):
    """Who vouches for a version."""

    PUBLISHER = "publisher"
    """Its publisher signed `SHA256SUMS` with a key that is registered for the provider."""
    TERRAPOD = "terrapod"
    """This server signed it: it says that these are the bytes that were uploaded here, and nothing about who made them."""


class RegistryProvider(Item, Base):
    """A provider: `<namespace>/<name>`, the name being what terraform calls its type."""

    __tablename__ = "registry_providers"
    __table_args__ = (
        Index("uq_registry_providers_namespace_name", "namespace", "name", unique=True),
        Index("ix_registry_providers_owner_id", "owner_id"),
    )

    can_publish = False
    can_update = False
    """What the one who asked may do; set on what the service returns, not columns."""
    version_ids: Any = ABSENT
    """Of the versions that were asked for with it; likewise."""

    @property
    def address(self) -> str:
        """As in a source address, without the host."""
        return f"{self.namespace}/{self.name}"


class ProviderLabel(ItemLabel, Base):
    """One label of a provider, for roles to choose it by."""

    __tablename__ = "registry_provider_labels"
    __table_args__ = (Index("ix_registry_provider_labels_key_value", "key", "value"),)

    item_id: Mapped[str] = mapped_column(ForeignKey("registry_providers.id", ondelete="CASCADE"), primary_key=True, sort_order=-1)


GUARD: Final = Guard(
    GuardKind.REGISTRY,
    RegistryProvider.id,
    RegistryProvider.owner_id,
    RegistryProvider.name,
    LabelColumns(ProviderLabel.item_id, ProviderLabel.key, ProviderLabel.value),
)


class ProviderVersion(Version, Base):
    """One version: the sums of its zips, signed."""

    __tablename__ = "registry_provider_versions"
    __table_args__ = (Index("uq_registry_provider_versions_number", "provider_id", "version_order", unique=True),)

    provider_id: Mapped[str] = mapped_column(ForeignKey("registry_providers.id", ondelete="CASCADE"))
    source: Mapped[str]
    """One of `Source`."""
    key_id: Mapped[str | None]
    """The key that signs it; of the server's own, once it has."""
    protocols: Mapped[list[str] | None]
    """Of terraform's plugins, as `5.0`; `None` until it is known what was sent or packed along."""
    sums: Mapped[bytes | None] = mapped_column(LargeBinary)
    """`SHA256SUMS`."""
    signature: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the sums: binary, detached, verified."""

    # Set on what the service returns, not columns.
    provider_name = ""
    provider_namespace = ""
    can_publish = False
    can_update = False
    can_upload = False
    platforms: Sequence[ProviderPlatform] = ()
    sums_upload_path: str | None = None
    signature_upload_path: str | None = None
    sums_download_path: str | None = None
    signature_download_path: str | None = None


class ProviderPlatform(Base):
    """The zip of one platform."""

    __tablename__ = "registry_provider_platforms"
    __table_args__ = (Index("uq_registry_provider_platforms_platform", "version_id", "os", "arch", unique=True),)
    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("registry_provider_versions.id", ondelete="CASCADE"))
    os: Mapped[str] = mapped_column(BYTEWISE)
    arch: Mapped[str] = mapped_column(BYTEWISE)
    filename: Mapped[str]
    """The one that this platform's zip must have."""
    sha256: Mapped[str | None]
    """Of the zip: as it was announced, or else as it was uploaded."""
    object_key: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    h1: Mapped[str | None]
    """What lock files call what is in it."""
    created_at: Mapped[datetime]
    uploaded_at: Mapped[datetime | None]

    # Set on what the service returns, not columns.
    version: ProviderVersion | None = None
    upload_path: str | None = None
    download_path: str | None = None

    @property
    def is_uploaded(self) -> bool:
        """Whether its bytes are here and checked."""
        return self.object_key is not None


NAMED.add_plain(ArchiveKind.PROVIDER, ProviderPlatform, "object_key")


class GPGKey(Base):
    """A public key. It verifies versions of the providers that it is bound to, or of all in its namespace."""

    __tablename__ = "gpg_keys"
    __table_args__ = (Index("uq_gpg_keys_namespace_key_id", "namespace", "key_id", unique=True),)
    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(BYTEWISE)
    key_id: Mapped[str] = mapped_column(BYTEWISE)
    fingerprint: Mapped[str]
    user: Mapped[str]
    """The first name in it."""
    ascii_armor: Mapped[str]
    """As it was sent."""
    whole_namespace: Mapped[bool]
    """Whether it is good for every provider in the namespace; then it is bound to none."""
    expires_at: Mapped[datetime | None]
    created_by_id: Mapped[str | None]
    created_at: Mapped[datetime]

    providers: Sequence[RegistryProvider] = ()
    """Those it is bound to and that the one who asked may read; set on what the service returns, not a column."""


class GPGKeyProvider(Base):
    """A provider that a key is bound to."""

    __tablename__ = "gpg_key_providers"
    __table_args__ = (Index("ix_gpg_key_providers_provider_id", "provider_id"),)

    gpg_key_id: Mapped[str] = mapped_column(ForeignKey("gpg_keys.id", ondelete="CASCADE"), primary_key=True)
    provider_id: Mapped[str] = mapped_column(ForeignKey("registry_providers.id", ondelete="CASCADE"), primary_key=True)


class ProviderSigningKey(Base):
    """The server's own key, with which it signs what publishers do not. One row, made when it is first needed, and never another."""

    __tablename__ = "provider_signing_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    ascii_armor: Mapped[str]
    secret: Mapped[bytes] = mapped_column(Sealed)
    """Sealed as `SERVER_KEY` for the row's id."""
    created_at: Mapped[datetime]


SEALED.add(ProviderSigningKey, "secret", SERVER_KEY)
