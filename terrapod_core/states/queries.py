"""Reading state versions. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.db import SETTLES, LookUp, SettledCounts
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.states.models import StateStatus, StateVersion, StateVersionOutput
from terrapod_core.workspaces import Workspace

NEWEST = (StateVersion.created_at.desc(), StateVersion.id.desc())


BY_ID: Final = LookUp(StateVersion, select(StateVersion).where(StateVersion.id == bindparam("version_id")))

# The statements of an announcement and an upload are made once: building them anew cost more than PostgreSQL's answer.

_MAY_PRECEDE: Final = (
    select(StateVersion)
    .where(
        or_(
            StateVersion.id == bindparam("current_id"),
            and_(
                StateVersion.workspace_id == bindparam("workspace_id"),
                StateVersion.status == StateStatus.PENDING.value,
                StateVersion.serial == bindparam("serial"),
                StateVersion.md5 == bindparam("md5"),
                StateVersion.created_by_id == bindparam("created_by_id"),
            ),
        )
    )
    .order_by(*NEWEST)
)

_CONCERNED: Final = (
    select(StateVersion)
    .where(
        or_(
            StateVersion.id == bindparam("version_id"),
            StateVersion.id == bindparam("current_id"),
            and_(
                StateVersion.workspace_id == bindparam("workspace_id"),
                StateVersion.status == StateStatus.PENDING.value,
                StateVersion.serial <= bindparam("serial"),
                StateVersion.force.is_(False),
            ),
        )
    )
    .with_for_update()
    .execution_options(populate_existing=True)
)

_SAME_CONTENT: Final = (
    select(StateVersion.id, StateVersion.object_key)
    .where(
        StateVersion.workspace_id == bindparam("workspace_id"),
        StateVersion.sha256 == bindparam("sha256"),
        StateVersion.object_key.is_not(None),
        StateVersion.content_of.is_(None),
    )
    .limit(1)
    .with_for_update()
)
_SAME_VIEW: Final = (
    select(StateVersion.id, StateVersion.json_object_key)
    .where(
        StateVersion.workspace_id == bindparam("workspace_id"),
        StateVersion.json_sha256 == bindparam("sha256"),
        StateVersion.json_object_key.is_not(None),
        StateVersion.json_content_of.is_(None),
    )
    .limit(1)
    .with_for_update()
)


def by_id(session: Session, version_id: str) -> StateVersion | None:
    """The state version, or `None`; says nothing about who may see it."""
    return BY_ID.over(session, {"version_id": version_id})


def for_update(session: Session, version_id: str) -> StateVersion | None:
    """The same, with its row locked until the transaction ends; lock the workspace's row first."""
    query = select(StateVersion).where(StateVersion.id == version_id)
    return session.execute(query.with_for_update().execution_options(populate_existing=True)).scalar_one_or_none()


def current(session: Session, workspace_id: str) -> StateVersion | None:
    """The workspace's current state version; `None` when it has no state."""
    query = select(StateVersion).join(Workspace, Workspace.current_state_version_id == StateVersion.id)
    return session.execute(query.where(Workspace.id == workspace_id, Workspace.deleted_at.is_(None))).scalar_one_or_none()


def pending_state(session: Session, workspace_id: str) -> bool:
    """Whether a state was announced to the workspace whose bytes have not arrived, so that it is not yet time to unlock."""
    pending = StateVersion.workspace_id == workspace_id, StateVersion.status == StateStatus.PENDING.value
    return session.execute(select(StateVersion.id).where(*pending).limit(1)).first() is not None


def may_precede(
    session: Session, workspace: Workspace, serial: int, md5: str, created_by_id: str | None
) -> tuple[StateVersion | None, StateVersion | None]:
    """The current version of a workspace whose row is locked, and the pending one of the same maker for the same bytes: a client
    that repeats a request gets it again.
    """
    values = {"current_id": workspace.current_state_version_id, "workspace_id": workspace.id, "serial": serial, "md5": md5}
    found = session.execute(_MAY_PRECEDE, {**values, "created_by_id": created_by_id}).scalars().all()
    current = next((each for each in found if each.id == workspace.current_state_version_id), None)
    return current, next((each for each in found if each is not current), None)


