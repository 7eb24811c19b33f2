"""Which handler listens for which event, and what runs by the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from terrapod_core.plugin.events import Event

E = TypeVar("E", bound=Event)


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
        self.periodic: list[Periodic] = []

    def handle(self, name: str, run: Callable[[dict[str, Any]], Awaitable[None]], *, retries: int = 5) -> None:
        """Let `name` stand for `run(payload)`. It may be called twice for one job: handlers are idempotent."""
        if name in self.handlers:
            raise ValueError(f"two handlers are called {name}")
        self.handlers[name] = Handler(name, run, retries)

    def on(self, event: type[E], name: str, run: Callable[[E], Awaitable[None]], *, retries: int = 5) -> None:
        """Run `run(event)` after each commit that emitted such an event; each listener is a job of its own, retried alone."""

        async def decoded(payload: dict[str, Any]) -> None:
            restored = Event.restore(event.name(), payload)
            assert isinstance(restored, event)
            await run(restored)

        self.handle(name, decoded, retries=retries)
        self.listeners.setdefault(event.name(), []).append(name)

    def every(self, name: str, every: timedelta, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run()` about every so often, where the leader's lock is held."""
        self.periodic.append(Periodic(name, every, run))
