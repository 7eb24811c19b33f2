"""What the routes of modules and of providers share: where an item lies, who asks, and how archives and listings are answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.registry.models import Item
from terrapod_core.registry.subjects import Downloaded
from terrapod_core.storage import Archives
from terrapod_core.web import Web, documents
from terrapod_core.web.archives import Archive, answer, begins
from terrapod_core.web.documents import JSON
from terrapod_core.web.listings import etag

Handler: TypeAlias = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class Paths:
    """Routes that stand at each of `bases`, which all have a part `<org>`.

    A handler is given the actor, the address that the path names where there is an `address`, and by name what else the path names.
    """

    blueprint: Blueprint
    web: Web
    bases: Sequence[str]
    address: type[Any] | None = None
    """A dataclass; its fields are parts of `bases`."""

    def get(self, rest: str = "") -> Callable[[Handler], Handler]:
        """A route that reads; `rest` is what follows the base."""
        return self._route("GET", rest)

    def post(self, rest: str = "") -> Callable[[Handler], Handler]:
        """A route that makes or does something."""
        return self._route("POST", rest)

    def patch(self, rest: str = "") -> Callable[[Handler], Handler]:
        """A route that changes something."""
        return self._route("PATCH", rest)

    def delete(self, rest: str = "") -> Callable[[Handler], Handler]:
        """A route that deletes something."""
        return self._route("DELETE", rest)

    def _route(self, method: str, rest: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            async def view(org: str, **path: str) -> Response:
                actor = await self.web.actor()
                organizations.check(org)
                if self.address is None:
                    return await handler(actor, **path)
                address = self.address(**{each.name: path.pop(each.name) for each in fields(self.address)})
                return await handler(actor, address, **path)

            for base in self.bases:
                self.blueprint.add_url_rule(base + rest, handler.__name__, view, methods=[method])
            return handler

        return register


@dataclass(frozen=True)
class ItemPaths:
    """The paths of one kind of item."""

    all: Paths
    one: Paths
    """At the contract's path, whose namespaces are never `private` or `public`, and at the clients' longer one."""
    longer: Paths
    """At the clients' alone."""


def paths(blueprint: Blueprint, web: Web, collection: str, address: type[Any]) -> ItemPaths:
    """Those of a `collection` such as `registry-modules`; the fields of `address` say what its items are named by, in order."""
    base = f"/organizations/<org>/{collection}"
    named = "/".join(f"<{each.name}>" for each in fields(address))
    short, long = f"{base}/{named}", f"{base}/private/{named}"
    return ItemPaths(Paths(blueprint, web, [base]), Paths(blueprint, web, [short, long], address), Paths(blueprint, web, [long], address))


def listed(item: Item, document: bytes) -> Response:
    """The document of an item's versions, which the protocol asks for; 304 for who has it."""
    return documents.listed(document, etag(item.id, item.revision))


def taken() -> Response:
    """What an upload is answered."""
    return Response(b"", content_type=JSON)


async def sent(archives: Archives, archive: Archive, downloaded: Downloaded, version_id: str, subject: str) -> Response:
    """The archive of a version, for who has shown a link of this subject; `downloaded` is told when that begins a download."""
    response = await answer(archives, archive)
    if begins(response):
        downloaded(version_id, subject)
    return response
