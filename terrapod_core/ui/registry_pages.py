"""The pages of the registry: modules, providers, the keys that verify them, and the form that writes how a module is called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup
from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.authz import Actor
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.registry.contents.usage import requirement
from terrapod_core.ui import usage_form
from terrapod_core.ui.pages import Pages, go, wanted_page
from terrapod_core.ui.registry_views import LISTS, ItemPages, ModuleView, RegistryAction, RegistryPages, Search
from terrapod_core.ui.usage_form import Built

ALL: Final = "/app/<org>/registry"
MODULE: Final = f"{ALL}/modules/<namespace>/<name>/<provider>"
PROVIDER: Final = f"{ALL}/providers/<namespace>/<name>"
ROWS: Final = 30
VERSIONS: Final = 10
LONGEST: Final = 400
"""Of what a list is searched for."""


def registry_pages(pages: Pages, doors: RegistryPages) -> Blueprint:
    """`/app/{organization}/registry` and what is below it."""
    blueprint = Blueprint("registry_pages", __name__)

    @blueprint.get(ALL)
    async def registry(org: str) -> Response:
        organizations.check(org)
        return go(f"{LISTS}/modules")

    _lists(blueprint, pages, doors)
    _modules(blueprint, pages, doors.modules)
    _providers(blueprint, pages, doors)
    _changes(blueprint, pages, doors.modules, "modules", MODULE)
    _changes(blueprint, pages, doors.providers, "providers", PROVIDER)
    return blueprint


def _lists(blueprint: Blueprint, pages: Pages, doors: RegistryPages) -> None:
    async def listed(org: str, kind: str, door: ItemPages[Any]) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        search = Search(_given("search"), _given("label"))
        found = await door.list(actor, wanted_page("page", ROWS), search)
        return pages.show("registry.html", actor, kind=kind, found=found, search=search, **_around(pages))

    @blueprint.get(f"{ALL}/modules")
    async def list_modules(org: str) -> Response:
        return await listed(org, "modules", doors.modules)

    @blueprint.get(f"{ALL}/providers")
    async def list_providers(org: str) -> Response:
        return await listed(org, "providers", doors.providers)

    @blueprint.get(f"{ALL}/keys")
    async def list_keys(org: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        found = await doors.keys.list(actor, wanted_page("page", ROWS))
        return pages.show("keys.html", actor, found=found, own=await doors.keys.own(), **_around(pages))


def _modules(blueprint: Blueprint, pages: Pages, door: ItemPages[ModuleView]) -> None:
    async def shown(actor: Actor, address: Sequence[str], version: str | None, part: str, fields: dict[str, str] | None = None) -> Response:
        view = await door.show(actor, address, version, wanted_page("versions", VERSIONS), part)
        source = f"{_host(pages)}/{view.address}" + (f"//{part}" if part else "")
        usage = _usage(view, source, fields or {usage_form.LABEL: usage_form.label_of(part.rpartition("/")[2] or address[1])})
        readme = _readme(view)
        more = {"kind_of": usage_form.kind_of, "example_of": usage_form.example_of, "is_sent": fields is not None, **_around(pages)}
        # What an archive says may be long: others are not to wait while it is written.
        return await asyncio.to_thread(pages.show, "module.html", actor, item=view, usage=usage, readme=readme, **more)

    @blueprint.get(MODULE)
    @blueprint.get(f"{MODULE}/<version>")
    async def show_module(org: str, namespace: str, name: str, provider: str, version: str | None = None) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return await shown(actor, (namespace, name, provider), version, request.args.get("part", ""))

    @blueprint.post(f"{MODULE}/<version>/usage")
    async def build_usage(org: str, namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor, limit=usage_form.BYTES, fields=usage_form.FIELDS)
        organizations.check(org)
        return await shown(actor, (namespace, name, provider), version, fields.pop("part", ""), fields)


def _readme(view: ModuleView) -> Markup:
    """What the author says. It was rendered by `registry.contents.readme`, which leaves nothing in it that could do anything."""
    found = view.part.readme if view.part is not None else None
    return Markup(found.html if found is not None else "")  # noqa: S704 - see above


def _usage(view: ModuleView, source: str, fields: Mapping[str, str]) -> Built | None:
    """The block; `None` for what nothing can call."""
    if view.part is None or view.shown is None or not view.is_callable:
        return None
    return usage_form.built(source, view.shown.number, view.part.inputs, fields)


def _providers(blueprint: Blueprint, pages: Pages, doors: RegistryPages) -> None:
    @blueprint.get(PROVIDER)
    @blueprint.get(f"{PROVIDER}/<version>")
    async def show_provider(org: str, namespace: str, name: str, version: str | None = None) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        view = await doors.providers.show(actor, (namespace, name), version, wanted_page("versions", VERSIONS), "")
        block = requirement(name, f"{_host(pages)}/{view.address}", view.shown.number) if view.shown is not None else ""
        return pages.show("provider.html", actor, item=view, block=block, **_around(pages))


def _changes(blueprint: Blueprint, pages: Pages, door: ItemPages[Any], kind: str, path: str) -> None:
    """The forms on the pages of one kind, whose items lie at `path`."""

    async def sent(org: str, names: Mapping[str, str]) -> tuple[Actor, tuple[str, ...], dict[str, str]]:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        return actor, tuple(names[each] for each in ("namespace", "name", "provider") if each in names), fields

    async def act(org: str, version: str, action: str, **names: str) -> Response:
        actor, address, fields = await sent(org, names)
        if action not in list(RegistryAction) or action == RegistryAction.RELEASE:
            raise NotFound(f"there is no action {action[:40]} on a version")
        if action == RegistryAction.DELETE:
            _confirmed(fields, version)
        await door.act(actor, address, version, RegistryAction(action), fields)
        return go("/".join((LISTS, kind, *address, *(() if action == RegistryAction.DELETE else (quote(version),)))))

    async def release(org: str, version: str, **names: str) -> Response:
        actor, address, fields = await sent(org, names)
        await door.act(actor, address, version, RegistryAction.RELEASE, fields)
        return go("/".join((LISTS, kind, *address, quote(version))))

    async def delete(org: str, **names: str) -> Response:
        actor, address, fields = await sent(org, names)
        _confirmed(fields, "/".join(address))
        await door.delete(actor, address)
        return go(f"{LISTS}/{kind}")

    blueprint.add_url_rule(f"{path}/<version>/actions/<action>", f"{kind}_act", act, methods=["POST"])
    blueprint.add_url_rule(f"{path}/<version>/release", f"{kind}_release", release, methods=["POST"])
    blueprint.add_url_rule(f"{path}/actions/delete", f"{kind}_delete", delete, methods=["POST"])


def _confirmed(fields: dict[str, str], what: str) -> None:
    """Pass when somebody wrote what they are about to delete; else `Invalid`."""
    if fields.get("confirm", "").strip() != what:
        raise Invalid(f"nothing was deleted: write {what} to confirm it")


def _around(pages: Pages) -> dict[str, Any]:
    """What each of these pages says of the server, and links within itself by."""
    return {"host": _host(pages), "url": pages.web.base_url(), "turned": _turned}


def _host(pages: Pages) -> str:
    """What source addresses begin with. terraform takes none without a dot, so this machine is named by its number."""
    host = pages.web.base_url().partition("://")[2]
    return "127.0.0.1" + host.removeprefix("localhost") if host.partition(":")[0] == "localhost" else host


def _given(name: str) -> str:
    """A text that a list is searched for."""
    return request.args.get(name, "").strip()[:LONGEST]


def _turned(**changed: str | int) -> str:
    """The query of this page with some parameters changed; empty ones are left out."""
    kept = {name: request.args[name] for name in ("search", "label", "part") if name in request.args}
    return urlencode({name: value for name, value in {**kept, **changed}.items() if value != ""})
