"""Which handler listens for which event, and what runs by the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from sqlalchemy.orm import Session

from terrapod_core.plugin.events import Event

E = TypeVar("E", bound=Event)

Concerning: TypeAlias = Callable[[Session, Collection[str]], Collection[str]]
"""Those of some workspaces, by id, in which there is something to do."""


@dataclass(frozen=True)
class Handler:
    """What a job's name stands for."""

    name: str
    run: Callable[[dict[str, Any]], Awaitable[None]]
    retries: int


@dataclass(frozen=True)
class Periodic:
    """Something to be done again and again, by one process of the installation at a time."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[None]]


class Jobs:
    """The table of handlers, filled once at start by `app`."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.listeners: dict[str, list[str]] = {}
        self.concerning: dict[str, Concerning] = {}
        self.periodic: list[Periodic] = []

    def handle(self, name: str, run: Callable[[dict[str, Any]], Awaitable[None]], *, retries: int = 5) -> None:
        """Let `name` stand for `run(payload)`. It may be called twice for one job: handlers are idempotent."""
        if name in self.handlers:
            raise ValueError(f"two handlers are called {name}")
        self.handlers[name] = Handler(name, run, retries)

    def on(
        self,
        event: type[E],
        name: str,
        run: Callable[[E], Awaitable[None]],
        *,
        retries: int = 5,
        concerning: Concerning | None = None,
    ) -> None:
        """Run `run(event)` after each commit that emitted such an event; each listener is a job of its own, retried alone.

        `concerning` is for an event about a workspace that comes often and seldom asks for anything: it is asked once for many of
        them, after they were committed, and of the others no job is made.
        """

        async def decoded(payload: dict[str, Any]) -> None:
            restored = Event.restore(event.name(), payload)
            assert isinstance(restored, event)
            await run(restored)

        self.handle(name, decoded, retries=retries)
        if concerning is not None:
            self.concerning[name] = concerning
        self.listeners.setdefault(event.name(), []).append(name)

    def every(self, name: str, every: timedelta, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run()` about every so often, where the leader's lock is held."""
        self.periodic.append(Periodic(name, every, run))
