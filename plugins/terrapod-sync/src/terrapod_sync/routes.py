"""The Terraform Sync API over HTTP: who asks, what they ask, and the answer; what is done about it is done elsewhere."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from quart import Blueprint, Response, request

from terrapod_core.plugin import Caller, Forbidden, NotFound, Routes, ServerContext, WorkspaceFacts
from terrapod_sync import errors, resolving, rows
from terrapod_sync.changes import plain
from terrapod_sync.engine.timetable import entry_of
from terrapod_sync.listing import Listing, page_of, status_of
from terrapod_sync.policies import Mode
from terrapod_sync.ports import Engine
from terrapod_sync.settings import SyncSettings
from terrapod_sync.storing import WORD, Storing, read_global, read_rows

PREFIX: Final = "/v1/terraform/sync"


def opened(context: ServerContext[SyncSettings], engine: Engine) -> Routes:
    """The routes; `engine` does what they are asked to do now."""
    blueprint, views = Blueprint("sync", __name__), Views(context, engine)
    for name in ("<workspace_name>", "<organization>/<workspace_name>"):
        blueprint.get(f"/workspaces/{name}", endpoint=f"show:{name}")(views.show)
        blueprint.get(f"/workspaces/{name}/history", endpoint=f"history:{name}")(views.history)
        blueprint.post(f"/workspaces/{name}/sync", endpoint=f"trigger:{name}")(views.trigger)
    blueprint.get("/workspaces")(views.workspaces)
    blueprint.get("/config")(views.config)
    blueprint.put("/config")(views.put_config)
    blueprint.get("/conflicts")(views.conflicts)
    blueprint.get("/conflicts/<conflict_id>")(views.conflict)
    blueprint.post("/conflicts/<conflict_id>/resolve")(views.resolve)
    return Routes(blueprint, prefix=PREFIX, render=errors.render, requests_per_minute=context.settings.requests_per_minute or None)


class Views:
    """One method for each route."""

    def __init__(self, context: ServerContext[SyncSettings], engine: Engine) -> None:
        self._context = context
        self._engine = engine
        self._storing = Storing(context)
        self._listing = Listing(context)

    async def workspaces(self) -> Response:
        """All that the caller may read, with and without an entry."""
        caller = await self._caller()
        everything, entries = await self._context.tables.read(lambda session: (read_global(session), read_rows(session)))
        by_id = {row.workspace_id: row for row in entries}
        now, shown = self._listing.now(), await self._context.workspaces.all(as_=caller)
        return _answer(
            {"workspaces": [rows.workspace(each.name, by_id.get(each.id), enabled=everything.enabled, now=now) for each in shown]}
        )

    async def show(self, workspace_name: str, organization: str | None = None) -> Response:
        """One workspace."""
        _caller, workspace = await self._asked(organization, workspace_name)
        return _answer(await self._whole(workspace))

    async def history(self, workspace_name: str, organization: str | None = None) -> Response:
        """A workspace's syncs."""
        _caller, workspace = await self._asked(organization, workspace_name)
        found, following = await self._listing.history(workspace, page_of(request.args))
        return _answer({"syncs": [rows.sync(each) for each in found], "next": following})

    async def trigger(self, workspace_name: str, organization: str | None = None) -> Response:
        """Sync it now."""
        caller, workspace = await self._asked(organization, workspace_name)
        row, _conflicts = await self._listing.entry(workspace.id)
        # Before anything is said of how it stands: whoever may not begin a sync learns nothing from being refused one.
        _need("plan" if row is not None and entry_of(row).intent().mode is Mode.OBSERVE else "write", workspace, "syncing")
        if row is None:
            raise errors.not_on_a_schedule(workspace.name)
        _row, sync = await self._engine.trigger(caller, workspace)
        told = await self._whole(workspace)
        return _answer(told | {"run_id": sync.run_id, "sync_id": sync.id}, 202)

    async def config(self) -> Response:
        """The configuration, as far as the caller may read it."""
        return _json(await self._storing.shown(await self._caller()))

    async def put_config(self) -> Response:
        """Replace it."""
        caller = await self._caller()
        body = await errors.sized(self._context.read_body, self._context.settings.document_bytes, WORD)
        await self._storing.replace(caller, body)
        return _json(await self._storing.shown(caller))

    async def conflicts(self) -> Response:
        """Conflicts of readable workspaces."""
        caller = await self._caller()
        found, following = await self._listing.conflicts(caller, status_of(request.args), page_of(request.args))
        return _answer({"conflicts": [rows.conflict(row, name) for row, name in found], "next": following})

    async def conflict(self, conflict_id: str) -> Response:
        """One conflict."""
        row, workspace = await self._listing.conflict(await self._caller(), conflict_id)
        return _answer(rows.conflict(row, workspace.name))

    async def resolve(self, conflict_id: str) -> Response:
        """End a conflict."""
        caller = await self._caller()
        _row, workspace = await self._listing.conflict(caller, conflict_id)
        _need("write", workspace, "resolving a conflict of")
        body = await errors.sized(self._context.read_body, resolving.MOST_BYTES, resolving.WORD)
        decided = resolving.read(body, self._listing.now())
        return _answer(rows.conflict(await self._engine.resolve(caller, conflict_id, decided), workspace.name))

    # --

    async def _caller(self) -> Caller:
        """Who asks. For listeners, phases of runs and terraform within them there is nothing here."""
        caller = await self._context.callers.current()
        if not caller.is_user:
            raise NotFound("there is nothing here, or you may not see it")
        return caller

    async def _asked(self, organization: str | None, name: str) -> tuple[Caller, WorkspaceFacts]:
        caller = await self._caller()
        given = name if organization is None else f"{organization}/{name}"
        own = plain(given)
        found = await self._context.workspaces.by_name([own], as_=caller) if own is not None else {}
        if own is None or own not in found:
            raise errors.no_workspace(given)
        return caller, found[own]

    async def _whole(self, workspace: WorkspaceFacts) -> dict[str, Any]:
        """A row of the list, and what else is known."""
        row, open_conflicts = await self._listing.entry(workspace.id)
        everything = await self._context.tables.read(read_global)
        now = self._listing.now()
        return rows.workspace(workspace.name, row, enabled=everything.enabled, now=now) | rows.more(row, open_conflicts, now=now)


def _need(level: str, workspace: WorkspaceFacts, doing: str) -> None:
    if not workspace.may(level):
        raise Forbidden(f"{doing} '{workspace.name}' needs the level {level} on the workspace; you have {workspace.level}")


def _answer(document: dict[str, Any], status: int = 200) -> Response:
    return _json(msgspec.json.encode(document), status)


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status=status, content_type="application/json")
