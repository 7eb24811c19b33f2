"""`/varsets`: the sets, what is in them, and what they are assigned to."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.variables.assignments import PROJECTS, WORKSPACES
from terrapod_core.variables.documents import CreateVariable, UpdateVariable
from terrapod_core.variables.resources import VARIABLE, VARIABLE_SET
from terrapod_core.variables.set_documents import CreateVariableSet, UpdateVariableSet
from terrapod_core.variables.sets import VariableSets
from terrapod_core.web import Web


def set_routes(service: VariableSets, web: Web) -> Blueprint:
    """Mounted at `/api/v2`, beside `routes`."""
    varsets = Blueprint("varsets", __name__)
    variables, assignments = service.variables, service.assignments

    @varsets.get("/organizations/<org>/varsets")
    async def list_varsets(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(VARIABLE_SET, await service.list(actor, web.query()))

    @varsets.post("/organizations/<org>/varsets")
    async def create_varset(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(VARIABLE_SET, await service.create(actor, await web.body(CreateVariableSet)), status=201)

    @varsets.get("/workspaces/<workspace_id>/varsets")
    async def list_varsets_of_workspace(workspace_id: str) -> Response:
        return await web.listing(VARIABLE_SET, await service.list_for_workspace(await web.actor(), workspace_id, web.query()))

    @varsets.get("/projects/<project_id>/varsets")
    async def list_varsets_of_project(project_id: str) -> Response:
        return await web.listing(VARIABLE_SET, await service.list_for_project(await web.actor(), project_id, web.query()))

    @varsets.get("/varsets/<varset_id>")
    async def show_varset(varset_id: str) -> Response:
        return await web.document(VARIABLE_SET, await service.read(await web.actor(), varset_id))

    @varsets.patch("/varsets/<varset_id>")
    @varsets.put("/varsets/<varset_id>")
    async def update_varset(varset_id: str) -> Response:
        actor = await web.actor()
        return await web.document(VARIABLE_SET, await service.update(actor, varset_id, await web.body(UpdateVariableSet)))

    @varsets.delete("/varsets/<varset_id>")
    async def delete_varset(varset_id: str) -> Response:
        await service.delete(await web.actor(), varset_id)
        return web.empty()

    @varsets.get("/varsets/<varset_id>/relationships/vars")
    async def list_variables_of_varset(varset_id: str) -> Response:
        return await web.listing(VARIABLE, await variables.list(await web.actor(), varset_id, web.query()))

    @varsets.post("/varsets/<varset_id>/relationships/vars")
    async def create_variable_of_varset(varset_id: str) -> Response:
        actor = await web.actor()
        return await web.document(VARIABLE, await variables.create(actor, varset_id, await web.body(CreateVariable)), status=201)

    @varsets.get("/varsets/<varset_id>/relationships/vars/<variable_id>")
    async def show_variable_of_varset(varset_id: str, variable_id: str) -> Response:
        return await web.document(VARIABLE, await variables.read(await web.actor(), varset_id, variable_id))

    @varsets.patch("/varsets/<varset_id>/relationships/vars/<variable_id>")
    async def update_variable_of_varset(varset_id: str, variable_id: str) -> Response:
        actor = await web.actor()
        changes = await web.body(UpdateVariable)
        return await web.document(VARIABLE, await variables.update(actor, varset_id, variable_id, changes))

    @varsets.delete("/varsets/<varset_id>/relationships/vars/<variable_id>")
    async def delete_variable_of_varset(varset_id: str, variable_id: str) -> Response:
        await variables.delete(await web.actor(), varset_id, variable_id)
        return web.empty()

    @varsets.post("/varsets/<varset_id>/relationships/workspaces")
    async def assign_workspaces(varset_id: str) -> Response:
        actor = await web.actor()
        await assignments.add(actor, varset_id, WORKSPACES, await web.refs())
        return web.empty()

    @varsets.patch("/varsets/<varset_id>/relationships/workspaces")
    async def reassign_workspaces(varset_id: str) -> Response:
        actor = await web.actor()
        await assignments.replace(actor, varset_id, WORKSPACES, await web.refs())
        return web.empty()

    @varsets.delete("/varsets/<varset_id>/relationships/workspaces")
    async def unassign_workspaces(varset_id: str) -> Response:
        actor = await web.actor()
        await assignments.remove(actor, varset_id, WORKSPACES, await web.refs())
        return web.empty()

    @varsets.post("/varsets/<varset_id>/relationships/projects")
    async def assign_projects(varset_id: str) -> Response:
        actor = await web.actor()
        await assignments.add(actor, varset_id, PROJECTS, await web.refs())
        return web.empty()

    @varsets.patch("/varsets/<varset_id>/relationships/projects")
    async def reassign_projects(varset_id: str) -> Response:
        actor = await web.actor()
        await assignments.replace(actor, varset_id, PROJECTS, await web.refs())
        return web.empty()

    @varsets.delete("/varsets/<varset_id>/relationships/projects")
    async def unassign_projects(varset_id: str) -> Response:
        actor = await web.actor()
        await assignments.remove(actor, varset_id, PROJECTS, await web.refs())
        return web.empty()

    return varsets
