"""What a listener is up to, told from when it was last heard: the words of go-tfe."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, or_

from terrapod_core.agents.models import Listener

SILENT_AFTER: Final = timedelta(minutes=1)
LOST_AFTER: Final = timedelta(hours=2)


class ListenerStatus(StrEnum):
    """How it goes with a listener."""

    IDLE = "idle"
    """Heard within the last minute, and has nothing to do."""
    BUSY = "busy"
    """Heard within the last minute, and carries out a run."""
    UNKNOWN = "unknown"
    """Not heard for a minute."""
    ERRORED = "errored"
    """Not heard for two hours. It may still come back: its key is good."""
    EXITED = "exited"
    """It said that it leaves, or was revoked: its key is good no more."""


REMOVABLE: Final = frozenset({ListenerStatus.UNKNOWN, ListenerStatus.ERRORED, ListenerStatus.EXITED})
"""In which `DELETE /agents/{id}` removes one."""


def status_of(listener: Listener, now: datetime) -> ListenerStatus:
    """Its status at this moment."""
    if not listener.is_trusted:
        return ListenerStatus.EXITED
    silent = now - listener.last_seen_at
    if silent < SILENT_AFTER:
        return ListenerStatus.BUSY if listener.busy else ListenerStatus.IDLE
    return ListenerStatus.UNKNOWN if silent < LOST_AFTER else ListenerStatus.ERRORED


def takes_runs(now: datetime) -> ColumnElement[bool]:
    """Whether a listener is given runs when it has room: heard lately, and not draining."""
    return and_(_heard(now), Listener.draining.is_(False))


def counts(now: datetime) -> ColumnElement[bool]:
    """Whether a listener counts for its pool: idle, busy or unknown."""
    return and_(_trusted(), Listener.last_seen_at > now - LOST_AFTER)


def has_status(status: str, now: datetime, busy: Select[str | None]) -> ColumnElement[bool] | None:
    """The same as `status_of`, as a condition; `None` for a word that no listener has. `busy` are those that carry out runs."""
    conditions: dict[str, ColumnElement[bool]] = {
        ListenerStatus.IDLE: and_(_heard(now), Listener.id.not_in(busy)),
        ListenerStatus.BUSY: and_(_heard(now), Listener.id.in_(busy)),
        ListenerStatus.UNKNOWN: and_(counts(now), Listener.last_seen_at <= now - SILENT_AFTER),
        ListenerStatus.ERRORED: and_(_trusted(), Listener.last_seen_at <= now - LOST_AFTER),
        ListenerStatus.EXITED: or_(Listener.revoked_at.is_not(None), Listener.exited_at.is_not(None)),
    }
    return conditions.get(status)


def _heard(now: datetime) -> ColumnElement[bool]:
    return and_(_trusted(), Listener.last_seen_at > now - SILENT_AFTER)


def _trusted() -> ColumnElement[bool]:
    return and_(Listener.revoked_at.is_(None), Listener.exited_at.is_(None))
