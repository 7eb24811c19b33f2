"""`/api/registry/private/v2/gpg-keys`: the public keys of publishers."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.registry.providers.documents import CreateGPGKey, UpdateGPGKey
from terrapod_core.registry.providers.keys import GPGKeys
from terrapod_core.registry.providers.resources import GPG_KEY
from terrapod_core.web import Web


def routes(keys: GPGKeys, web: Web) -> Blueprint:
    """Mounted at `/api/registry/private/v2`."""
    registry = Blueprint("gpg_keys", __name__)

    @registry.get("/gpg-keys")
    async def list_keys() -> Response:
        actor, query = await web.actor(), web.query()
        return await web.listing(GPG_KEY, await keys.list(actor, query.filter_list("namespace"), query.page))

    @registry.post("/gpg-keys")
    async def create_key() -> Response:
        actor = await web.actor()
        return await web.document(GPG_KEY, await keys.create(actor, await web.body(CreateGPGKey)), status=201)

    @registry.get("/gpg-keys/<namespace>/<key_id>")
    async def show_key(namespace: str, key_id: str) -> Response:
        return await web.document(GPG_KEY, await keys.read(await web.actor(), namespace, key_id))

    @registry.patch("/gpg-keys/<namespace>/<key_id>")
    async def update_key(namespace: str, key_id: str) -> Response:
        actor = await web.actor()
        return await web.document(GPG_KEY, await keys.update(actor, namespace, key_id, await web.body(UpdateGPGKey)))

    @registry.delete("/gpg-keys/<namespace>/<key_id>")
    async def delete_key(namespace: str, key_id: str) -> Response:
        await keys.delete(await web.actor(), namespace, key_id)
        return web.empty()

    return registry