@dataclass(frozen=True)
class Concerned:
    """The versions that the arrival of one is about, their rows locked."""

    version: StateVersion | None
    current: StateVersion | None
    overtakes: bool
    """Whether others were announced that can no longer follow."""


def concerned(session: Session, workspace: Workspace, version_id: str, serial: int) -> Concerned:
    """What the arrival of a version with this serial is about; lock the workspace's row first."""
    current_id = workspace.current_state_version_id
    values = {"version_id": version_id, "current_id": current_id, "workspace_id": workspace.id, "serial": serial}
    found = {each.id: each for each in session.execute(_CONCERNED, values).scalars()}
    overtakes = bool(found.keys() - {version_id, current_id})
    return Concerned(found.get(version_id), found.get(current_id) if current_id is not None else None, overtakes)


def same_content(session: Session, workspace_id: str, sha256: str, *, parsed: bool = False) -> tuple[str, str] | None:
    """Id and object key of the version that these bytes (or this parsed view) were stored for already, its row locked: its object does not
    come to lie elsewhere before the transaction ends.
    """
    row = session.execute(_SAME_VIEW if parsed else _SAME_CONTENT, {"workspace_id": workspace_id, "sha256": sha256}).one_or_none()
    return None if row is None or row[1] is None else (row[0], row[1])


def from_run(session: Session, run_id: str, serial: int, md5: str) -> StateVersion | None:
    """The version that a run left with these bytes."""
    query = select(StateVersion).where(
        StateVersion.run_id == run_id,
        StateVersion.serial == serial,
        StateVersion.md5 == md5,
        StateVersion.status == StateStatus.FINALIZED.value,
    )
    return session.execute(query.order_by(*NEWEST).limit(1)).scalar_one_or_none()


def newest_of_run(session: Session, run_id: str) -> StateVersion | None:
    """The newest final version that a run left, also one that never became current."""
    query = select(StateVersion).where(StateVersion.run_id == run_id, StateVersion.status == StateStatus.FINALIZED.value)
    return session.execute(query.order_by(StateVersion.serial.desc(), *NEWEST).limit(1)).scalar_one_or_none()


def listing(
    session: Session, workspace_id: str, statuses: Collection[StateStatus], page: PageRequest, totals: SettledCounts, now: datetime
) -> Page[StateVersion]:
    """One page of a workspace's state versions in these statuses, newest first."""
    wanted = sorted(status.value for status in statuses)
    # The rows before the page are passed over in the index alone; only those of the page are read.
    chosen = select(StateVersion.id).where(StateVersion.workspace_id == workspace_id, StateVersion.status.in_(wanted))
    chosen_ids = chosen.order_by(*NEWEST).offset(page.offset).limit(page.size).subquery()
    rows = session.execute(select(StateVersion).join(chosen_ids, chosen_ids.c.id == StateVersion.id).order_by(*NEWEST)).scalars().all()
    total = sum(_number(session, workspace_id, status, totals, now) for status in wanted)
    return Page(rows, page.number, page.size, total)


def _number(session: Session, workspace_id: str, status: str, totals: SettledCounts, now: datetime) -> int:
    """How many are in a status. Final ones stay final: what is settled of them ends where the oldest begins that still waits."""

    def count(since: datetime | None, before: datetime | None) -> int:
        query = select(func.count()).where(StateVersion.workspace_id == workspace_id, StateVersion.status == status)
        query = query.where(StateVersion.created_at >= since) if since is not None else query
        query = query.where(StateVersion.created_at < before) if before is not None else query
        return session.execute(query).scalar_one()

    if status != StateStatus.FINALIZED:
        return count(None, None)
    waiting = StateVersion.workspace_id == workspace_id, StateVersion.status == StateStatus.PENDING.value
    oldest: datetime | None = session.execute(select(func.min(StateVersion.created_at)).where(*waiting)).scalar_one()
    until = now - SETTLES
    return totals.total(workspace_id, min(until, oldest or until), count)


