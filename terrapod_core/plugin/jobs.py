"""Work of a plugin in the background: by the clock, or after something happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from terrapod_core.plugin.events import Event

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Every:
    """Something to be done again and again, by one process of the installation at a time.

    When that process ends another takes over, so for a moment two may think it is theirs: what must happen once is written down
    in a row that only one of them can change.
    """

    name: str
    every: timedelta
    """Between the end of one time and the beginning of the next."""
    run: Callable[[], Awaitable[None]]
    """One that takes longer than ten minutes is ended, and done again next time."""

    def __post_init__(self) -> None:
        if self.every <= timedelta(0):
            raise ValueError(f"the job {self.name} cannot be done every {self.every}; give a time longer than nothing")


@dataclass(frozen=True)
class On(Generic[E]):
    """Something to be done after each commit that told of such an event: at least once, tried again when it raises."""

    event: type[E]
    name: str
    run: Callable[[E], Awaitable[None]]
    """Idempotent: it may be called twice for one event, and two events may come in another order than they happened.

    One that takes longer than ten minutes is ended, and counts as one that raised.
    """
    retries: int = 5
    concerning: Callable[[Session, Collection[str]], Collection[str]] | None = None
    """For an event about a workspace that comes often and seldom asks for anything: asked over the plugin's tables, once for many, it
    gives those of these workspaces, by id, in which there is something to do. Of the others no job is made. When it raises, jobs are
    made of all.
    """

    def __post_init__(self) -> None:
        if self.concerning is not None and "workspace_id" not in {each.name for each in fields(self.event)}:
            raise ValueError(f"the job {self.name} asks which workspaces concern it, and {self.event.name()} is about no workspace")


Job: TypeAlias = Every | On[Any]
