"""`/roles` and `/role-assignments`."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.roles.assignments import Assignments
from terrapod_core.roles.documents import CreateRole, SetRoles, UpdateRole
from terrapod_core.roles.resources import ROLE, ROLE_ASSIGNMENT
from terrapod_core.roles.service import Roles
from terrapod_core.web import Web


def routes(service: Roles, assignments: Assignments, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    roles = Blueprint("roles", __name__)

    @roles.get("/roles")
    async def list_roles() -> Response:
        actor = await web.actor()
        return await web.listing(ROLE, await service.list(actor, web.query()))

    @roles.post("/roles")
    async def create_role() -> Response:
        actor = await web.actor()
        return await web.document(ROLE, await service.create(actor, await web.body(CreateRole)), status=201)

    @roles.get("/roles/<name>")
    async def show_role(name: str) -> Response:
        return await web.document(ROLE, await service.read(await web.actor(), name))

    @roles.patch("/roles/<name>")
    async def update_role(name: str) -> Response:
        actor = await web.actor()
        return await web.document(ROLE, await service.update(actor, name, await web.body(UpdateRole)))

    @roles.delete("/roles/<name>")
    async def delete_role(name: str) -> Response:
        await service.delete(await web.actor(), name)
        return web.empty()

    @roles.get("/role-assignments")
    async def list_assignments() -> Response:
        actor = await web.actor()
        return await web.listing(ROLE_ASSIGNMENT, await assignments.list(actor, web.query()))

    @roles.put("/role-assignments")
    async def set_assignment() -> Response:
        actor = await web.actor()
        return await web.document(ROLE_ASSIGNMENT, await assignments.set(actor, await web.body(SetRoles)))

    # The part before the @ of an address may hold a slash, which arrives decoded.
    @roles.delete("/role-assignments/<provider>/<path:email>/<role>")
    async def remove_assignment(provider: str, email: str, role: str) -> Response:
        await assignments.remove(await web.actor(), provider, email, role)
        return web.empty()

    return roles
