"""What a request asks of the log, and the same as SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_

from terrapod_core.audit.models import AuditEntry
from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi import Query

OUTCOMES: Final = ("allowed", "refused")

_ID = re.compile(r"[a-z]+-[1-9A-HJ-NP-Za-km-z]{16}")
_FULL_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_WORDS: Final = frozenset({"system", "anonymous"})
"""Ids of actors that do not look like one."""

_LAST: Final = "\U0010ffff"
"""Sorts behind every other character."""


@dataclass(frozen=True)
class Filters:
    """Read from `filter[…]`; `None` asks nothing."""

    actor: str | None = None
    """An id or a name."""
    action: str | None = None
    """Exact, or the beginning with `*` behind it."""
    resource_type: str | None = None
    resource_id: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    address: str | None = None
    since: datetime | None = None
    """At this moment or later."""
    until: datetime | None = None
    """Before this moment."""

    @classmethod
    def of(cls, query: Query) -> Filters:
        """What the query string asks; `BadRequest` names the parameter that cannot be understood. Empty values ask nothing.

        A filter that there is not is refused: the whole log would look like its answer.
        """
        names = ("actor", "action", "resource_type", "resource_id", "outcome", "request_id", "address")
        for unknown in sorted(query.filters.keys() - {*names, "since", "until"}):
            raise BadRequest(f"the log has no filter {unknown[:60]}", parameter=f"filter[{unknown[:60]}]")
        texts = {name: query.filter(name) or None for name in names}
        outcome, action = texts["outcome"], texts["action"]
        if outcome is not None and outcome not in OUTCOMES:
            raise BadRequest(f"filter[outcome] must be one of {', '.join(OUTCOMES)}", parameter="filter[outcome]")
        if action is not None and "*" in action[:-1]:
            raise BadRequest("filter[action] takes one * at its end: workspace.*", parameter="filter[action]")
        return cls(**texts, since=_time(query, "since"), until=_time(query, "until"))

    @property
    def asked(self) -> dict[str, str]:
        """What was asked, by name: for the entry that says who read the log."""
        values = {name.replace("_", "-"): getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items() if value is not None}

    @property
    def by_time_alone(self) -> bool:
        """Whether nothing is asked but `since` and `until`."""
        return not set(self.asked) - {"since", "until"}

    def where(self, dialect: str) -> list[ColumnElement[bool]]:
        """The conditions; `dialect` is `sqlite` or `postgresql`."""
        equal: dict[str, Any] = {
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "request_id": self.request_id,
            "address": self.address,
            "outcome": self.outcome,
        }
        found: list[ColumnElement[bool]] = [getattr(AuditEntry, name) == value for name, value in equal.items() if value is not None]
        if self.actor is not None:
            found.append(_is_actor(self.actor))
        if self.action is not None:
            found.append(_is_action(self.action, dialect))
        if self.since is not None:
            found.append(AuditEntry.at >= self.since)
        if self.until is not None:
            found.append(AuditEntry.at < self.until)
        return found


def _is_actor(text: str) -> ColumnElement[bool]:
    if _ID.fullmatch(text):
        return AuditEntry.actor_id == text
    if text in _WORDS:
        return AuditEntry.actor_id == text
    return AuditEntry.actor_name == text


def _is_action(text: str, dialect: str) -> ColumnElement[bool]:
    if not text.endswith("*"):
        return AuditEntry.action == text
    prefix = text[:-1]
    if dialect == "postgresql":  # by bytes, whatever the language of the database
        return and_(AuditEntry.action.op("~>=~")(prefix), AuditEntry.action.op("~<~")(prefix + _LAST))
    return and_(AuditEntry.action >= prefix, AuditEntry.action < prefix + _LAST)


def _time(query: Query, name: str) -> datetime | None:
    text = query.filter(name)
    if not text:
        return None
    # A plus sign that nobody encoded arrives as a space.
    text = re.sub(r" (\d\d:\d\d)$", r"+\1", text)
    try:
        if _FULL_TIME.fullmatch(text):
            return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper())).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"filter[{name}] must be a time as in RFC 3339, like 2026-01-31T12:00:00Z", parameter=f"filter[{name}]")
