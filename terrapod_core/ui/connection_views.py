"""What the pages of VCS connections show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from terrapod_core.jsonapi import Page
from terrapod_core.plugin import Field

LIST: Final = "/app/default/connections"


@dataclass(frozen=True)
class ConnectionLine:
    """One line of the list."""

    id: str
    name: str
    provider: str
    """What people call it; its name when the plugin is gone."""
    base_url: str
    account: str | None
    trouble: str | None
    followed: int
    """Repositories that somebody follows."""

    @property
    def path(self) -> str:
        """Of its page."""
        return f"{LIST}/{self.id}"


@dataclass(frozen=True)
class RepositoryLine:
    """A repository that somebody follows."""

    path: str
    url: str | None
    polled_at: datetime | None
    next_poll_at: datetime | None
    changed_at: datetime | None
    heard_at: datetime | None
    trouble: str | None
    trouble_since: datetime | None


@dataclass(frozen=True)
class Webhook:
    """Where a forge tells of changes."""

    path: str
    """Of this connection's own webhook."""
    shared_path: str | None
    """Of the one that all connections of the provider share; `None` when the settings name no secret for it."""
    provider: str


@dataclass(frozen=True)
class ConnectionView:
    """A connection as its page shows it."""

    id: str
    name: str
    provider: str
    base_url: str
    account: str | None
    values: Sequence[tuple[str, str]]
    """What is no secret, by the titles of the fields."""
    repositories: Sequence[str]
    roles: Sequence[str]
    projects: Sequence[str]
    """Names of those that may use it, as far as they are known; empty for all."""
    trouble: str | None
    trouble_since: datetime | None
    rests_until: datetime | None
    checked_at: datetime | None
    created_at: datetime
    webhook: Webhook | None
    """`None` where the forge tells of nothing."""
    followed: Page[RepositoryLine]
    may_use: bool
    may_change: bool

    @property
    def path(self) -> str:
        """Of its page."""
        return f"{LIST}/{self.id}"


@dataclass(frozen=True)
class FormField:
    """A field of the form that the provider asks for."""

    field: Field
    value: str = ""
    """What stands in it; of a secret nothing."""
    is_kept: bool = False
    """Whether there is a secret already, which stays when the field is left empty."""


@dataclass(frozen=True)
class ConnectionForm:
    """The form of a new connection, or of one that is changed."""

    provider: str
    title: str
    """What people call the provider."""
    default_url: str | None
    fields: Sequence[FormField]
    typed: Mapping[str, str]
    """The other fields: `name`, `base-url`, `repositories`, `roles`."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by field; under the empty name what is wrong with all of it."""
    id: str | None = None
    """Of the connection; `None` for a new one."""
