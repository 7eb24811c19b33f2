"""Jobs of plugins among the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, ParamSpec

import structlog
from sqlalchemy.orm import DeclarativeBase, Session

from terrapod_core.extensions.tables import within
from terrapod_core.jobs import Jobs
from terrapod_core.jobs.registry import Concerning
from terrapod_core.plugin import Event, Every, Job, Migrations, On

SECONDS: Final = 600.0
"""How long a job may take. The server has few places for jobs, and one that never ends would keep its own."""

P = ParamSpec("P")

log = structlog.get_logger("terrapod.extensions")


def register(jobs: Jobs, found: Sequence[tuple[str, Job]], migrations: Mapping[str, Migrations]) -> None:
    """Under names that begin with the plugin's. Raises `ValueError` for a job that asks about tables where the plugin has none."""
    for plugin, job in found:
        name = f"{plugin}.{job.name}"
        if isinstance(job, Every):
            jobs.every(name, job.every, _ending(job.run))
        else:
            jobs.on(job.event, name, _ending(job.run), retries=job.retries, concerning=_concerning(name, job, migrations.get(plugin)))


def _ending(run: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """The same, ended by a `TimeoutError` when it does not end by itself."""

    async def ended(*args: P.args, **kwargs: P.kwargs) -> None:
        async with asyncio.timeout(SECONDS):
            await run(*args, **kwargs)

    return ended


def _concerning(name: str, job: On[Event], own: Migrations | None) -> Concerning | None:
    if job.concerning is None:
        return None
    if own is None or own.base is None:
        raise ValueError(f"the job {name} asks which workspaces concern it, and its plugin has no tables to ask")
    return partial(_asked, name, job.concerning, own.base)


def _asked(
    name: str, concerning: Concerning, base: type[DeclarativeBase], session: Session, workspace_ids: Collection[str]
) -> Collection[str]:
    """Those that the plugin names; all of them when it cannot say. Everybody's events wait while it is asked, so it never raises."""
    try:
        with session.begin_nested():  # PostgreSQL goes on with nothing after a statement that failed
            return frozenset(within(base, session, lambda own: concerning(own, workspace_ids)))
    except Exception:
        log.exception("a plugin cannot say which workspaces concern a job, so the job gets all", job=name)
        return workspace_ids
