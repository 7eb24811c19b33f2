"""Every failure as a document: refusals, unknown routes, wrong methods and crashes alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from quart import Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed as WerkzeugMethodNotAllowed, RequestEntityTooLarge, RequestTimeout

from terrapod_core.audit import Refusals
from terrapod_core.authz import Actor
from terrapod_core.errors import BadRequest, MethodNotAllowed, NotFound, TerrapodError, TooLarge, Unavailable
from terrapod_core.jsonapi import errors_document
from terrapod_core.plugin.routes import covers
from terrapod_core.web.app import TerrapodQuart
from terrapod_core.web.rates import RateLimited

Renderer = Callable[[TerrapodError], Awaitable[Response]]
"""Makes a response of an error; a prefix of paths may bring its own (pages answer HTML)."""

log = structlog.get_logger("terrapod.web")


class Failures:
    """Registers the error handlers on the application."""

    def __init__(self, app: TerrapodQuart, refusals: Refusals) -> None:
        self.refusals = refusals
        self._renderers: list[tuple[str, Renderer]] = []
        app.register_error_handler(TerrapodError, self._domain)
        app.register_error_handler(HTTPException, self._http)
        app.register_error_handler(Exception, self._crash)

    def render(self, prefix: str, renderer: Renderer) -> None:
        """Let `prefix` and the paths below it have their errors rendered by `renderer`."""
        self._renderers.append((prefix, renderer))

    async def _domain(self, error: TerrapodError) -> Response:
        actor: Actor | None = g.get("actor")
        if error.refusal and actor is not None:
            await self._note(actor, error)
        response = self._dressed(await self._rendered(error), error)
        # What was answered, not what was raised: a page sends whoever is not signed in to the sign-in page, which refuses nothing.
        if actor is None and response.status_code in (401, 429):
            self.refusals.anonymous()
        return response

    async def _rendered(self, error: TerrapodError) -> Response:
        for prefix, renderer in self._renderers:
            if covers(prefix, request.path):
                try:
                    return await renderer(error)
                except Exception:
                    # Nobody would render what is raised here: the client would be left without any answer.
                    log.exception("a refusal could not be rendered", prefix=prefix)
        return Response(errors_document(error), status=error.status, content_type=_type())

    async def _http(self, error: HTTPException) -> Response:
        return await self._domain(_translated(error))

    async def _crash(self, error: Exception) -> Response:
        log.error("request crashed", route=_route(), exc_info=error)
        return await self._domain(TerrapodError(f"the server failed; its log says why under the request id {g.get('request_id', '-')}"))

    def _dressed(self, response: Response, error: TerrapodError) -> Response:
        if error.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        if isinstance(error, RateLimited):
            response.headers.update(error.headers)
        if isinstance(error, MethodNotAllowed) and "allow" in error.meta:
            response.headers["Allow"] = ", ".join(error.meta["allow"])
        return response

    async def _note(self, actor: Actor, error: TerrapodError) -> None:
        named = next(iter((request.view_args or {}).values()), "-")
        try:
            await self.refusals.known(actor, f"{request.method} {_route()}", "route", str(named), status=error.status)
        except Unavailable:
            log.warning("a refusal could not be recorded: the database is away", actor=actor.id)


def _translated(error: HTTPException) -> TerrapodError:
    """werkzeug's own refusals in our words."""
    if isinstance(error, WerkzeugMethodNotAllowed):
        allow = sorted(error.valid_methods or ())
        return MethodNotAllowed(f"{request.method} is not possible here; allowed: {', '.join(allow)}", meta={"allow": allow})
    if isinstance(error, RequestEntityTooLarge):
        return TooLarge("the request body is too large")
    if isinstance(error, RequestTimeout):
        return BadRequest("the request took too long to arrive")
    if error.code == 404:
        return NotFound(f"there is nothing at {request.path}")
    return BadRequest(error.description or "the request cannot be understood")


def _type() -> str:
    return "application/vnd.api+json" if "application/vnd.api+json" in request.headers.get("Accept", "") else "application/json"


def _route() -> str:
    """The route's template: the path itself may hold a capability, which never enters a log."""
    return request.url_rule.rule if request.url_rule is not None else "(no route)"
