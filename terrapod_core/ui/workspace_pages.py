"""The page of one workspace: what runs there, what is wrong with it, its lock, state and variables."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.errors import NotFound
from terrapod_core.ui.pages import Pages, go, wanted_page
from terrapod_core.ui.workspace_views import Paging, WorkspaceAction, WorkspacePage

PATH: Final = "/app/<org>/workspaces/<workspace>"
RUNS: Final = 10
RESOURCES: Final = 50
STATES: Final = 10


def workspace_pages(pages: Pages, door: WorkspacePage) -> Blueprint:
    """`/app/{organization}/workspaces/{workspace}` and the forms on it."""
    blueprint = Blueprint("workspace_pages", __name__)

    @blueprint.get(PATH)
    async def show_workspace(org: str, workspace: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        wanted = Paging(wanted_page("runs", RUNS), wanted_page("resources", RESOURCES), wanted_page("states", STATES))
        shown = await door.show(actor, workspace, wanted)
        return pages.show("workspace.html", actor, workspace=shown, turned=_turned)

    @blueprint.get(PATH + "/stream")
    async def stream_workspace(org: str, workspace: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return pages.stream(actor, [await door.stream(actor, workspace)])

    @blueprint.post(PATH + "/actions/<action>")
    async def act(org: str, workspace: str, action: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        if action not in list(WorkspaceAction):
            raise NotFound(f"there is no action {action[:40]} on a workspace")
        await door.act(actor, workspace, WorkspaceAction(action), fields)
        return go(f"/app/{org}/workspaces/{quote(workspace)}")

    return blueprint


def _turned(name: str, number: int) -> str:
    """The query of this page with another page of one list; the others stay where they are."""
    kept = {each: request.args[each] for each in ("runs", "resources", "states") if each in request.args}
    return urlencode({**kept, name: str(number)})
