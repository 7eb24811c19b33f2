"""Jobs of plugins among the server's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from sqlalchemy.orm import DeclarativeBase, Session

from terrapod_core.extensions.tables import within
from terrapod_core.jobs import Jobs
from terrapod_core.jobs.registry import Concerning
from terrapod_core.plugin import Event, Every, Job, Migrations, On


def register(jobs: Jobs, found: Sequence[tuple[str, Job]], migrations: Mapping[str, Migrations]) -> None:
    """Under names that begin with the plugin's. Raises `ValueError` for a job that asks about tables where the plugin has none."""
    for plugin, job in found:
        name = f"{plugin}.{job.name}"
        if isinstance(job, Every):
            jobs.every(name, job.every, job.run)
        else:
            jobs.on(job.event, name, job.run, retries=job.retries, concerning=_concerning(name, job, migrations.get(plugin)))


def _concerning(name: str, job: On[Event], own: Migrations | None) -> Concerning | None:
    if job.concerning is None:
        return None
    if own is None or own.base is None:
        raise ValueError(f"the job {name} asks which workspaces concern it, and its plugin has no tables to ask")
    return partial(_asked, job.concerning, own.base)


def _asked(concerning: Concerning, base: type[DeclarativeBase], session: Session, workspace_ids: Collection[str]) -> Collection[str]:
    return within(base, session, lambda own: concerning(own, workspace_ids))
