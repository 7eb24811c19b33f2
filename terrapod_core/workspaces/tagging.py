"""Labels under their three names: the attribute `labels`, tags, and tag bindings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, GuardKind, Permission, labels as rules, trust as label_trust, visibility
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Page, Query, Ref
from terrapod_core.workspaces import queries
from terrapod_core.workspaces.door import Door
from terrapod_core.workspaces.models import Label, Workspace, in_order, tag_id


@dataclass(frozen=True)
class Tag:
    """A key in use, as TFE's flat tags are shown."""

    id: str
    name: str
    created_at: datetime
    instance_count: int


async def put(uow: UnitOfWork, workspace: Workspace, wanted: Mapping[str, str | None]) -> bool:
    """Make `wanted` the labels of the workspace, rows and the copy on its own row; `False` when nothing had to change."""
    old = workspace.labels
    if dict(wanted) == old:
        return False
    gone = [key for key in old if key not in wanted or wanted[key] != old[key]]
    if gone:
        await uow.session.execute(delete(Label).where(Label.workspace_id == workspace.id, Label.key.in_(gone)))
    now = uow.now()
    for key, value in wanted.items():
        if key not in old or old[key] != value:
            uow.add(Label(id=ids.new("tb"), workspace_id=workspace.id, key=key, value=value, created_at=now))
    workspace.labels = in_order(wanted)
    await uow.flush()
    return True


class Tagging:
    """What `tags` and `tag-bindings` do to a workspace."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def list_bindings(self, actor: Actor, workspace_id: str) -> Sequence[Label]:
        """All labels of the workspace, by key."""

        def read(session: Session) -> Sequence[Label]:
            workspace = self._door.allowed(actor, Permission.WORKSPACE_READ, queries.by_id(session, workspace_id))
            return queries.labels(session, workspace.id)

        return await self._door.db.read(read)

    async def list_tags(self, actor: Actor, workspace_id: str, query: Query) -> Page[Tag]:
        """One page of the workspace's keys."""
        labels = await self.list_bindings(actor, workspace_id)
        page = labels[query.page.offset : query.page.offset + query.page.size]
        return Page([Tag(tag_id(one.key), one.key, one.created_at, 1) for one in page], query.page.number, query.page.size, len(labels))

    async def list_all_tags(self, actor: Actor, query: Query) -> Page[Tag]:
        """One page of the keys on all workspaces that the actor may read."""
        found = await self._door.db.read(lambda session: queries.tags(session, self._door.authz, actor, query))
        return Page([Tag(tag_id(key), key, since, number) for key, number, since in found.items], found.number, found.size, found.total)

    async def add_bindings(self, actor: Actor, workspace_id: str, bindings: Sequence[Ref]) -> Sequence[Label]:
        """Set these labels and keep the others; all or none."""
        return await self._change(actor, workspace_id, add=bindings)

    async def replace_bindings(self, actor: Actor, workspace_id: str, bindings: Sequence[Ref]) -> Sequence[Label]:
        """Set these labels and remove the others."""
        return await self._change(actor, workspace_id, add=bindings, keep=False)

    async def add_tags(self, actor: Actor, workspace_id: str, tags: Sequence[Ref]) -> None:
        """Set these keys; one that has a value keeps it."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
            problems = Problems()
            known = {tag_id(key): key for key in workspace.labels}
            wanted = rules.of_tags(tags, known, problems) | workspace.labels
            await self._put(uow, actor, workspace, wanted, problems)

    async def remove_tags(self, actor: Actor, workspace_id: str, tags: Sequence[Ref]) -> None:
        """Remove these keys with their values; those that are not there are none too many."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
            gone = {tag.name if tag.name is not None else tag.id for tag in tags}
            wanted = {key: value for key, value in workspace.labels.items() if key not in gone and tag_id(key) not in gone}
            await self._put(uow, actor, workspace, wanted, Problems())

    async def _change(self, actor: Actor, workspace_id: str, *, add: Sequence[Ref], keep: bool = True) -> Sequence[Label]:
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
            problems = Problems()
            wanted = (workspace.labels if keep else {}) | rules.of_bindings(add, problems)
            return await self._put(uow, actor, workspace, wanted, problems)

    async def _put(
        self, uow: UnitOfWork, actor: Actor, workspace: Workspace, wanted: Mapping[str, str | None], problems: Problems
    ) -> Sequence[Label]:
        rules.limit(wanted, problems)
        problems.refuse()
        old = workspace.labels
        await uow.run(lambda session: label_trust.check_labels(session, self._door.authz, actor, workspace, wanted, force=False))
        before = await uow.run(lambda session: label_trust.granted(session, workspace)) if dict(wanted) != old else {}
        if await put(uow, workspace, wanted):
            workspace.updated_at = uow.now()
            after = await uow.run(lambda session: label_trust.granted(session, workspace))
            audit.record(
                uow, actor, "workspace.label", "workspaces", workspace.id,
                name=workspace.name, old=old, new=workspace.labels, old_grants=before, new_grants=after,
            )  # fmt: skip
            await visibility.changed(uow, GuardKind.WORKSPACE)
        found = await uow.run(lambda session: queries.labels(session, workspace.id))
        await uow.commit()
        return found
