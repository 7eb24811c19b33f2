"""Routes of plugins, mounted: their prefix, their limit, and how refusals below the prefix look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from quart import Response, request

from terrapod_core.authz import Actor
from terrapod_core.errors import TerrapodError
from terrapod_core.plugin import Rendered, Routes
from terrapod_core.plugin.routes import covers
from terrapod_core.web import TerrapodQuart, bodies
from terrapod_core.web.failures import Failures, Renderer
from terrapod_core.web.rates import Meter
from terrapod_core.web.windows import Windows

Current: TypeAlias = Callable[[], Awaitable[Actor]]
"""Whoever sent the request being served; raises `Unauthorized`."""


def mount(app: TerrapodQuart, failures: Failures, found: Sequence[tuple[str, Routes]], current: Current, meter: Meter | None) -> None:
    """Register each plugin's blueprint under its prefix."""
    for plugin, routes in found:
        prefix = routes.mounted_at(plugin)
        if routes.render is not None:
            failures.render(prefix, _renderer(routes.render))
        if routes.requests_per_minute is not None:
            app.before_request(_counting(prefix, Windows(plugin, routes.requests_per_minute, meter), current))
        app.register_blueprint(routes.blueprint, url_prefix=prefix, name=f"plugin-{plugin}-{routes.blueprint.name}")


def _renderer(render: Callable[[TerrapodError], Rendered]) -> Renderer:
    async def rendered(error: TerrapodError) -> Response:
        body, content_type = render(error)
        return Response(body, status=error.status, content_type=content_type)

    return rendered


def _counting(prefix: str, windows: Windows, current: Current) -> Callable[[], Awaitable[None]]:
    """Asked before a view is found: a wrong path and a wrong method are requests too."""

    async def count() -> None:
        if covers(prefix, request.path):
            actor = await current()
            await windows.take(actor.token_id or actor.session_id or actor.id)

    return count


async def read_body(limit: int, what: str = "request body") -> bytes:
    """The `ReadBody` of all plugins."""
    return await bodies.whole(request, limit, what)
