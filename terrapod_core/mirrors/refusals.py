"""Why the engine of a run did not get what it asked a mirror for: terraform shows a status, the run's log says the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from terrapod_core.authz import Actor
from terrapod_core.errors import TerrapodError

Noted = Callable[[str, str], Awaitable[None]]
"""Is told the id of a phase and why its engine did not get something."""


@asynccontextmanager
async def noting(actor: Actor, noted: Noted) -> AsyncIterator[None]:
    """Note what is refused inside, if this is an engine."""
    try:
        yield
    except TerrapodError as error:
        if actor.engine is not None:
            await noted(actor.id, error.detail)
        raise
