"""Tables: pools, what lets a listener join them, listeners, and what each of these proves itself with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE, Guard, GuardKind, LabelColumns
from terrapod_core.db import Base, JSONValue, Sealed
from terrapod_core.secrets import SEALED

KIND: Final = "agent-pool"
"""Of reserved names."""

AUTHORITY_KEY: Final = "agent_pool_authorities.key"
"""What the sealed keys of pools authenticate as their place; it never changes."""

_STAYS: Final = text("exited_at IS NULL")


class AgentPool(Base):
    """Where listeners that may do the same work are kept together."""

    __tablename__ = "agent_pools"
    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, unique=True)
    service_account_name: Mapped[str | None]
    """The Kubernetes service account that runs of this pool act as; `None` for the cluster's default."""
    labels: Mapped[dict[str, str | None]] = mapped_column(JSONValue)
    """The rows of `PoolLabel`, once more."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    guarded_as: ClassVar[GuardKind] = GuardKind.POOL
    agent_count = 0
    """How many listeners count; set on what the service returns, not a column."""
    workspace_ids: Sequence[str] = ()
    """Those whose runs it carries out and that the one who asked may read; likewise."""

    @property
    def owner_id(self) -> str | None:
        """Nobody's: platform admins make pools, and roles are about them."""
        return None


class PoolLabel(Base):
    """One label of a pool, for roles to choose it by."""

    __tablename__ = "agent_pool_labels"
    __table_args__ = (Index("ix_agent_pool_labels_key_value", "key", "value"),)

    pool_id: Mapped[str] = mapped_column(ForeignKey("agent_pools.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    value: Mapped[str | None]


GUARD: Final = Guard(GuardKind.POOL, AgentPool.id, None, AgentPool.name, LabelColumns(PoolLabel.pool_id, PoolLabel.key, PoolLabel.value))


class PoolAuthority(Base):
    """A pool's own certificate authority; made when its first listener joins."""

    __tablename__ = "agent_pool_authorities"

    pool_id: Mapped[str] = mapped_column(ForeignKey("agent_pools.id", ondelete="CASCADE"), primary_key=True)
    certificate: Mapped[str]
    """PEM."""
    key: Mapped[bytes] = mapped_column(Sealed)
    """PKCS #8, sealed as `AUTHORITY_KEY` for the pool's id."""
    expires_at: Mapped[datetime]


SEALED.add(PoolAuthority, "key", AUTHORITY_KEY, row="{pool_id}")


class PoolToken(Base):
    """Lets listeners join a pool, so many times and until a moment. The text is shown once; kept is its keyed hash."""

    __tablename__ = "agent_pool_tokens"
    __table_args__ = (
        Index("ix_agent_pool_tokens_pool_id", "pool_id", "created_at"),
        Index("ix_agent_pool_tokens_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    pool_id: Mapped[str] = mapped_column(ForeignKey("agent_pools.id", ondelete="CASCADE"))
    hash: Mapped[str] = mapped_column(unique=True)
    hash_key: Mapped[str | None]
    """Id of the key that the hash was made under."""
    description: Mapped[str]
    uses: Mapped[int]
    """How many listeners it was made for."""
    uses_left: Mapped[int]
    created_at: Mapped[datetime]
    created_by_id: Mapped[str | None]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]

    text = ""
    """The token itself, on what the request that makes it returns; not a column."""


class Listener(Base):
    """One program that waits for runs. Its key is its identity: another key is another listener."""

    __tablename__ = "listeners"
    __table_args__ = (
        # Of the names of a pool only those that left are free again: whoever joins takes over nobody's.
        Index("uq_listeners_pool_id_name", "pool_id", "name", unique=True, sqlite_where=_STAYS, postgresql_where=_STAYS),
        Index("ix_listeners_pool_id", "pool_id", "name", "created_at", "id"),
        Index("ix_listeners_exited_at", "exited_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    pool_id: Mapped[str] = mapped_column(ForeignKey("agent_pools.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(BYTEWISE)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    """DER, as a SubjectPublicKeyInfo."""
    key_hash: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of it: a key is one listener's, once and for ever."""
    version: Mapped[str]
    """What it says it is."""
    capacity: Mapped[int]
    """How many phases it takes at a time."""
    draining: Mapped[bool] = mapped_column(default=False)
    """It finishes what it has and is given nothing more."""
    ip_address: Mapped[str | None]
    certificate_expires_at: Mapped[datetime]
    """Of its newest certificate."""
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    exited_at: Mapped[datetime | None]
    """When it said that it leaves."""
    revoked_at: Mapped[datetime | None]

    busy = False
    """Whether it carries out a run; set on what `queries` returns, not a column."""

    certificate = ""
    """PEM, and so is `chain`; with `key_id` on what joining and renewing return. Not columns."""
    chain = ""
    key_id = ""

    @property
    def is_trusted(self) -> bool:
        """Whether its signatures count."""
        return self.revoked_at is None and self.exited_at is None


class ListenerCertificate(Base):
    """A certificate that was issued, by its serial number; the key in it is the listener's."""

    __tablename__ = "listener_certificates"
    __table_args__ = (Index("ix_listener_certificates_listener_id", "listener_id"),)

    serial: Mapped[str] = mapped_column(primary_key=True)
    """In lower-case hexadecimal."""
    listener_id: Mapped[str] = mapped_column(ForeignKey("listeners.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ListenerNonce(Base):
    """A signed request that was taken, kept until it would be refused for its age."""

    __tablename__ = "listener_nonces"
    __table_args__ = (Index("ix_listener_nonces_expires_at", "expires_at"),)

    listener_id: Mapped[str] = mapped_column(ForeignKey("listeners.id", ondelete="CASCADE"), primary_key=True)
    nonce: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]


def in_order(labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """Labels as they are stored on the row."""
    return dict(sorted(labels.items()))
