"""`/vcs-connections` and `/vcs-events`. What go-tfe calls the same is in `oauth_routes.py`."""

from __future__ import annotations

import asyncio
from typing import Final

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.errors import BadRequest, TooManyRequests
from terrapod_core.jsonapi import Resource, parse_open
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.resources import AVAILABLE_REPOSITORY, REF, REPOSITORY
from terrapod_core.vcs.service import Connections
from terrapod_core.vcs.webhooks import LARGEST, Webhooks
from terrapod_core.web import Web

LARGE: Final = 1 << 20
LARGE_AT_ONCE: Final = 2
"""Webhooks of more than a mebibyte that are held at once."""


def routes(connections: Connections, browsing: Browsing, resource: Resource, web: Web) -> Blueprint:
    """Mounted at `/api/v2`. `resource` is what connections look like here."""
    vcs = Blueprint("vcs", __name__)

    @vcs.get("/organizations/<org>/vcs-connections")
    async def list_connections(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(resource, await connections.list(actor))

    @vcs.post("/organizations/<org>/vcs-connections")
    async def create_connection(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        attributes, _ = parse_open(await web.raw_json())
        return await web.document(resource, await connections.create(actor, attributes), status=201)

    @vcs.get("/vcs-connections/<connection_id>")
    async def show_connection(connection_id: str) -> Response:
        return await web.document(resource, await connections.read(await web.actor(), connection_id))

    @vcs.patch("/vcs-connections/<connection_id>")
    async def update_connection(connection_id: str) -> Response:
        actor = await web.actor()
        attributes, _ = parse_open(await web.raw_json())
        return await web.document(resource, await connections.update(actor, connection_id, attributes))

    @vcs.delete("/vcs-connections/<connection_id>")
    async def delete_connection(connection_id: str) -> Response:
        await connections.delete(await web.actor(), connection_id)
        return web.empty()

    @vcs.post("/vcs-connections/<connection_id>/actions/test")
    async def test_connection(connection_id: str) -> Response:
        return await web.document(resource, await connections.test(await web.actor(), connection_id))

    @vcs.post("/vcs-connections/<connection_id>/actions/renew-webhook-secret")
    async def renew_webhook_secret(connection_id: str) -> Response:
        return await web.document(resource, await connections.renew_webhook_secret(await web.actor(), connection_id))

    @vcs.get("/vcs-connections/<connection_id>/repositories")
    async def list_repositories(connection_id: str) -> Response:
        actor = await web.actor()
        return await web.listing(REPOSITORY, await connections.followed(actor, connection_id, web.query().page))

    @vcs.get("/vcs-connections/<connection_id>/available-repositories")
    async def available_repositories(connection_id: str) -> Response:
        found = await browsing.repositories(await web.actor(), connection_id)
        return await web.unpaged(AVAILABLE_REPOSITORY, found)

    @vcs.get("/vcs-connections/<connection_id>/refs")
    async def list_refs(connection_id: str) -> Response:
        actor = await web.actor()
        identifier = web.query().filter("identifier")
        if not identifier:
            raise BadRequest("say which repository: filter[identifier]=org/repo", parameter="filter[identifier]")
        return await web.unpaged(REF, await browsing.refs(actor, connection_id, identifier))

    return vcs


def webhook_routes(webhooks: Webhooks, web: Web) -> Blueprint:
    """Mounted at `/api/v2`. They prove themselves by a signature, not by a token."""
    vcs_events = Blueprint("vcs_events", __name__)
    room = asyncio.Semaphore(LARGE_AT_ONCE)

    async def heard(provider: str, connection_id: str | None) -> Response:
        if (request.content_length or LARGEST) <= LARGE:
            return await taken(provider, connection_id)
        if room.locked():
            raise TooManyRequests("other large webhooks are being read; send it again", retry_after=5)
        async with room:
            return await taken(provider, connection_id)

    async def taken(provider: str, connection_id: str | None) -> Response:
        # Of any type: some forges can be told to send a form, and the signature is over its bytes.
        body = b"".join([piece async for piece in web.upload(LARGEST, "webhook")])
        followed = await webhooks.heard(provider, connection_id, request.headers, body)  # type: ignore[arg-type]  # a mapping in all but its base
        return web.json(b'{"followed":%d}' % followed, status=202)

    @vcs_events.post("/vcs-events/<provider>")
    async def of_provider(provider: str) -> Response:
        return await heard(provider, None)

    @vcs_events.post("/vcs-events/<provider>/<connection_id>")
    async def of_connection(provider: str, connection_id: str) -> Response:
        return await heard(provider, connection_id)

    return vcs_events
