"""Tables: connections to forges, and the repositories of them that somebody follows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, text, true
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE
from terrapod_core.db import Base, JSONValue, Sealed
from terrapod_core.secrets import SEALED

SECRETS: Final = "vcs_connections.secrets"
WEBHOOK_SECRET: Final = "vcs_connections.webhook_secret"  # noqa: S105
"""What sealed values authenticate as their place; they never change."""

_FOLLOWED: Final = text("next_poll_at IS NOT NULL")


class Connection(Base):
    """An account at a forge. Platform admins make and change them; who may use one is said by its roles, projects and repositories."""

    __tablename__ = "vcs_connections"
    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, unique=True)
    provider: Mapped[str]
    """The name of a VCS provider; the plugin may be gone."""
    service_provider: Mapped[str | None]
    """What go-tfe calls it; `None` for a forge that it has no word for."""
    base_url: Mapped[str]
    values: Mapped[dict[str, str]]
    """The provider's fields that are no secret."""
    secrets: Mapped[bytes] = mapped_column(Sealed)
    """The others: a JSON object."""
    webhook_secret: Mapped[bytes] = mapped_column(Sealed)
    """Signs the webhooks that name this connection."""
    repositories: Mapped[list[str]]
    """Which of its repositories may be used, by name, with `*`."""
    roles: Mapped[list[str]]
    """Whose holders may use it, beside platform admins."""
    project_ids: Mapped[list[str]]
    """The projects whose workspaces may use it; empty for all, or for none when it is not `organization_scoped`."""
    organization_scoped: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether all projects may use it when none is named."""
    api_url: Mapped[str | None]
    """What go-tfe's clients said its API's address is: they want to read it back. Nothing is asked there."""
    account: Mapped[str | None]
    """As whom the forge knows it, when it said so last."""
    installation: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """Where the app is installed that it acts as, as the forge said; `None` when it is no app's."""
    checked_at: Mapped[datetime | None]
    trouble: Mapped[str | None]
    """What went wrong when it was used last, in a sentence; `None` when nothing did."""
    trouble_since: Mapped[datetime | None]
    rests_until: Mapped[datetime | None]
    """Until when the forge wants to be left alone."""
    created_by_id: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    plain_webhook_secret: str | None = None
    """In the answer that makes it; not a column."""
    has_ssh_key: bool = False
    """Where its token was asked for; likewise."""


class Repository(Base):
    """A repository that somebody follows, or did. One look at it serves all of them."""

    __tablename__ = "vcs_repositories"
    __table_args__ = (
        Index("uq_vcs_repositories_path", "connection_id", "path", unique=True),
        Index("ix_vcs_repositories_due", "next_poll_at", sqlite_where=_FOLLOWED, postgresql_where=_FOLLOWED),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("vcs_connections.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(BYTEWISE)
    """As the forge calls it."""
    default_branch: Mapped[str]
    """Empty for one without commits."""
    http_url: Mapped[str]
    clone_url: Mapped[str]
    refs_validator: Mapped[str | None]
    pulls_validator: Mapped[str | None]
    """What the forge said last, all of which was written down by those who follow; `None` to be told everything."""
    wanted: Mapped[str]
    """What `refs_validator` was asked for: the kinds of refs, separated by blanks."""
    next_poll_at: Mapped[datetime | None]
    """When it is looked at next; `None` while nobody follows it."""
    claimed_until: Mapped[datetime | None]
    """While a process looks at it."""
    asked_at: Mapped[datetime | None]
    """When a webhook or a person asked to have it looked at, or somebody began to follow it."""
    heard_at: Mapped[datetime | None]
    """When a webhook told of it last."""
    polled_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    """Looks in a row that failed."""
    trouble_code: Mapped[str | None]
    """What kind of trouble those who follow were told of; `None` for none."""
    trouble: Mapped[str | None]
    trouble_since: Mapped[datetime | None]
    created_at: Mapped[datetime]


SEALED.add(Connection, "secrets", SECRETS)
SEALED.add(Connection, "webhook_secret", WEBHOOK_SECRET)
