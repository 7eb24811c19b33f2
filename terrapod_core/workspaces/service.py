"""Workspaces: create, read, list, update, delete, and what runs and states do to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import UNSET
from sqlalchemy import ColumnElement, Select, delete, false, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.accounts import User
from terrapod_core.agents.use import unusable
from terrapod_core.authz import EVERYONE, Actor, Authorizer, GuardKind, Permission, labels as label_rules, reserved, visibility
from terrapod_core.authz.trust import check_labels, granted as roles_reaching
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, Problems
from terrapod_core.jsonapi import Page, Query, Ref
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.plugin.events import UserDeleted, WorkspaceDeleted, WorkspaceLocked, WorkspaceUnlocked
from terrapod_core.projects import Projects
from terrapod_core.workspaces import documents, execution, owners, pools, queries, tagging, trust
from terrapod_core.workspaces.conditions import Acknowledging
from terrapod_core.workspaces.documents import CreateWorkspace, UpdateWorkspace
from terrapod_core.workspaces.door import Door, PendingState
from terrapod_core.workspaces.linking import Found, Linking, Wish, wish
from terrapod_core.workspaces.locks import Locks
from terrapod_core.workspaces.models import Label, LockKind, RemoteStateConsumer, Workspace
from terrapod_core.workspaces.placing import Placing, no_project
from terrapod_core.workspaces.queries import RunsWithStatus
from terrapod_core.workspaces.seen import SeenLists
from terrapod_core.workspaces.sharing import Sharing
from terrapod_core.workspaces.tagging import Tagging

EVERYBODY: Final = EVERYONE.name
KEPT: Final = timedelta(days=1)
"""How long a deleted workspace's row is kept for those who put away runs, states and objects."""
PURGED_AT_ONCE: Final = 100

_RECORDED: Final = {
    "name",
    "execution_mode",
    "agent_pool_id",
    "inherits_execution_mode",
    "auto_apply",
    "terraform_version",
    "working_directory",
    "global_remote_state",
    "untrusted_plans",
    "vendored_providers",
    "fork_pull_requests",
    "project_id",
    "admitted",
    "owner_id",
}
"""Settings whose new value an audit entry names; of the others it names that they changed."""

_OF_TRUST: Final = {"name", "owner_id", "labels"}
"""Changes by which others may gain or lose rights."""

_SEEN_BY: Final = {*_OF_TRUST, "project_id"}
"""Changes that lists of what somebody sees depend on."""


@dataclass(frozen=True)
class Limits:
    """What the settings say about making workspaces."""

    per_user: int = 100
    """Owned by one user who is no platform admin."""
    creators: tuple[str, ...] = (EVERYBODY,)
    """Roles whose holders make workspaces, beside platform admins; `everyone` lets everybody."""


