"""The page about a workspace's repository: what it follows, what came of each commit, and the form by which it follows one."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.authz import Actor
from terrapod_core.errors import NotFound
from terrapod_core.ui.link_form import FORKS
from terrapod_core.ui.pages import Pages, go, wanted_page
from terrapod_core.ui.version_control_doors import VersionControlDoor
from terrapod_core.ui.version_control_views import LinkForm, RepositoryAction

PATH: Final = "/app/<org>/workspaces/<workspace>/version-control"
CHANGES: Final = 20
LONGEST: Final = 512


def version_control_pages(pages: Pages, door: VersionControlDoor) -> Blueprint:
    """`/app/{organization}/workspaces/{workspace}/version-control` and the forms on it."""
    blueprint = Blueprint("version_control_pages", __name__)

    def form_of(actor: Actor, form: LinkForm, status: int) -> Response:
        return pages.show("link_form.html", actor, status=status, form=form, forks=FORKS)

    @blueprint.get(PATH)
    async def show_repository(org: str, workspace: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        view = await door.show(actor, workspace, wanted_page("changes", CHANGES))
        return pages.show("version_control.html", actor, workspace=view)

    @blueprint.get(f"{PATH}/connect")
    async def choose(org: str, workspace: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return form_of(
            actor, await door.form(actor, workspace, _given("connection"), _given("repository"), afresh="other" in request.args), 200
        )

    @blueprint.post(PATH)
    async def connect(org: str, workspace: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        refused = await door.save(actor, workspace, fields)
        return form_of(actor, refused, 422) if refused is not None else go(_path(org, workspace))

    @blueprint.post(f"{PATH}/actions/<action>")
    async def act_on_repository(org: str, workspace: str, action: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        if action not in list(RepositoryAction):
            raise NotFound(f"there is no action {action[:40]} on a repository")
        await door.act(actor, workspace, RepositoryAction(action), fields)
        return go(_path(org, workspace))

    return blueprint


def _path(org: str, workspace: str) -> str:
    return f"/app/{org}/workspaces/{quote(workspace)}/version-control"


def _given(name: str) -> str | None:
    """What was chosen one step before; `None` for nothing yet."""
    return request.args.get(name, "").strip()[:LONGEST] or None
