"""Columns that every kind of registry item and version has; each kind has tables of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE, GuardKind
from terrapod_core.db import JSONValue


class VersionStatus(StrEnum):
    """Where a version stands."""

    PENDING = "pending"
    """Made, and not all of its bytes are here and checked. Nobody but those who publish sees it."""
    HELD = "held"
    """Whole, and made by somebody who is no publisher: waits for one to release it. Likewise."""
    PUBLISHED = "published"
    """There for everybody who may read the item, and from now on unchangeable."""


class Item:
    """A name in the registry, with what decides who may do what to it. A kind adds what its address needs, and `address`."""

    __allow_unmapped__ = True

    guarded_as: ClassVar[GuardKind] = GuardKind.REGISTRY

    id: Mapped[str] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(BYTEWISE)
    name: Mapped[str] = mapped_column(BYTEWISE)
    """What roles allow and deny it by: of an address that one part alone."""
    owner_id: Mapped[str | None]
    """The user who made it; `None` when nobody has it any more."""
    labels: Mapped[dict[str, str | None]] = mapped_column(JSONValue)
    """The rows of its table of labels, once more, in the order of their keys: reading an item is one row."""
    publishers: Mapped[list[str]] = mapped_column(JSONValue)
    """Ids of the users whose versions are published at once; whoever else may publish waits for one of them."""
    revision: Mapped[int] = mapped_column(default=0)
    """Raised with every change of what terraform is told of its versions: `listings` keeps that document under it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    @property
    @abstractmethod
    def address(self) -> str:
        """What people call it in a source address, without the host."""

    def tell(self, now: datetime) -> None:
        """What terraform is told of its versions changes with this transaction."""
        self.revision += 1
        self.updated_at = now


class ItemLabel:
    """One label of an item. A kind adds `item_id`, with its foreign key, first of the primary key."""

    key: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    value: Mapped[str | None]


class Version:
    """One version of an item. A kind adds the foreign key to its items, the index of uniqueness, and where its bytes are."""

    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(BYTEWISE)
    """As it was sent: semantic, with its build if it has one."""
    version_order: Mapped[str] = mapped_column(BYTEWISE)
    """`SemanticVersion.order`: unique for an item, because two that differ in the build alone are one to terraform."""
    status: Mapped[str] = mapped_column(default=VersionStatus.PENDING.value)
    """One of `VersionStatus`."""
    is_held: Mapped[bool]
    """Whether it is to wait for a publisher when its bytes are here: its maker was none when it was made, or is none by then."""
    created_by_id: Mapped[str | None]
    created_by_name: Mapped[str]
    """What its maker was called then; for audit entries of an upload, which comes without a credential."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    deprecation: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """Set while it is deprecated: it can be used, and whoever does is warned. `reason`, `link` (or `None`) and `at`, see `lifecycle`."""
    revocation: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """Set while it is revoked: its download is refused. Likewise."""
    download_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    """How often it was downloaded, but for the last seconds: `uses.downloads` writes it."""

    @property
    def is_published(self) -> bool:
        """Whether everybody who may read the item sees it."""
        return self.status == VersionStatus.PUBLISHED

    def complete(self, now: datetime) -> None:
        """All of its bytes are here and checked: publish it, or let it wait for a publisher."""
        self.updated_at = now
        if self.is_held:
            self.status = VersionStatus.HELD.value
        else:
            self.status, self.published_at = VersionStatus.PUBLISHED.value, now

    def release(self, now: datetime) -> None:
        """Publish it, which was held."""
        self.status, self.is_held, self.published_at = VersionStatus.PUBLISHED.value, False, now
        self.updated_at = now


def in_order(labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """Labels as they are stored on the row."""
    return dict(sorted(labels.items()))