class Workspaces:
    """go-tfe's `Workspaces`; locks, tags, remote-state consumers, projects and conditions have services of their own, `locks`, `tagging`,
    `sharing`, `placing` and `acknowledging`.
    """

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        projects: Projects,
        *,
        pending_state: PendingState,
        linking: Linking,
        runs_with_status: RunsWithStatus | None = None,
        limits: Limits | None = None,
        leftovers: Sequence[ColumnElement[bool]] = (),
    ) -> None:
        """`runs_with_status` answers `filter[current-run][status]`, which is ignored without it.

        `leftovers` say whether higher rooms still have something of a workspace to put away; one that was deleted stays till then.
        """
        self._leftovers = leftovers
        self._door = Door(db, authz)
        self._pending = pending_state
        self._runs = runs_with_status
        self._limits = limits or Limits()
        self._linking = linking
        self._seen = SeenLists()
        self.locks = Locks(self._door, pending_state)
        self.tagging = Tagging(self._door)
        self.sharing = Sharing(self._door)
        self.placing = Placing(self._door, projects)
        self.acknowledging = Acknowledging(self._door)

    # -- what people do

    async def create(self, actor: Actor, new: CreateWorkspace) -> Workspace:
        """Make a workspace that belongs to the actor. `Invalid` says everything that is wrong with the document."""
        self._may_create(actor)
        values = {**documents.DEFAULTS, **documents.settings(new)}
        asked = wish(new)
        linked = await self._linking.find(actor, asked, None)
        said, labels = documents.execution(new), _labels(new, Problems())
        async with self._door.db.uow() as uow:
            await uow.run(lambda session: self._may_have(session, actor, new.name))
            project = await uow.run(lambda session: self.placing.project(session, actor, new.project))
            values |= await uow.run(lambda session: execution.chosen(session, self._door.authz, actor, said, project, None))
            now = uow.now()
            workspace = Workspace(
                id=ids.new("ws"),
                project_id=project.id,
                owner_id=await uow.run(lambda session: _owner(session, actor, new, actor.user_id)),
                admitted=_admitted(actor, new, actor.is_platform_admin),
                labels={},
                latest_change_at=now,
                created_at=now,
                updated_at=now,
                resource_count=0,
                **values,
            )
            uow.add(workspace)
            await _flush(uow)
            await reserved.release(uow, trust.KIND, [new.name])
            await tagging.put(uow, workspace, labels)
            follows = await self._linking.apply(uow, actor, workspace, asked, linked)
            detail = {"name": new.name, "labels": labels, **execution.audited(workspace), **follows}
            audit.record(uow, actor, "workspace.create", "workspaces", workspace.id, **detail)
            await visibility.changed(uow, GuardKind.WORKSPACE)
            await uow.commit()
        return workspace

    async def read(self, actor: Actor, workspace_id: str) -> Workspace:
        """The workspace; `NotFound` when it is not there or not for this actor."""
        workspace = await self._door.db.look_up(queries.BY_ID, workspace_id=workspace_id)
        return self._door.allowed(actor, Permission.WORKSPACE_READ, workspace)

    async def read_by_name(self, actor: Actor, name: str) -> Workspace:
        """The same, by its name."""
        workspace = await self._door.db.look_up(queries.BY_NAME, workspace_name=name)
        return self._door.allowed(actor, Permission.WORKSPACE_READ, workspace)

    async def list(self, actor: Actor, query: Query) -> Page[Workspace]:
        """One page of the workspaces the actor may read."""
        return await self._door.db.read(lambda session: queries.listing(session, self._door.authz, actor, query, self._runs, self._seen))

    async def look_at_pools(self, found: Sequence[Workspace]) -> None:
        """Let each know how it goes with its pool, before it is shown: `no-agent` is told from that."""
        if any(each.agent_pool_id for each in found):
            now = self._door.db.clock.now()
            await self._door.db.read(lambda session: pools.look(session, found, now))

    async def update(self, actor: Actor, workspace_id: str, changes: UpdateWorkspace) -> Workspace:
        """Change what was sent; needs admin on the workspace, for a move on both projects, and for some things its owner."""
        asked, linked = await self._linked(actor, workspace_id, changes)
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
            values = documents.settings(changes)
            values["admitted"] = _admitted(actor, changes, workspace.admitted)
            values["owner_id"] = await uow.run(lambda session: _owner(session, actor, changes, workspace.owner_id))
            old_labels = workspace.labels
            wanted = _labels(changes, Problems()) if _says_labels(changes) else old_labels
            force = changes.force is True
            await uow.run(lambda session: check_labels(session, self._door.authz, actor, workspace, wanted, force=force))
            values |= await uow.run(lambda session: self.placing.placed(session, actor, workspace, changes))
            changed = {name: value for name, value in values.items() if getattr(workspace, name) != value}
            of_trust = wanted != old_labels or not _OF_TRUST.isdisjoint(changed)
            granted = await uow.run(lambda session: roles_reaching(session, workspace)) if of_trust else {}
            if "name" in changed:
                await self._rename(uow, actor, workspace, str(changed["name"]))
            for name, value in changed.items():
                setattr(workspace, name, value)
            await _flush(uow)
            if await tagging.put(uow, workspace, wanted):
                changed["labels"] = wanted
            changed |= (follows := await self._linking.apply(uow, actor, workspace, asked, linked))
            if "speculative_enabled" in changed:
                await self._linking.show_all(uow, workspace)  # pull requests that are open already
            if changed:
                workspace.updated_at = uow.now()
                detail: dict[str, Any] = {name: value for name, value in changed.items() if name in _RECORDED} | follows
                if "labels" in changed:
                    detail |= {"old_labels": old_labels, "new_labels": wanted}
                if of_trust:
                    after = await uow.run(lambda session: roles_reaching(session, workspace))
                    detail |= {"old_grants": granted, "new_grants": after}
                audit.record(uow, actor, "workspace.update", "workspaces", workspace.id, changed=sorted(changed), **detail)
            if not _SEEN_BY.isdisjoint(changed):
                await visibility.changed(uow, GuardKind.WORKSPACE)
            await uow.commit()
        return workspace

    async def delete(self, actor: Actor, workspace_id: str) -> None:
        """Delete whatever it holds and whoever has locked it; `WorkspaceDeleted` tells those who cancel its runs."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_DELETE, workspace_id)
            await self._remove(uow, actor, workspace)

    async def safe_delete(self, actor: Actor, workspace_id: str) -> None:
        """Delete unless it is locked, a state is on its way, or it manages resources: `Conflict`, in words that go-tfe knows."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_DELETE, workspace_id)
            if workspace.locked:
                raise Conflict(f"the workspace {workspace.name} is locked; unlock it, or delete it by force")
            if await uow.run(lambda session: self._pending(session, workspace.id)):
                raise Conflict(f"the latest state of the workspace {workspace.name} is being processed; try again in a moment")
            if workspace.resource_count:
                raise Conflict(
                    f"the workspace {workspace.name} manages {workspace.resource_count} resources; "
                    "destroy them first, or delete the workspace by force and keep them"
                )
            await self._remove(uow, actor, workspace)

    # -- what other rooms do, with a row from `queries.for_update` in the same unit of work

    def take_for_run(self, uow: UnitOfWork, workspace: Workspace, run_id: str) -> None:
        """Let the run hold the workspace and be its current run; `Conflict` when somebody else holds it. Safe to repeat."""
        if workspace.locked and not workspace.is_held_by(run_id):
            raise Conflict(f"the workspace {workspace.name} is locked by {workspace.lock_holder_name}")
        if not workspace.locked:
            workspace.lock(LockKind.RUN, run_id, run_id, f"Locked by run {run_id}", uow.now())
            uow.emit(WorkspaceLocked(workspace_id=workspace.id))
        workspace.current_run_id = run_id

    def hold_for_state(self, uow: UnitOfWork, workspace: Workspace, run_id: str, until: datetime) -> bool:
        """Let a run that is over keep the workspace until then, because its state may still come; `False` when it does not hold it."""
        if not workspace.is_held_by(run_id):
            return False
        workspace.lock_reason = f"The runner of {run_id}, which was cancelled, is not heard: the state it holds is awaited"
        if workspace.lock_until is None:
            workspace.locked_at = uow.now()
        workspace.lock_until = until
        return True

    def release_from_run(self, uow: UnitOfWork, workspace: Workspace, run_id: str) -> bool:
        """Free the workspace if it is this run that holds it, and tell; `False`, and no change, when it is not."""
        if not workspace.is_held_by(run_id):
            return False
        workspace.unlock()
        uow.emit(WorkspaceUnlocked(workspace_id=workspace.id))
        return True

    def set_current_run(self, _uow: UnitOfWork, workspace: Workspace, run_id: str | None) -> None:
        """Show this run as the current one, whoever has the lock."""
        workspace.current_run_id = run_id

    def set_current_state(self, uow: UnitOfWork, workspace: Workspace, state_version_id: str | None, resource_count: int) -> None:
        """Make a finalized state version the current one; `resource_count` is how many resources are in it."""
        workspace.current_state_version_id = state_version_id
        workspace.resource_count = resource_count
        workspace.latest_change_at = uow.now()

    def set_current_configuration(self, _uow: UnitOfWork, workspace: Workspace, configuration_version_id: str | None) -> None:
        """Make a configuration version the current one."""
        workspace.current_configuration_version_id = configuration_version_id

    async def purge(self) -> int:
        """Remove the rows of workspaces that were deleted a day ago, and with them every row that hangs on them; how many.

        One of which something is left keeps its row, and its deletion is told once more: whoever should have put it away gave up.
        """
        old = Workspace.deleted_at < self._door.db.clock.now() - KEPT
        left = or_(false(), *self._leftovers)
        purged = 0
        while batch := await self._purge_batch(select(Workspace.id).where(old, ~left).limit(PURGED_AT_ONCE)):
            purged += batch
        async with self._door.db.uow() as uow:
            late = select(Workspace).where(old, left).order_by(Workspace.updated_at).limit(PURGED_AT_ONCE)
            for workspace in (await uow.session.execute(late)).scalars():
                workspace.updated_at = uow.now()  # so that the next time others come first
                uow.emit(WorkspaceDeleted(workspace_id=workspace.id))
            await uow.commit()
        return purged

    async def _purge_batch(self, chosen: Select[str]) -> int:
        async with self._door.db.uow() as uow:
            gone = delete(Workspace).where(Workspace.id.in_(chosen)).returning(Workspace.id)
            purged = (await uow.session.execute(gone, execution_options={"synchronize_session": False})).scalars().all()
            await uow.commit()
        return len(purged)

    async def disown(self, event: UserDeleted) -> None:
        """Leave what a deleted user owned to platform admins and roles."""
        await owners.disown(self._door.db, event.user_id)

    # -- inside

    async def _linked(self, actor: Actor, workspace_id: str, changes: UpdateWorkspace) -> tuple[Wish | None, Found | None]:
        """Which repository a document asks for. The forge is asked for nobody who could not change the workspace."""
        asked = wish(changes)
        if asked is None or asked == Wish():
            return asked, None
        workspace = await self.read(actor, workspace_id)
        self._door.allowed(actor, Permission.WORKSPACE_UPDATE, workspace)
        return asked, await self._linking.find(actor, asked, workspace.vcs_link)

    def _may_have(self, session: Session, actor: Actor, name: str) -> None:
        """Refuse one workspace too many, and a name that is taken or was."""
        if actor.user_id is not None and not actor.is_platform_admin:
            owned = queries.owned(session, actor.user_id)
            if owned >= self._limits.per_user:
                raise Invalid(f"you own {owned} workspaces, as many as one user may; delete some, or ask a platform admin")
        if queries.by_name(session, name) is not None:
            raise _taken()
        trust.check_name(session, actor, name)

    def _may_create(self, actor: Actor) -> None:
        if actor.user_id is None and not actor.is_platform_admin:
            raise Forbidden("only people create workspaces")
        self._door.authz.require_unscoped(actor, to="create workspaces")
        roles = {rule.name for rule in actor.roles.rules}
        if not actor.is_platform_admin and roles.isdisjoint(self._limits.creators):
            raise Forbidden("only platform admins, and the roles that the settings name, create workspaces here", code="may_not_create")

    async def _rename(self, uow: UnitOfWork, actor: Actor, workspace: Workspace, name: str) -> None:
        trust.check_rename(actor, workspace)
        await uow.run(lambda session: trust.check_name(session, actor, name))
        await reserved.release(uow, trust.KIND, [name])
        reserved.reserve(uow, trust.KIND, workspace.name)

    async def _remove(self, uow: UnitOfWork, actor: Actor, workspace: Workspace) -> None:
        now = uow.now()
        workspace.deleted_at = workspace.updated_at = now
        # So that the project it was in can be deleted, and the pool; while the mode stays, no other runner takes what is queued.
        workspace.project_id, workspace.agent_pool_id = DEFAULT_PROJECT_ID, None
        workspace.vcs_repository_id = None
        await uow.session.execute(delete(Label).where(Label.workspace_id == workspace.id))
        shared = (RemoteStateConsumer.workspace_id == workspace.id) | (RemoteStateConsumer.consumer_id == workspace.id)
        await uow.session.execute(delete(RemoteStateConsumer).where(shared))
        reserved.reserve(uow, trust.KIND, workspace.name)
        uow.emit(WorkspaceDeleted(workspace_id=workspace.id))
        audit.record(
            uow, actor, "workspace.delete", "workspaces", workspace.id, name=workspace.name, resource_count=workspace.resource_count
        )
        await visibility.changed(uow, GuardKind.WORKSPACE)
        await uow.commit()


