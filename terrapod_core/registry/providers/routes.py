"""`/registry-providers`, and the links behind which their files are uploaded and fetched."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.authz import Actor
from terrapod_core.packages.openpgp import SIGNATURE_BYTES
from terrapod_core.packages.sums import SUMS_BYTES
from terrapod_core.registry.documents import UpdateItem
from terrapod_core.registry.item_routes import ItemPaths, paths, sent, taken
from terrapod_core.registry.lifecycle import UpdateVersion
from terrapod_core.registry.providers.documents import CreatePlatform, CreateProvider, CreateProviderVersion
from terrapod_core.registry.providers.platforms import Platforms
from terrapod_core.registry.providers.queries import Address
from terrapod_core.registry.providers.releases import Releases
from terrapod_core.registry.providers.resources import PLATFORM, PROVIDER, VERSION
from terrapod_core.registry.providers.service import TYPE, Providers
from terrapod_core.registry.providers.uploads import Uploads
from terrapod_core.registry.resources import TAG_BINDING
from terrapod_core.registry.subjects import Downloaded
from terrapod_core.storage import Archives, Capability, Purpose
from terrapod_core.web import CapabilityRoutes, Web
from terrapod_core.web.archives import Archive

ZIP: Final = "application/zip"
PLAIN: Final = "text/plain; charset=utf-8"
BINARY: Final = "application/octet-stream"


def routes(providers: Providers, releases: Releases, platforms: Platforms, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    registry = Blueprint("registry_providers", __name__)
    at = paths(registry, web, TYPE, Address)
    _providers(at, providers, web)
    _by_id(registry, providers, web)
    _versions(at, releases, web)
    _actions(at, releases, web)
    _platforms(at, platforms, web)
    return registry


def _providers(at: ItemPaths, providers: Providers, web: Web) -> None:
    @at.all.get()
    async def list_providers(actor: Actor) -> Response:
        return await web.listing(PROVIDER, await providers.list(actor, web.query()))

    @at.all.post()
    async def create_provider(actor: Actor) -> Response:
        return await web.document(PROVIDER, await providers.create(actor, await web.body(CreateProvider)), status=201)

    @at.one.get()
    async def show_provider(actor: Actor, address: Address) -> Response:
        return await web.document(PROVIDER, await providers.read(actor, address))

    @at.one.patch()
    async def update_provider(actor: Actor, address: Address) -> Response:
        changes = await web.body(UpdateItem)
        return await web.document(PROVIDER, await providers.update(actor, address, changes))

    @at.one.delete()
    async def delete_provider(actor: Actor, address: Address) -> Response:
        await providers.delete(actor, address)
        return web.empty()


def _by_id(registry: Blueprint, providers: Providers, web: Web) -> None:
    @registry.get(f"/{TYPE}/<provider_id>")
    async def show_provider_by_id(provider_id: str) -> Response:
        return await web.document(PROVIDER, await providers.read(await web.actor(), provider_id))

    @registry.get(f"/{TYPE}/<provider_id>/tag-bindings")
    async def list_provider_tag_bindings(provider_id: str) -> Response:
        return await web.unpaged(TAG_BINDING, await providers.labels(await web.actor(), provider_id))


def _versions(at: ItemPaths, releases: Releases, web: Web) -> None:
    @at.one.get("/versions")
    async def list_versions(actor: Actor, address: Address) -> Response:
        return await web.listing(VERSION, await releases.list(actor, address, web.query().page))

    @at.one.post("/versions")
    async def create_version(actor: Actor, address: Address) -> Response:
        new = await web.body(CreateProviderVersion)
        return await web.document(VERSION, await releases.create(actor, address, new), status=201)

    @at.one.get("/versions/<version>")
    async def show_version(actor: Actor, address: Address, version: str) -> Response:
        return await web.document(VERSION, await releases.read(actor, address, version))

    @at.one.patch("/versions/<version>")
    async def update_version(actor: Actor, address: Address, version: str) -> Response:
        changes = await web.body(UpdateVersion)
        return await web.document(VERSION, await releases.update(actor, address, version, changes))

    @at.one.delete("/versions/<version>")
    async def delete_version(actor: Actor, address: Address, version: str) -> Response:
        await releases.delete(actor, address, version)
        return web.empty()


def _actions(at: ItemPaths, releases: Releases, web: Web) -> None:
    @at.one.post("/versions/<version>/actions/publish")
    async def publish_version(actor: Actor, address: Address, version: str) -> Response:
        return await web.document(VERSION, await releases.publish(actor, address, version))

    @at.one.post("/versions/<version>/actions/release")
    async def release_version(actor: Actor, address: Address, version: str) -> Response:
        return await web.document(VERSION, await releases.release(actor, address, version))


def _platforms(at: ItemPaths, platforms: Platforms, web: Web) -> None:
    @at.one.get("/versions/<version>/platforms")
    async def list_platforms(actor: Actor, address: Address, version: str) -> Response:
        return await web.listing(PLATFORM, await platforms.list(actor, address, version, web.query().page))

    @at.one.post("/versions/<version>/platforms")
    async def create_platform(actor: Actor, address: Address, version: str) -> Response:
        new = await web.body(CreatePlatform)
        return await web.document(PLATFORM, await platforms.create(actor, address, version, new), status=201)

    @at.one.get("/versions/<version>/platforms/<os>/<arch>")
    async def show_platform(actor: Actor, address: Address, version: str, os: str, arch: str) -> Response:
        return await web.document(PLATFORM, await platforms.read(actor, address, version, os, arch))

    @at.one.delete("/versions/<version>/platforms/<os>/<arch>")
    async def delete_platform(actor: Actor, address: Address, version: str, os: str, arch: str) -> Response:
        await platforms.delete(actor, address, version, os, arch)
        return web.empty()


def links(uploads: Uploads, archives: Archives, web: Web, capabilities: CapabilityRoutes, downloaded: Downloaded) -> None:
    """Answer for the links of sums, signatures and zips, and tell `downloaded` of each download of a zip that begins."""

    async def whole(limit: int, what: str) -> bytes:
        return b"".join([piece async for piece in web.upload(limit, what)])

    async def upload_sums(capability: Capability) -> Response:
        await uploads.sums(capability.object_id, await whole(SUMS_BYTES, "file SHA256SUMS"))
        return taken()

    async def upload_signature(capability: Capability) -> Response:
        await uploads.signature(capability.object_id, await whole(SIGNATURE_BYTES, "signature"))
        return taken()

    async def upload_zip(capability: Capability) -> Response:
        body = web.upload(web.settings.limits.provider_bytes, "zip of the provider")
        await uploads.zip(capability.object_id, body, request.content_length)
        return taken()

    async def sums(capability: Capability) -> Response:
        version = await uploads.files_of(capability.object_id)
        return _file(version.sums or b"", PLAIN)

    async def signature(capability: Capability) -> Response:
        version = await uploads.files_of(capability.object_id)
        return _file(version.signature or b"", BINARY)

    async def archive(capability: Capability) -> Response:
        platform = await uploads.zip_of(capability.object_id)
        zipped = Archive(platform.object_key or "", platform.size or 0, platform.sha256 or "", ZIP)
        return await sent(archives, zipped, downloaded, platform.version_id, capability.subject)

    capabilities.on(Purpose.PROVIDER_SUMS_UPLOAD, upload_sums)
    capabilities.on(Purpose.PROVIDER_SIGNATURE_UPLOAD, upload_signature)
    capabilities.on(Purpose.PROVIDER_UPLOAD, upload_zip)
    capabilities.on(Purpose.PROVIDER_SUMS_DOWNLOAD, sums)
    capabilities.on(Purpose.PROVIDER_SIGNATURE_DOWNLOAD, signature)
    capabilities.on(Purpose.PROVIDER_DOWNLOAD, archive)


def _file(content: bytes, content_type: str) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Disposition": "attachment"}
    return Response(content, headers=headers, content_type=content_type)
