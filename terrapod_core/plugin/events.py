"""What happened, told after the commit to everybody who listens.

An event is a frozen dataclass of ids and words: the listener looks up the rest, because by then it may have changed.
Names and fields are kept in the database between versions, so they only gain fields, each with a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec


class UnknownEvent(LookupError):
    """No event of that name: it was written by a newer server, or by a plugin that is gone."""


@dataclass(frozen=True)
class Event:
    """Something that happened, in the past tense. Subclasses register themselves under their class name."""

    _known: ClassVar[dict[str, type[Event]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        other = Event._known.get(cls.__name__)
        if other is not None and other.__module__ != cls.__module__:
            raise TypeError(f"the event {cls.__name__} of {cls.__module__} has the name of one that {other.__module__} defines")
        Event._known[cls.__name__] = cls

    @classmethod
    def name(cls) -> str:
        """What the outbox calls it."""
        return cls.__name__

    @classmethod
    def named(cls, name: str) -> type[Event]:
        """The class of that name; raises `UnknownEvent`."""
        try:
            return Event._known[name]
        except KeyError:
            raise UnknownEvent(f"no event is called {name}") from None

    def payload(self) -> dict[str, Any]:
        """Its fields as JSON values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    def to_json(self) -> bytes:
        """Its fields as a JSON object."""
        return msgspec.json.encode(self)

    @staticmethod
    def restore(name: str, payload: Mapping[str, Any]) -> Event:
        """The event that `payload` came from. Fields it does not know are ignored: a newer server wrote them.

        Raises `UnknownEvent`, or `ValueError` when a field is missing or of the wrong type.
        """
        return msgspec.convert(dict(payload), Event.named(name))

    @staticmethod
    def from_json(name: str, document: bytes | str) -> Event:
        """Like `restore`, from what `to_json` made."""
        return msgspec.json.decode(document, type=Event.named(name))


@dataclass(frozen=True)
class RunCreated(Event):
    """A run was queued."""

    run_id: str
    workspace_id: str


@dataclass(frozen=True)
class RunStatusChanged(Event):
    """A run moved from `previous` to `status`; both are words of the wire (`plan_queued`)."""

    run_id: str
    workspace_id: str
    status: str
    previous: str


@dataclass(frozen=True)
class ConfigurationUploaded(Event):
    """A configuration version's archive is whole and stored."""

    configuration_version_id: str
    workspace_id: str


@dataclass(frozen=True)
class StateVersionFinalized(Event):
    """A state version's bytes arrived and it became the workspace's current one."""

    state_version_id: str
    workspace_id: str


@dataclass(frozen=True)
class WorkspaceLocked(Event):
    """Somebody, or some run, holds a workspace's lock now."""

    workspace_id: str


@dataclass(frozen=True)
class WorkspaceUnlocked(Event):
    """A workspace's lock is free, whoever held it."""

    workspace_id: str


@dataclass(frozen=True)
class WorkspaceDeleted(Event):
    """A workspace is gone; what it left in object storage may go too."""

    workspace_id: str


@dataclass(frozen=True)
class UserDeleted(Event):
    """A user is gone; what they owned belongs to nobody."""

    user_id: str


@dataclass(frozen=True)
class VCSConnectionDeleted(Event):
    """A connection to a forge is gone, and its repositories with it."""

    connection_id: str