def _admitted(actor: Actor, sent: UpdateWorkspace, now: bool) -> bool:
    """Whether what all share reaches the workspace; a platform admin says it, nobody else."""
    if not isinstance(sent.admitted, bool) or sent.admitted == now:
        return now
    if not actor.is_platform_admin:
        raise Forbidden("only a platform admin admits a workspace to what the whole installation shares", code="platform_role_needed")
    return sent.admitted


def _owner(session: Session, actor: Actor, sent: UpdateWorkspace, now: str | None) -> str | None:
    """The owner's id; a platform admin gives a workspace to another user, nobody else."""
    if not isinstance(sent.owner, Ref) or sent.owner.id == now:
        return now
    if not actor.is_platform_admin:
        raise Forbidden("only a platform admin gives a workspace to another owner", code="platform_role_needed")
    user = session.get(User, sent.owner.id or "")
    if user is None or user.disabled_at is not None:
        raise Invalid("there is no such user, or the account is disabled", pointer="/data/relationships/owner")
    return user.id


def _taken() -> Invalid:
    return Invalid("Name has already been taken", pointer="/data/attributes/name")


async def _flush(uow: UnitOfWork) -> None:
    """Send the row; a checked document can still offend three constraints, when somebody was quicker."""
    try:
        await uow.flush()
    except IntegrityError as error:
        offended = str(error.orig).lower()
        if "agent_pool" in offended:
            raise unusable("/data/attributes/agent-pool-id") from error
        raise (no_project() if "foreign key" in offended else _taken()) from error


def _says_labels(sent: UpdateWorkspace) -> bool:
    return sent.labels is not UNSET or sent.tag_bindings is not UNSET


def _labels(sent: UpdateWorkspace, problems: Problems) -> dict[str, str | None]:
    """The labels of a document, whichever way it names them; `Invalid` when one is wrong or there are too many."""
    found: dict[str, str | None] = {}
    if isinstance(sent, CreateWorkspace) and sent.tags is not UNSET:
        found |= label_rules.of_tags(sent.tags, {}, problems)
    if isinstance(sent.labels, dict):
        found |= label_rules.of_attribute(sent.labels, problems)
    if sent.tag_bindings is not UNSET:
        found |= label_rules.of_bindings(sent.tag_bindings, problems)
    label_rules.limit(found, problems)
    problems.refuse()
    return dict(sorted(found.items()))
