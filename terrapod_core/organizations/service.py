"""Reading the organization. Everybody who is signed in may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrapod_core.authz import Actor
from terrapod_core.errors import NotFound
from terrapod_core.organizations.models import NAME, ORGANIZATION, Organization


def check(name: str) -> None:
    """Pass for the organization there is; `NotFound` for any other name."""
    if name != NAME:
        raise NotFound(f'there is no organization {name!r} here; the only one is called "{NAME}"')


class Organizations:
    """go-tfe's `Organizations`, as far as one that cannot change goes."""

    def read(self, _actor: Actor, name: str) -> Organization:
        """The organization; `NotFound` unless the name is its own."""
        check(name)
        return ORGANIZATION

    def list(self, _actor: Actor, q: str | None = None) -> Sequence[Organization]:
        """All there are whose name contains `q`."""
        return [ORGANIZATION] if (q or "").lower() in NAME else []


def load(_session: Any, _actor: Any, ids: Sequence[str]) -> Sequence[Organization]:
    """For `include=organization`."""
    return [ORGANIZATION] if NAME in ids else []
