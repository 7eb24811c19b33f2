"""`/registry-modules`: the contract's paths and the clients' longer ones, and the links behind which archives are uploaded and fetched."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.authz import Actor
from terrapod_core.errors import BadRequest
from terrapod_core.organizations import NAME as NAMESPACE
from terrapod_core.registry.item_routes import ItemPaths, Paths, paths, sent, taken
from terrapod_core.registry.lifecycle import UpdateVersion
from terrapod_core.registry.modules.documents import ConnectModule, CreateModule, CreateVersion, UpdateModule
from terrapod_core.registry.modules.protocol import ModuleProtocol
from terrapod_core.registry.modules.queries import Address
from terrapod_core.registry.modules.resources import MODULE, VERSION
from terrapod_core.registry.modules.service import TYPE, Modules
from terrapod_core.registry.modules.versions import ModuleVersions
from terrapod_core.registry.resources import TAG_BINDING
from terrapod_core.registry.subjects import Downloaded
from terrapod_core.storage import Archives, Capability, Purpose
from terrapod_core.web import CapabilityRoutes, Web
from terrapod_core.web.archives import Archive

WHAT: Final = "module archive"
GZIP: Final = "application/gzip"


def routes(modules: Modules, versions: ModuleVersions, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    registry = Blueprint("registry_modules", __name__)
    at = paths(registry, web, TYPE, Address)
    _modules(at, modules, web)
    _by_id(registry, modules, versions, web)
    _versions(at, versions, web)
    _one_version(at, versions, web)
    _older(registry, modules, versions, web)
    return registry


def _modules(at: ItemPaths, modules: Modules, web: Web) -> None:
    @at.all.get()
    async def list_modules(actor: Actor) -> Response:
        return await web.listing(MODULE, await modules.list(actor, web.query()))

    @at.all.post()
    async def create_module(actor: Actor) -> Response:
        return await web.document(MODULE, await modules.create(actor, await web.body(CreateModule)), status=201)

    @at.all.post("/vcs")
    async def connect_module(actor: Actor) -> Response:
        return await web.document(MODULE, await modules.connect(actor, await web.body(ConnectModule)), status=201)

    @at.one.get()
    async def show_module(actor: Actor, address: Address) -> Response:
        return await web.document(MODULE, await modules.read(actor, address))

    @at.one.patch()
    async def update_module(actor: Actor, address: Address) -> Response:
        changes = await web.body(UpdateModule)
        return await web.document(MODULE, await modules.update(actor, address, changes))

    @at.one.delete()
    async def delete_module(actor: Actor, address: Address) -> Response:
        await modules.delete(actor, address)
        return web.empty()

    @at.all.delete("/private/<namespace>/<name>")
    async def delete_name(actor: Actor, namespace: str, name: str) -> Response:
        await modules.delete_name(actor, namespace, name)
        return web.empty()


def _by_id(registry: Blueprint, modules: Modules, versions: ModuleVersions, web: Web) -> None:
    @registry.post(f"/{TYPE}")
    async def connect_module_at_older_path() -> Response:
        actor = await web.actor()
        return await web.document(MODULE, await modules.connect(actor, await web.body(ConnectModule)), status=201)

    @registry.get(f"/{TYPE}/<module_id>")
    async def show_module_by_id(module_id: str) -> Response:
        return await web.document(MODULE, await modules.read(await web.actor(), module_id))

    @registry.patch(f"/{TYPE}/<module_id>")
    async def update_module_by_id(module_id: str) -> Response:
        actor = await web.actor()
        return await web.document(MODULE, await modules.update(actor, module_id, await web.body(UpdateModule)))

    @registry.get(f"/{TYPE}/<module_id>/tag-bindings")
    async def list_module_tag_bindings(module_id: str) -> Response:
        return await web.unpaged(TAG_BINDING, await modules.labels(await web.actor(), module_id))

    @registry.get(f"/{TYPE}/<module_id>/versions")
    async def list_versions_by_id(module_id: str) -> Response:
        return await web.listing(VERSION, await versions.list(await web.actor(), module_id, web.query().page))


def _versions(at: ItemPaths, versions: ModuleVersions, web: Web) -> None:
    @at.one.get("/versions")
    async def list_versions(actor: Actor, address: Address) -> Response:
        return await web.listing(VERSION, await versions.list(actor, address, web.query().page))

    @at.one.post("/versions")
    async def create_version(actor: Actor, address: Address) -> Response:
        new = await web.body(CreateVersion)
        return await web.document(VERSION, await versions.create(actor, address, new), status=201)

    @at.longer.get("/version")
    async def show_version_by_query(actor: Actor, address: Address) -> Response:
        version = request.args.get("module_version")
        if version is None:
            raise BadRequest("say which version: module_version=1.2.3", parameter="module_version")
        return await web.document(VERSION, await versions.read(actor, address, version))


def _one_version(at: ItemPaths, versions: ModuleVersions, web: Web) -> None:
    @at.one.get("/<version>")
    async def show_version(actor: Actor, address: Address, version: str) -> Response:
        return await web.document(VERSION, await versions.read(actor, address, version))

    @at.one.patch("/<version>")
    async def update_version(actor: Actor, address: Address, version: str) -> Response:
        changes = await web.body(UpdateVersion)
        return await web.document(VERSION, await versions.update(actor, address, version, changes))

    @at.one.delete("/<version>")
    async def delete_version(actor: Actor, address: Address, version: str) -> Response:
        await versions.delete(actor, address, version)
        return web.empty()

    @at.one.post("/<version>/actions/release")
    async def release_version(actor: Actor, address: Address, version: str) -> Response:
        return await web.document(VERSION, await versions.release(actor, address, version))


def _older(registry: Blueprint, modules: Modules, versions: ModuleVersions, web: Web) -> None:
    """Paths of older clients, which know the organization's namespace alone."""
    made, deleted = Paths(registry, web, [f"/{TYPE}/<org>"]), Paths(registry, web, [f"/{TYPE}/actions/delete/<org>"])

    @made.post("/<name>/<provider>/versions")
    async def create_version_at_older_path(actor: Actor, name: str, provider: str) -> Response:
        new = await web.body(CreateVersion)
        return await web.document(VERSION, await versions.create(actor, Address(NAMESPACE, name, provider), new), status=201)

    @deleted.post("/<name>")
    async def delete_name_by_action(actor: Actor, name: str) -> Response:
        await modules.delete_name(actor, NAMESPACE, name)
        return web.empty()

    @deleted.post("/<name>/<provider>")
    async def delete_module_by_action(actor: Actor, name: str, provider: str) -> Response:
        await modules.delete(actor, Address(NAMESPACE, name, provider))
        return web.empty()

    @deleted.post("/<name>/<provider>/<version>")
    async def delete_version_by_action(actor: Actor, name: str, provider: str, version: str) -> Response:
        await versions.delete(actor, Address(NAMESPACE, name, provider), version)
        return web.empty()


def links(
    versions: ModuleVersions,
    protocol: ModuleProtocol,
    archives: Archives,
    web: Web,
    capabilities: CapabilityRoutes,
    downloaded: Downloaded,
) -> None:
    """Answer for the links of archives, and tell `downloaded` of each download that begins."""

    async def upload(capability: Capability) -> Response:
        body = web.upload(web.settings.limits.module_bytes, WHAT)
        await versions.upload(capability.object_id, body, request.content_length)
        return taken()

    async def download(capability: Capability) -> Response:
        version = await protocol.archived(capability.object_id)
        archive = Archive(version.object_key or "", version.size or 0, version.sha256 or "", GZIP)
        return await sent(archives, archive, downloaded, version.id, capability.subject)

    capabilities.on(Purpose.MODULE_UPLOAD, upload)
    capabilities.on(Purpose.MODULE_DOWNLOAD, download)
