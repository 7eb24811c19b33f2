"""`/admin/mirror-keys`: which keys may sign what mirrors fetch."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.errors import BadRequest
from terrapod_core.mirrors.documents import AcceptKey
from terrapod_core.mirrors.keys import MirrorKeys
from terrapod_core.mirrors.resources import MIRROR_KEY, OFFERED_KEY
from terrapod_core.web import Web


def routes(keys: MirrorKeys, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    admin = Blueprint("mirror_keys", __name__)

    @admin.get("/admin/mirror-keys")
    async def list_keys() -> Response:
        return await web.listing(MIRROR_KEY, await keys.list(await web.actor(), web.query().page))

    @admin.get("/admin/mirror-keys/offered")
    async def list_offered() -> Response:
        actor = await web.actor()
        scope = web.query().filter("scope")
        if scope is None:
            raise BadRequest("say of what: filter[scope]=registry.terraform.io/hashicorp, or terraform", parameter="filter[scope]")
        return await web.unpaged(OFFERED_KEY, await keys.offered(actor, scope))

    @admin.post("/admin/mirror-keys")
    async def accept() -> Response:
        actor = await web.actor()
        return await web.document(MIRROR_KEY, await keys.accept(actor, await web.body(AcceptKey)), status=201)

    @admin.delete("/admin/mirror-keys/<key_id>")
    async def remove(key_id: str) -> Response:
        await keys.remove(await web.actor(), key_id)
        return web.empty()

    return admin
