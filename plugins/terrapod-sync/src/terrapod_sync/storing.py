"""The configuration as it is kept: read for whoever asks, and replaced whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from terrapod_core.plugin import Caller, Change, Conflict, ServerContext
from terrapod_sync import configuration, errors, jitter
from terrapod_sync.changes import ORGANIZATION, ORPHANED, Difference, Put, Seen, check_rights, difference, is_changed, plain, shown_name
from terrapod_sync.configuration import Configuration, WorkspaceConfig
from terrapod_sync.documents import InvalidConfig
from terrapod_sync.models import GLOBAL_ID, GlobalConfig, SyncedWorkspace
from terrapod_sync.schedules import Every
from terrapod_sync.settings import SyncSettings
from terrapod_sync.words import ConflictResolution, Status

T = TypeVar("T")

WORD: Final = "invalid_config"
TRIES: Final = 5
"""How often the workspaces are looked up anew, when somebody else has added entries meanwhile."""


class Storing:
    """The one who reads and writes `GlobalConfig`, and which `SyncedWorkspace` there are."""

    def __init__(self, context: ServerContext[SyncSettings]) -> None:
        self._context = context
        self._limits = configuration.Limits(timedelta(seconds=context.settings.minimum_interval_seconds), context.settings.document_bytes)

    async def shown(self, caller: Caller) -> bytes:
        """The document, with the entries of the workspaces that the caller may read."""
        everything, rows = await self._context.tables.read(lambda session: (read_global(session), read_rows(session)))
        readable = await self._context.workspaces.by_id([row.workspace_id for row in rows], as_=caller)
        entries = {shown_name(row, readable[row.workspace_id]): row.entry for row in rows if row.workspace_id in readable}
        return msgspec.json.encode(
            {
                "enabled": everything.enabled,
                "workspaces": entries,
                "conflict_resolution": everything.conflict_resolution,
            }
        )

    async def replace(self, caller: Caller, body: bytes) -> None:
        """Put this document in the place of what the caller sees.

        Raises `Invalid`, `Forbidden`, or `Conflict` where others keep adding entries meanwhile; and then nothing is changed.
        """
        # Before its thousands of cron expressions are read: they are those of workspaces that the caller may know of.
        seen = await self._seen(caller, await self._off_loop(configuration.names, body))
        wanted = await self._read(body)
        for _ in range(TRIES):
            if await self._replaced(caller, wanted, seen):
                return
            seen = await self._seen(caller, wanted.workspaces)
        raise Conflict("Others are changing the configuration at this moment; read it, and put yours again.", code="config_changed")

    async def _replaced(self, caller: Caller, wanted: Configuration, seen: Seen) -> bool:
        """Whether it is done; not where somebody has added entries since it was seen which there are."""
        async with self._context.tables.change() as change:
            everything = await change.run(lambda session: _locked(session, change.now()))
            rows = await change.run(lambda session: read_rows(session, lock=True))
            if not seen.known.issuperset(row.workspace_id for row in rows):
                return False
            found = difference(rows, wanted.workspaces, seen)
            check_rights(caller, found, everything, wanted)
            if is_changed(everything, wanted):
                everything.enabled, everything.conflict_resolution = wanted.enabled, wanted.conflict_resolution.value
                everything.edited_by_id, everything.edited_at = caller.id, change.now()
                told = {"enabled": wanted.enabled, "conflict_resolution": wanted.conflict_resolution.value}
                change.audit(caller, "sync.config", "sync-configurations", "global", **told)
            await self._carry_out(change, caller, found)
            await change.run(lambda session: _number(session, found.order))
            await change.commit()
        return True

    # -- what there is

    async def _read(self, body: bytes) -> Configuration:
        wanted = await self._off_loop(configuration.read, body)
        twice = configuration.named_twice(wanted.workspaces, ORGANIZATION)
        if twice is not None:
            raise errors.refused(
                InvalidConfig(f"workspaces has {twice[0]} and {twice[1]}, which are the same workspace; give one of them."), WORD
            )
        return wanted

    async def _off_loop(self, read: Callable[[bytes, configuration.Limits], T], body: bytes) -> T:
        """What is found in the document. That takes its time, and the event loop is everybody's."""
        try:
            return await asyncio.to_thread(read, body, self._limits)
        except InvalidConfig as refusal:
            raise errors.refused(refusal, WORD) from None

    async def _seen(self, caller: Caller, names: Iterable[str]) -> Seen:
        """Raises `Invalid` for a name that the caller may not know, as for one that there is not."""
        workspaces = self._context.workspaces
        own = {name: plain(name) for name in names}
        found = await workspaces.by_name([each for each in own.values() if each is not None], as_=caller)
        for name, each in own.items():
            if each is None or each not in found:
                raise errors.unknown_in_document(name)
        known = await self._context.tables.read(lambda session: session.execute(select(SyncedWorkspace.workspace_id)).scalars().all())
        there = await workspaces.by_id(known)
        return Seen(
            named={name: found[each] for name, each in own.items() if each is not None},
            known=frozenset(known),
            readable=await workspaces.by_id(known, as_=caller),
            gone=frozenset(each for each in known if each not in there),
        )

    # -- what becomes of it

    async def _carry_out(self, change: Change, caller: Caller, found: Difference) -> None:
        if found.added or found.changed or found.taken_over:
            await change.remember(caller)
        for put in found.added:
            change.add(self._new(put, caller, change.now()))
            self._tell(change, caller, put, "added")
        for put in found.changed:
            self._edit(put, caller, change.now())
            self._tell(change, caller, put, "changed")
        for put in found.taken_over:
            self._edit(put, caller, change.now())
            self._tell(change, caller, put, "taken over")
        for put in found.respelled:
            assert put.row is not None
            put.row.name = put.name
        for _row, workspace in found.removed:
            change.audit(caller, "sync.config", "workspaces", workspace.id, change="removed", name=workspace.name)
        for row in found.gone:
            change.audit(None, "sync.config", "workspaces", row.workspace_id, change="removed", name=row.name)
        ids = [row.workspace_id for row, _workspace in found.removed] + [row.workspace_id for row in found.gone]
        await change.run(lambda session: _drop(session, ids))

    def _tell(self, change: Change, caller: Caller, put: Put, what: str) -> None:
        change.audit(caller, "sync.config", "workspaces", put.workspace.id, change=what, name=put.workspace.name, entry=put.entry)

    def _new(self, put: Put, caller: Caller, now: datetime) -> SyncedWorkspace:
        row = SyncedWorkspace(workspace_id=put.workspace.id, position=0, attempts=0, status=Status.NEVER.value)
        self._fill(row, put, caller, now)
        return row

    def _edit(self, put: Put, caller: Caller, now: datetime) -> None:
        """What failed before is tried anew, by whoever says so now."""
        row = put.row
        assert row is not None
        if row.problem_code in ORPHANED:
            row.status = _stands(row).value
            row.problem = row.problem_code = row.problem_since = None
        row.attempts = 0
        self._fill(row, put, caller, now)

    def _fill(self, row: SyncedWorkspace, put: Put, caller: Caller, now: datetime) -> None:
        row.name, row.entry, row.enabled = put.name, put.entry, put.config.enabled
        row.edited_by_id, row.edited_at = caller.id, now
        row.tick_at, row.next_at = self._due(put.config, row, now)

    def _due(self, config: WorkspaceConfig, row: SyncedWorkspace, now: datetime) -> tuple[datetime | None, datetime | None]:
        """The next moment of the schedule, and that with its jitter: at once for what was never synced."""
        if not config.enabled:
            return None, None
        settings = self._context.settings
        schedule, now = config.due(timedelta(seconds=settings.default_interval_seconds)), now.replace(microsecond=0)
        tick: datetime | None = now
        if row.last_sync_at is not None or row.active_sync_id is not None:
            since = row.last_sync_at if isinstance(schedule, Every) and row.active_sync_id is None else None
            tick = schedule.next_after(since or now)
        if tick is None:
            return None, None
        tick = max(tick, now)
        late = jitter.delay(row.workspace_id, tick, schedule.shortest(), timedelta(seconds=settings.jitter_seconds))
        return tick, tick + late


