"""Reading workspaces. Everything here is synchronous, over a session of `Database.read` or `UnitOfWork.run`.

The look-ups by id and by name are on every request's way: a service that needs nothing else uses `Database.look_up`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core.authz import Actor, Authorizer, GuardKind, Permission, visibility
from terrapod_core.db import LookUp
from terrapod_core.jsonapi import Page, Query, Tagged
from terrapod_core.projects.execution import Execution
from terrapod_core.workspaces.models import GUARD, Label, RemoteStateConsumer, Workspace
from terrapod_core.workspaces.seen import SeenLists, key_of

RunsWithStatus: TypeAlias = Callable[[Sequence[str]], Select[str]]
"""The ids of runs that are in one of these statuses, as a query: the table is a higher room's."""

BY_ID: Final = LookUp(Workspace, select(Workspace).where(Workspace.id == bindparam("workspace_id"), Workspace.deleted_at.is_(None)))
BY_NAME: Final = LookUp(Workspace, select(Workspace).where(Workspace.name == bindparam("workspace_name"), Workspace.deleted_at.is_(None)))

_SORTS: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "name": Workspace.name,
    "created_at": Workspace.created_at,
    "updated_at": Workspace.updated_at,
    "latest_change_at": Workspace.latest_change_at,
}


def by_id(session: Session, workspace_id: str) -> Workspace | None:
    """The workspace, or `None`; says nothing about who may see it."""
    return BY_ID.over(session, {"workspace_id": workspace_id})


def by_name(session: Session, name: str) -> Workspace | None:
    """The workspace of that name, or `None`."""
    return BY_NAME.over(session, {"workspace_name": name})


def for_update(session: Session, workspace_id: str) -> Workspace | None:
    """The workspace as it is now, its row locked until the transaction ends: every change of a lock or a run starts here."""
    query = BY_ID.query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query, {"workspace_id": workspace_id}).scalar_one_or_none()


def by_ids(session: Session, workspace_ids: Sequence[str], *, locked: bool = False) -> Sequence[Workspace]:
    """Those of the workspaces that exist, by id; `locked` keeps their rows until the transaction ends."""
    query = _live().where(Workspace.id.in_(workspace_ids)).order_by(Workspace.id)
    if locked:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalars().all()


def readable(session: Session, authz: Authorizer, actor: Actor, workspace_ids: Sequence[str]) -> Sequence[Workspace]:
    """Those of the workspaces that the actor may read; the loader of `include=workspace`."""
    found = session.execute(_live().where(Workspace.id.in_(workspace_ids))).scalars()
    return [workspace for workspace in found if authz.allows(actor, Permission.WORKSPACE_READ, workspace)]


def readable_ids(authz: Authorizer, actor: Actor) -> Select[str]:
    """Selects the ids of all workspaces that the actor may read, for rooms that know them by those alone."""
    return authz.visible(select(Workspace.id).where(Workspace.deleted_at.is_(None)), actor, GUARD)


def owned(session: Session, user_id: str) -> int:
    """How many workspaces the user owns."""
    return session.execute(select(func.count()).where(Workspace.owner_id == user_id, Workspace.deleted_at.is_(None))).scalar_one()


class InProjects:
    """For the projects' room: what an actor sees in them."""

    def __init__(self, authz: Authorizer) -> None:
        self._authz = authz

    def count(self, session: Session, actor: Actor, project_ids: Sequence[str]) -> Mapping[str, int]:
        """How many workspaces of each project the actor sees."""
        query = select(Workspace.project_id, func.count().label("number")).where(
            Workspace.project_id.in_(project_ids), Workspace.deleted_at.is_(None)
        )
        rows = session.execute(self._authz.visible(query, actor, GUARD).group_by(Workspace.project_id)).all()
        return {row.project_id: row.number for row in rows}

    def of(self, actor: Actor) -> Select[str]:
        """The ids of the projects in which the actor sees a workspace."""
        return self._authz.visible(select(Workspace.project_id).where(Workspace.deleted_at.is_(None)), actor, GUARD)

    def hold(self, session: Session, project_id: str) -> None:
        """Lock the rows of those that inherit from the project: whoever changes one locks it before the project, so this does too."""
        query = select(Workspace.id).where(*_inheriting(project_id)).order_by(Workspace.id).with_for_update()
        session.execute(query).all()

    def follow(self, session: Session, project_id: str, execution: Execution, now: datetime) -> int:
        """Let those that inherit from the project have its new execution mode; how many there are."""
        columns = {"execution_mode": execution.mode.value, "agent_pool_id": execution.pool_id, "updated_at": now}
        changed = update(Workspace).where(*_inheriting(project_id)).values(columns).returning(Workspace.id)
        return len(session.execute(changed.execution_options(synchronize_session=False)).all())


def listing(
    session: Session, authz: Authorizer, actor: Actor, query: Query, runs: RunsWithStatus | None = None, seen: SeenLists | None = None
) -> Page[Workspace]:
    """One page of what the actor may read: one query for the rows, and one for the total unless the page tells it.

    What `seen` has is used as long as it stays true: the total, and for who sees a part of all by roles the ids.
    """
    found = authz.visible(_live(), actor, GUARD).where(*_conditions(query, runs))
    key = key_of(actor, query)
    if seen is None or key is None:
        return _found(session, query, found, lambda count: count())
    now = visibility.generation(session, GuardKind.WORKSPACE)
    if actor.reads_everything:
        return _found(session, query, found, lambda count: seen.total(key, now, count))
    chosen = found.with_only_columns(Workspace.id).order_by(*_order(query))
    return _page_of(session, query, seen.ids(key, now, lambda: session.execute(chosen).scalars().all()))


