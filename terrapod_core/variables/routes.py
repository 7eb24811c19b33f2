"""`/workspaces/{id}/vars`, what is in force there, and the old `/vars`. Variable sets are in `set_routes.py`."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.errors import BadRequest, Invalid
from terrapod_core.jsonapi import Page, Ref
from terrapod_core.variables.documents import CreateVariable, UpdateVariable
from terrapod_core.variables.effective import NOT_ADMITTED
from terrapod_core.variables.resources import VARIABLE, withheld
from terrapod_core.variables.service import Variables
from terrapod_core.web import Web


def routes(service: Variables, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    variables = Blueprint("variables", __name__)

    # terraform 1.11 asks the first and 1.15 the second, which adds what variable sets give the workspace.
    @variables.get("/workspaces/<workspace_id>/vars")
    async def list_variables(workspace_id: str) -> Response:
        return await web.unpaged(VARIABLE, await service.list(await web.actor(), workspace_id))

    @variables.get("/workspaces/<workspace_id>/all-vars")
    async def list_effective_variables(workspace_id: str) -> Response:
        found, kept = await service.list_effective(await web.actor(), workspace_id)
        return await web.listing(VARIABLE, Page.whole(found), meta={"withheld": withheld(kept, NOT_ADMITTED)})

    @variables.post("/workspaces/<workspace_id>/vars")
    async def create_variable(workspace_id: str) -> Response:
        actor = await web.actor()
        return await web.document(VARIABLE, await service.create(actor, workspace_id, await web.body(CreateVariable)), status=201)

    @variables.get("/workspaces/<workspace_id>/vars/<variable_id>")
    async def show_variable(workspace_id: str, variable_id: str) -> Response:
        return await web.document(VARIABLE, await service.read(await web.actor(), variable_id, workspace_id))

    @variables.patch("/workspaces/<workspace_id>/vars/<variable_id>")
    async def update_variable(workspace_id: str, variable_id: str) -> Response:
        actor = await web.actor()
        changes = await web.body(UpdateVariable)
        return await web.document(VARIABLE, await service.update(actor, variable_id, changes, workspace_id))

    @variables.delete("/workspaces/<workspace_id>/vars/<variable_id>")
    async def delete_variable(workspace_id: str, variable_id: str) -> Response:
        await service.delete(await web.actor(), variable_id, workspace_id)
        return web.empty()

    @variables.get("/vars")
    async def list_variables_of_named_workspace() -> Response:
        actor, query = await web.actor(), web.query()
        org, name = query.filter("organization.name"), query.filter("workspace.name")
        if org is None or name is None:
            missing = "filter[organization][name]" if org is None else "filter[workspace][name]"
            raise BadRequest(f"{missing} is missing", parameter=missing)
        organizations.check(org)
        return await web.unpaged(VARIABLE, await service.list_named(actor, name))

    @variables.post("/vars")
    async def create_variable_of_related_workspace() -> Response:
        actor, new = await web.actor(), await web.body(CreateVariable)
        if not isinstance(new.workspace, Ref) or not new.workspace.id:
            raise Invalid("workspace is required", pointer="/data/relationships/workspace")
        return await web.document(VARIABLE, await service.create(actor, new.workspace.id, new), status=201)

    @variables.patch("/vars/<variable_id>")
    async def update_variable_by_id(variable_id: str) -> Response:
        actor = await web.actor()
        return await web.document(VARIABLE, await service.update(actor, variable_id, await web.body(UpdateVariable)))

    @variables.delete("/vars/<variable_id>")
    async def delete_variable_by_id(variable_id: str) -> Response:
        await service.delete(await web.actor(), variable_id)
        return web.empty()

    return variables