def _stands(row: SyncedWorkspace) -> Status:
    """What is known of it when the last problem is left out."""
    if row.has_changes is None:
        return Status.NEVER
    return Status.OUT_OF_SYNC if row.has_changes else Status.SUCCESS


def read_global(session: Session) -> GlobalConfig:
    """What is set for all workspaces; before anybody set it, nothing is scheduled."""
    return session.get(GlobalConfig, GLOBAL_ID) or GlobalConfig(
        id=GLOBAL_ID, enabled=False, conflict_resolution=ConflictResolution.MANUAL.value
    )


def read_rows(session: Session, *, lock: bool = False) -> list[SyncedWorkspace]:
    """All entries, in their order; locked in one that is the same for everybody."""
    query = select(SyncedWorkspace)
    found = session.execute(query.order_by(SyncedWorkspace.workspace_id).with_for_update() if lock else query).scalars()
    return sorted(found, key=lambda row: (row.position, row.workspace_id))


def _locked(session: Session, now: datetime) -> GlobalConfig:
    """The one row, made when there is none; others who replace the document wait for this transaction."""
    first = {"id": GLOBAL_ID, "enabled": False, "conflict_resolution": ConflictResolution.MANUAL.value, "edited_by_id": None}
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(GlobalConfig).values(**first, edited_at=now).on_conflict_do_nothing())
    return session.execute(select(GlobalConfig).with_for_update()).scalar_one()


def _drop(session: Session, ids: list[str]) -> None:
    for start in range(0, len(ids), 500):
        session.execute(delete(SyncedWorkspace).where(SyncedWorkspace.workspace_id.in_(ids[start : start + 500])))


def _number(session: Session, order: list[str]) -> None:
    places = {workspace_id: place for place, workspace_id in enumerate(order)}
    for row in session.execute(select(SyncedWorkspace)).scalars():
        place = places.get(row.workspace_id)
        if place is not None and row.position != place:
            row.position = place