def _found(session: Session, query: Query, found: Select[Workspace], total: Callable[[Callable[[], int]], int]) -> Page[Workspace]:
    ids = found.with_only_columns(Workspace.id)
    # Those before the page are passed over in an index alone, where there is one in the order; only the page's rows are read.
    before = ids.order_by(*_order(query)).offset(query.page.offset).limit(query.page.size).subquery()
    rows = session.execute(select(Workspace).join(before, before.c.id == Workspace.id).order_by(*_order(query))).scalars().all()
    return Page(rows, query.page.number, query.page.size, total(lambda: _total(session, query, len(rows), ids)))


def _page_of(session: Session, query: Query, ids: Sequence[str]) -> Page[Workspace]:
    wanted = ids[query.page.offset : query.page.offset + query.page.size]
    found = {workspace.id: workspace for workspace in by_ids(session, wanted)} if wanted else {}
    return Page([found[each] for each in wanted if each in found], query.page.number, query.page.size, len(ids))


def _inheriting(project_id: str) -> tuple[ColumnElement[bool], ...]:
    return Workspace.project_id == project_id, Workspace.inherits_execution_mode.is_(True), Workspace.deleted_at.is_(None)


def _total(session: Session, query: Query, rows: int, found: Select[*tuple[Any, ...]]) -> int:
    if query.page.number == 1 and rows < query.page.size:
        return rows
    return session.execute(select(func.count()).select_from(found.order_by(None).subquery())).scalar_one()


def _live() -> Select[Workspace]:
    return select(Workspace).where(Workspace.deleted_at.is_(None))


def _conditions(query: Query, runs: RunsWithStatus | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if name := query.search("name"):
        conditions.append(Workspace.name.icontains(name, autoescape=True))
    if pattern := query.search("wildcard_name"):
        conditions.append(_matches(pattern))
    conditions += [_labelled(Tagged(key, None)) for key in query.search_list("tags")]
    if excluded := query.search_list("exclude_tags"):
        conditions.append(~exists().where(Label.workspace_id == Workspace.id, Label.key.in_(excluded)))
    conditions += [_labelled(tagged) for tagged in query.tagged]
    if projects := query.filter_list("project.id"):
        conditions.append(Workspace.project_id.in_(projects))
    statuses = query.filter_list("current_run.status")
    if statuses and runs is not None:
        conditions.append(Workspace.current_run_id.in_(runs(statuses)))
    return conditions


def _labelled(tagged: Tagged) -> ColumnElement[bool]:
    """Has a label of this key, and of this value when one is given; an empty value is none, as in the labels themselves."""
    label = exists().where(Label.workspace_id == Workspace.id, Label.key == tagged.key)
    return label.where(Label.value == tagged.value) if tagged.value else label


def _matches(pattern: str) -> ColumnElement[bool]:
    """`*` stands for any characters and is the only one that is special; case does not count, as in `search[name]`."""
    quoted = pattern.lower().replace("/", "//").replace("%", "/%").replace("_", "/_").replace("*", "%")
    return func.lower(Workspace.name).like(quoted, escape="/")


def _order(query: Query) -> list[ColumnElement[Any]]:
    chosen: list[ColumnElement[Any]] = []
    for sort in query.sort:
        column = _SORTS.get(sort.name)
        if column is not None:
            chosen.append(column.desc() if sort.descending else column.asc())
    return [*chosen, Workspace.name.asc()]


def labels(session: Session, workspace_id: str) -> Sequence[Label]:
    """The labels of one workspace, by key."""
    return session.execute(select(Label).where(Label.workspace_id == workspace_id).order_by(Label.key)).scalars().all()


def tags(session: Session, authz: Authorizer, actor: Actor, query: Query) -> Page[tuple[str, int, datetime]]:
    """One page of the keys in use on workspaces that the actor may read: name, number of workspaces, since when."""
    joined = select(Label.key, func.count(), func.min(Label.created_at)).join(Workspace, Workspace.id == Label.workspace_id)
    found = authz.visible(joined.where(Workspace.deleted_at.is_(None)), actor, GUARD).group_by(Label.key)
    if query.q:
        found = found.where(Label.key.icontains(query.q, autoescape=True))
    rows = session.execute(found.order_by(Label.key).offset(query.page.offset).limit(query.page.size)).all()
    return Page(
        [(key, number, since) for key, number, since in rows], query.page.number, query.page.size, _total(session, query, len(rows), found)
    )


def consumers(session: Session, authz: Authorizer, actor: Actor, workspace: Workspace, query: Query) -> Page[Workspace]:
    """One page of the workspaces that may read this one's state and that the actor may read; all of those when it is global."""
    found = authz.visible(_live(), actor, GUARD)
    if workspace.global_remote_state:
        found = found.where(Workspace.id != workspace.id)
    else:
        listed = select(RemoteStateConsumer.consumer_id).where(RemoteStateConsumer.workspace_id == workspace.id)
        found = found.where(Workspace.id.in_(listed))
    rows = session.execute(found.order_by(Workspace.name).offset(query.page.offset).limit(query.page.size)).scalars().all()
    return Page(rows, query.page.number, query.page.size, _total(session, query, len(rows), found.with_only_columns(Workspace.id)))