def visible(session: Session, authz: Authorizer, actor: Actor, wanted: Sequence[str]) -> Sequence[tuple[StateVersion, Workspace]]:
    """Those of `wanted` whose workspace the actor may read, each with it."""
    pairs = (
        select(StateVersion, Workspace)
        .join(Workspace, Workspace.id == StateVersion.workspace_id)
        .where(StateVersion.id.in_(wanted), Workspace.deleted_at.is_(None))
    )
    return [(row[0], row[1]) for row in session.execute(pairs) if authz.allows(actor, Permission.STATE_READ, row[1])]


def output_ids(session: Session, version_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The ids of the outputs of these versions, by version, in the order of their names."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    query = select(StateVersionOutput.state_version_id, StateVersionOutput.id).where(StateVersionOutput.state_version_id.in_(version_ids))
    for version_id, output_id in session.execute(query.order_by(StateVersionOutput.name)):
        found[version_id].append(output_id)
    return found


def outputs(session: Session, version_id: str, page: PageRequest | None = None) -> Page[StateVersionOutput]:
    """The outputs of a version, by name: one page of them, or all."""
    found = select(StateVersionOutput).where(StateVersionOutput.state_version_id == version_id)
    ordered = found.order_by(StateVersionOutput.name)
    if page is None:
        return Page.whole(session.execute(ordered).scalars().all())
    total = session.execute(select(func.count()).select_from(found.with_only_columns(StateVersionOutput.id).subquery())).scalar_one()
    return Page(session.execute(ordered.offset(page.offset).limit(page.size)).scalars().all(), page.number, page.size, total)


def current_outputs(
    session: Session, authz: Authorizer, actor: Actor, workspaces: Sequence[Workspace]
) -> Mapping[str, Sequence[StateVersionOutput]]:
    """The outputs of the current states of those workspaces whose state the actor may read, by workspace, in the order of their names."""
    readable = [one for one in workspaces if authz.allows(actor, Permission.STATE_READ, one)]
    by_version = {one.current_state_version_id: one.id for one in readable if one.current_state_version_id is not None}
    found: dict[str, list[StateVersionOutput]] = {one.id: [] for one in readable}
    query = select(StateVersionOutput).where(StateVersionOutput.state_version_id.in_(by_version)).order_by(StateVersionOutput.name)
    for output in session.execute(query).scalars() if by_version else ():
        found[by_version[output.state_version_id]].append(output)
    return found


def output_by_id(session: Session, output_id: str) -> tuple[StateVersionOutput, StateVersion] | None:
    """An output and the version it belongs to."""
    query = select(StateVersionOutput, StateVersion).join(StateVersion, StateVersion.id == StateVersionOutput.state_version_id)
    row = session.execute(query.where(StateVersionOutput.id == output_id)).one_or_none()
    return None if row is None else (row[0], row[1])


def visible_outputs(session: Session, authz: Authorizer, actor: Actor, wanted: Sequence[str]) -> Sequence[StateVersionOutput]:
    """Those of `wanted` that belong to a workspace the actor may read."""
    query = (
        select(StateVersionOutput, Workspace)
        .join(StateVersion, StateVersion.id == StateVersionOutput.state_version_id)
        .join(Workspace, Workspace.id == StateVersion.workspace_id)
        .where(StateVersionOutput.id.in_(wanted), Workspace.deleted_at.is_(None))
    )
    return [row[0] for row in session.execute(query) if authz.allows(actor, Permission.STATE_READ, row[1])]


def overdue(session: Session, now: datetime, most: int) -> Sequence[StateVersion]:
    """Pending ones whose bytes can no longer come, the oldest first."""
    query = (
        select(StateVersion)
        .where(StateVersion.status == StateStatus.PENDING.value, StateVersion.upload_expires_at <= now)
        .order_by(StateVersion.upload_expires_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return session.execute(query).scalars().all()


LEFT: Final = exists().where(StateVersion.workspace_id == Workspace.id)
"""Whether a workspace has state versions; for the purge of deleted ones."""


def of_workspace(session: Session, workspace_id: str, most: int) -> Sequence[StateVersion]:
    """Some of a workspace's rows, in no particular order, locked; for removing them."""
    query = select(StateVersion).where(StateVersion.workspace_id == workspace_id).limit(most)
    return session.execute(query.with_for_update()).scalars().all()
