"""`/admin/provider-cache`, `/admin/module-cache` and `/admin/mirror-sources`."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.jsonapi import Query
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.caches import Caches, Narrowed
from terrapod_core.mirrors.caches_resources import CACHED_MODULE, CACHED_PROVIDER, MIRROR_SOURCE
from terrapod_core.mirrors.models import MODULE, PROVIDER
from terrapod_core.web import Web

PROVIDERS = "/admin/provider-cache"
MODULES = "/admin/module-cache"
OF_PROVIDER = f"{PROVIDERS}/<host>/<namespace>/<type_>/<version>"


def routes(caches: Caches, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    care = Blueprint("mirror_caches", __name__)

    @care.get(PROVIDERS)
    async def list_cached_providers() -> Response:
        query = web.query()
        return await web.listing(CACHED_PROVIDER, await caches.packages(await web.actor(), PROVIDER, _narrowed(query), query.page))

    @care.delete(OF_PROVIDER)
    async def purge_provider(host: str, namespace: str, type_: str, version: str) -> Response:
        await caches.purge(await web.actor(), addresses.provider(host, namespace, type_), addresses.version(version), None)
        return web.empty()

    @care.delete(f"{OF_PROVIDER}/<os>/<arch>")
    async def purge_provider_platform(host: str, namespace: str, type_: str, version: str, os: str, arch: str) -> Response:
        actor = await web.actor()
        source, platform = addresses.provider(host, namespace, type_), addresses.platform(os, arch)
        await caches.purge(actor, source, addresses.version(version), platform)
        return web.empty()

    @care.get(MODULES)
    async def list_cached_modules() -> Response:
        query = web.query()
        return await web.listing(CACHED_MODULE, await caches.packages(await web.actor(), MODULE, _narrowed(query), query.page))

    @care.delete(f"{MODULES}/<host>/<namespace>/<name>/<system>/<version>")
    async def purge_module(host: str, namespace: str, name: str, system: str, version: str) -> Response:
        await caches.purge(await web.actor(), addresses.module(host, namespace, name, system), addresses.version(version), None)
        return web.empty()

    @care.get("/admin/mirror-sources")
    async def list_mirror_sources() -> Response:
        query = web.query()
        return await web.listing(MIRROR_SOURCE, await caches.sources(await web.actor(), _narrowed(query), query.page))

    return care


def _narrowed(query: Query) -> Narrowed:
    host = query.filter("host")
    return Narrowed(host.lower() if host else None, query.search("source") or query.q)
