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

Failed: TypeAlias = Callable[[str, str], None]
"""Told of a plugin that is used no longer, and why."""


def mount(
    app: TerrapodQuart, failures: Failures, found: Sequence[tuple[str, Routes]], current: Current, meter: Meter | None, failed: Failed
) -> None:
    """Register each plugin's blueprints under their prefixes. A plugin of which one cannot be has no routes, and `failed` hears of it."""
    broken = set[str]()
    for plugin, routes in found:
        if plugin not in broken and (reason := _refused(routes, routes.mounted_at(plugin))) is not None:
            broken.add(plugin)
            failed(plugin, reason)
    for number, (plugin, routes) in enumerate(found):
        if plugin in broken:
            continue
        prefix = routes.mounted_at(plugin)
        if routes.render is not None:
            failures.render(prefix, _renderer(routes.render))
        if routes.requests_per_minute is not None:
            app.before_request(_counting(prefix, Windows(plugin, routes.requests_per_minute, meter), current))
        app.register_blueprint(routes.blueprint, url_prefix=prefix, name=f"plugin-{plugin}-{number}-{routes.blueprint.name}")


def _refused(routes: Routes, prefix: str) -> str | None:
    """Why its blueprint cannot be registered, tried where nobody asks: what breaks off in its midst would leave some routes behind."""
    try:
        TerrapodQuart(__name__, static_folder=None).register_blueprint(routes.blueprint, url_prefix=prefix)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the plugin's
        return f"its routes cannot be mounted at {prefix}: {type(error).__name__}: {error}"
    return None


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
