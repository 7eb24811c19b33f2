"""What can be watched, for those who may read it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from terrapod_core import organizations
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.db import Database
from terrapod_core.errors import BadRequest
from terrapod_core.live.feed import Feed
from terrapod_core.live.following import Following
from terrapod_core.live.guards import Guards
from terrapod_core.live.watching import Watching
from terrapod_core.runs import Logs, Runs
from terrapod_core.web.streams import Source
from terrapod_core.workspaces import Workspaces


class Live:
    """Opens sources; every method raises `NotFound` for what the actor may not read. What they tell is judged again when it is told."""

    def __init__(self, db: Database, authz: Authorizer, workspaces: Workspaces, runs: Runs, logs: Logs) -> None:
        self._workspaces = workspaces
        self._runs = runs
        self._logs = logs
        guards = Guards(db)
        self.feed = Feed(db, guards)
        self._watching = partial(Watching, db, authz, self.feed, guards)
        self._following = partial(Following, logs, authz, guards)

    async def run(self, actor: Actor, run_id: str, after: str | None = None) -> Source:
        """What happens to a run; `after` is the id of the last event the client has seen."""
        view = await self._runs.show(actor, run_id)
        return self._watching(workspace_id=view.workspace.id, run_id=run_id, after=after)

    async def workspace(self, actor: Actor, workspace_id: str, after: str | None = None) -> Source:
        """What happens to a workspace and its runs."""
        workspace = await self._workspaces.read(actor, workspace_id)
        return self._watching(workspace_id=workspace.id, after=after)

    async def organization(self, _actor: Actor, name: str, after: str | None = None) -> Source:
        """What happens to everything that the actor may read at that moment."""
        organizations.check(name)
        return self._watching(after=after)

    async def log(self, actor: Actor, phase_id: str, offset: int) -> Source | None:
        """A plan's or apply's log from this offset in bytes; `None` when it has ended and there is nothing more of it.

        Raises `BadRequest` for an offset that the log has not reached.
        """
        phase, view = await self._runs.phase(actor, phase_id)
        if offset > phase.log_size:
            raise BadRequest(f"the log has {phase.log_size} bytes, not {offset}; begin anew", parameter="last-event-id")
        if phase.is_final and offset == phase.log_size:
            return None
        return self._following(phase_id, view.workspace.id, offset)

    async def run_page(self, actor: Actor, run_id: str, offsets: Mapping[str, int]) -> list[Source]:
        """What happens in the run's workspace, where other runs hold it up, and those of its logs that `offsets` names, in words."""
        view = await self._runs.show(actor, run_id)
        wanted = [each for each in (view.run.plan_id, view.run.apply_id) if each in offsets]
        logs = [self._following(each, view.workspace.id, offsets[each], in_words=True) for each in wanted]
        return [self._watching(workspace_id=view.workspace.id), *logs]

    async def close(self) -> None:
        """Read no more."""
        await self.feed.close()
        await self._logs.stop_following()
