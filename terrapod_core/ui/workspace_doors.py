"""The door of the page of one workspace, over the services of workspaces, runs, states and variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from terrapod_core.agents import Pools
from terrapod_core.assessments import Assessments
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.errors import NotFound
from terrapod_core.jsonapi import Page, PageRequest, Query, Ref
from terrapod_core.live import Live
from terrapod_core.organizations import NAME
from terrapod_core.runs import Runs
from terrapod_core.runs.filters import RunFilters
from terrapod_core.runs.queries import RunView
from terrapod_core.states import States
from terrapod_core.states.creation import RollBack
from terrapod_core.states.models import StateStatus, StateVersion, StateVersionOutput
from terrapod_core.ui.workspace_views import (
    AssessmentLine,
    Lock,
    OutputLine,
    Paging,
    RunLine,
    StateLine,
    VariableLine,
    WorkspaceAction,
    WorkspaceView,
)
from terrapod_core.variables import Variables
from terrapod_core.variables.precedence import SCOPES
from terrapod_core.variables.values import ShownVariable
from terrapod_core.web.streams import Source
from terrapod_core.workspaces import LockKind, Workspace, Workspaces
from terrapod_core.workspaces.conditions import Conditions

T = TypeVar("T")
ALL_RUNS: Final = RunFilters()


@dataclass(frozen=True)
class WorkspacePageDoor:
    """One workspace, for its page."""

    workspaces: Workspaces
    runs: Runs
    states: States
    variables: Variables
    conditions: Conditions
    live: Live
    authz: Authorizer
    pools: Pools
    assessments: Assessments

    async def show(self, actor: Actor, name: str, paging: Paging) -> WorkspaceView:
        """The workspace as its page shows it."""
        workspace = await self.workspaces.read_by_name(actor, name)
        await self.workspaces.look_at_pools([workspace])
        await self.conditions.look([workspace])
        runs = await self.runs.page(actor, paging.runs, ALL_RUNS, workspace.id)
        current_id = workspace.current_run_id
        current = await self.runs.show(actor, current_id) if current_id is not None else None
        resources = await self.states.resources(actor, workspace.id, _query(paging.resources))
        states = await self.states.list(actor, workspace.id, paging.states)
        in_force, withheld = await self.variables.list_effective(actor, workspace.id)
        may_update = self.authz.allows(actor, Permission.WORKSPACE_UPDATE, workspace)
        return WorkspaceView(
            id=workspace.id,
            organization=NAME,
            name=workspace.name,
            description=workspace.description,
            execution_mode=workspace.execution_mode,
            pool=await self._pool(actor, workspace),
            lock=_lock(workspace),
            conditions=self.conditions.of(workspace),
            # Others follow from how the server is set up, and end when that does.
            acknowledgeable=frozenset(each["code"] for each in workspace.conditions) if may_update else frozenset(),
            actions=self._actions(actor, workspace),
            may_roll_back=self.authz.allows(actor, Permission.STATE_WRITE, workspace),
            current_run=_run(current) if current is not None else None,
            runs=_page(runs, [_run(each) for each in runs.items]),
            resources=_page(resources, [each.address for each in resources.items]),
            outputs=[_output(each) for each in await self.states.current_outputs(actor, workspace.id)],
            states=_page(states, [self._state(actor, workspace, each) for each in states.items]),
            variables=[_variable(each) for each in in_force],
            withheld=[each.name for each in withheld],
            repository=(workspace.vcs_link or {}).get("identifier"),
            assessment=await self._assessment(actor, workspace),
        )

    async def act(self, actor: Actor, name: str, action: WorkspaceAction, fields: Mapping[str, str]) -> None:
        """Do it, by the same service as the API."""
        workspace_id = (await self.workspaces.read_by_name(actor, name)).id
        locks, version = self.workspaces.locks, fields.get("version", "")
        match action:
            case WorkspaceAction.LOCK:
                await locks.lock(actor, workspace_id, fields.get("reason", "").strip() or None)
            case WorkspaceAction.UNLOCK:
                await locks.unlock(actor, workspace_id)
            case WorkspaceAction.FORCE_UNLOCK:
                await locks.force_unlock(actor, workspace_id)
            case WorkspaceAction.ACKNOWLEDGE:
                comment = fields.get("comment", "").strip() or None
                await self.workspaces.acknowledging.acknowledge(actor, workspace_id, fields.get("code", ""), comment)
            case WorkspaceAction.PROMOTE:
                await self.states.promote(actor, version)
            case WorkspaceAction.ROLL_BACK:
                await self.states.roll_back(actor, workspace_id, RollBack(rollback_state_version=Ref(type="state-versions", id=version)))

    async def stream(self, actor: Actor, name: str) -> Source:
        """What happens to the workspace and its runs."""
        return await self.live.workspace(actor, (await self.workspaces.read_by_name(actor, name)).id)

    async def _pool(self, actor: Actor, workspace: Workspace) -> str | None:
        """The name of its pool; the id where the one who looks may not read the pool."""
        if workspace.agent_pool_id is None:
            return None
        try:
            return (await self.pools.read(actor, workspace.agent_pool_id)).name
        except NotFound:
            return workspace.agent_pool_id

    async def _assessment(self, actor: Actor, workspace: Workspace) -> AssessmentLine | None:
        if workspace.current_assessment_result_id is None:
            return None
        found = await self.assessments.read(actor, workspace.current_assessment_result_id)
        failed = (found.checks_failed or 0) + (found.checks_errored or 0)
        return AssessmentLine(found.run_id, found.created_at, found.succeeded, found.resources_drifted or 0, failed)

    def _actions(self, actor: Actor, workspace: Workspace) -> frozenset[WorkspaceAction]:
        may_lock = self.authz.allows(actor, Permission.WORKSPACE_LOCK, workspace) and actor.user_id is not None
        own = _has_lock(actor, workspace)
        may_take = self.authz.allows(actor, Permission.WORKSPACE_FORCE_UNLOCK, workspace)
        can_be_taken = workspace.lock_kind == LockKind.USER or workspace.awaits_state
        possible = {
            WorkspaceAction.LOCK: may_lock and not workspace.locked,
            WorkspaceAction.UNLOCK: may_lock and own,
            WorkspaceAction.FORCE_UNLOCK: may_take and not own and can_be_taken,
        }
        return frozenset(action for action, offered in possible.items() if offered)

    def _state(self, actor: Actor, workspace: Workspace, version: StateVersion) -> StateLine:
        is_current = version.id == workspace.current_state_version_id
        may_update = self.authz.allows(actor, Permission.WORKSPACE_UPDATE, workspace)
        own = _has_lock(actor, workspace)
        possible = {
            WorkspaceAction.PROMOTE: version.rescued and may_update and (own or not workspace.locked),
            WorkspaceAction.ROLL_BACK: not version.rescued and own and self.authz.allows(actor, Permission.STATE_WRITE, workspace),
        }
        marks = {
            "current": is_current,
            "rescued": version.rescued,
            "intermediate": version.intermediate,
            "rollback": version.rollback_of_id is not None,
        }
        open_to = version.status == StateStatus.FINALIZED and not is_current
        return StateLine(
            id=version.id,
            serial=version.serial,
            status=version.status,
            created_at=version.created_at,
            run_id=version.run_id,
            marks=tuple(mark for mark, is_so in marks.items() if is_so),
            offered=frozenset(action for action, offered in possible.items() if offered and open_to),
        )


def _has_lock(actor: Actor, workspace: Workspace) -> bool:
    return workspace.lock_kind == LockKind.USER and workspace.lock_holder_id == actor.user_id


def _query(page: PageRequest) -> Query:
    return Query.parse({"page[number]": str(page.number), "page[size]": str(page.size)})


def _lock(workspace: Workspace) -> Lock | None:
    if not workspace.locked:
        return None
    by_run = workspace.lock_kind == LockKind.RUN
    return Lock(
        holder=workspace.lock_holder_name or "",
        since=workspace.locked_at,
        reason=workspace.lock_reason,
        run_id=workspace.lock_holder_id if by_run else None,
    )


def _run(view: RunView) -> RunLine:
    run = view.run
    return RunLine(run.id, run.status, run.message, run.created_at, run.trusted)


def _output(output: StateVersionOutput) -> OutputLine:
    value = bytes(output.shown_value).decode() if output.shown_value is not None else None
    return OutputLine(output.name, value, output.sensitive)


def _variable(variable: ShownVariable) -> VariableLine:
    origin = variable.origin
    if origin is None or variable.varset_id is None:
        told = "this workspace"
    else:
        priority = ", with priority" if origin.has_priority else ""
        told = f"set {origin.name} ({SCOPES[origin.tier]}{priority})"
    return VariableLine(variable.key, variable.category, variable.value, told)


def _page(found: Page[Any], items: list[T]) -> Page[T]:
    return Page(items, found.number, found.size, found.total, found.more)
