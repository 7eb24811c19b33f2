"""What every page shares: who is signed in, whose form it is, and how errors look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from quart import Response, g, request

from terrapod_core.accounts import SIGN_IN_PAGE, AccountServices, Site, check_origin
from terrapod_core.accounts.routes import Doorway, wants_html
from terrapod_core.authz import Actor
from terrapod_core.errors import BadRequest, TerrapodError, Unauthorized
from terrapod_core.jsonapi import PageRequest, errors_document
from terrapod_core.mirrors.caches import Caches
from terrapod_core.ui.connection_doors import ConnectionDoor
from terrapod_core.ui.registry_views import RegistryPages
from terrapod_core.ui.render import Renderer
from terrapod_core.ui.version_control_doors import VersionControlDoor
from terrapod_core.ui.views import LivePages, RunPages, WorkspacePages
from terrapod_core.ui.workspace_views import WorkspacePage
from terrapod_core.web import Web
from terrapod_core.web.bodies import FORM_BYTES, FORM_FIELDS
from terrapod_core.web.streams import Source

FORM_TOKEN: Final = "form-token"  # noqa: S105 - the name of a field
MOST_PAGES: Final = 1_000_000


class Pages:
    """The pages of one application. All but those of people themselves are there when their doors are given."""

    def __init__(
        self,
        people: AccountServices,
        web: Web,
        *,
        runs: RunPages | None = None,
        workspaces: WorkspacePages | None = None,
        workspace: WorkspacePage | None = None,
        live: LivePages | None = None,
        registry: RegistryPages | None = None,
        caches: Caches | None = None,
        connections: ConnectionDoor | None = None,
        version_control: VersionControlDoor | None = None,
    ) -> None:
        self.people = people
        self.web = web
        self.runs = runs
        self.workspaces = workspaces
        self.workspace = workspace
        self.live = live
        self.registry = registry
        self.caches = caches
        self.connections = connections
        self.version_control = version_control
        self.doorway = Doorway(web)
        self.renderer = Renderer()

    # -- who

    async def visitor(self) -> Actor | None:
        """The one whose session the browser's cookie holds; `None` when there is none."""
        actor = await self._shown(self._cookie())
        if actor is not None:
            g.actor = actor
        return actor

    def _cookie(self) -> str | None:
        return request.cookies.get(self.doorway.site().session_cookie)

    async def _shown(self, text: str | None) -> Actor | None:
        actor = await self.people.authentication.authenticate(text) if text else None
        # A token in the cookie is no session.
        return actor if actor is not None and actor.session_id is not None else None

    async def actor(self) -> Actor:
        """The one who is signed in; raises `Unauthorized`, which leads a browser to the sign-in page."""
        actor = await self.visitor()
        if actor is None:
            raise Unauthorized("sign in first", code="sign_in")
        return actor

    # -- what

    async def form(self, actor: Actor, *, limit: int = FORM_BYTES, fields: int = FORM_FIELDS) -> dict[str, str]:
        """A form that this person sent from a page of ours; raises `Forbidden` for any other."""
        found = await self.unsigned_form(self.doorway.site(), limit=limit, fields=fields)
        self.people.form_tokens.check(actor.session_id or "", found.pop(FORM_TOKEN, ""))
        return found

    async def unsigned_form(self, site: Site, *, limit: int = FORM_BYTES, fields: int = FORM_FIELDS) -> dict[str, str]:
        """A form of a page of ours, sent by nobody in particular: the sign-in's own state binds it to a browser."""
        check_origin(site, origin=request.headers.get("Origin"), fetch_site=request.headers.get("Sec-Fetch-Site"))
        found = await self.web.form(limit=limit, fields=fields)
        if any("\0" in value for value in found.values()):
            raise BadRequest("the form holds a character that is not text")
        return found

    # -- how

    def show(self, template: str, actor: Actor | None, *, status: int = 200, form_to: str | None = None, **values: Any) -> Response:
        """A page for this person, or for nobody."""
        token = self.people.form_tokens.make(actor.session_id) if actor and actor.session_id else None
        return self.renderer.page(template, status=status, form_to=form_to, actor=actor, form_token=token, **values)

    def attended(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, for as long as the session is good and grants what it did."""
        return self.web.attended(chunks, partial(self._shown, self._cookie()))

    def stream(self, actor: Actor, sources: Sequence[Source]) -> Response:
        """An answer that tells of these sources for as long as the session is good."""
        return self.web.stream(actor, sources, partial(self._shown, self._cookie()))

    async def error(self, error: TerrapodError) -> Response:
        """A refusal as a page with the sentence that an API client would get. Programs get the document."""
        if not wants_html() and request.path.startswith("/api/"):
            return Response(errors_document(error), status=error.status, content_type="application/json")
        if error.code == "sign_in" and request.method == "GET":
            return go(f"{SIGN_IN_PAGE}?{urlencode({'return_to': request.full_path.rstrip('?')})}")
        sentences = [problem.detail for problem in error.problems]
        actor = g.get("actor")
        return self.show("error.html", actor, status=error.status, title=error.title, sentences=sentences, signed_out=error.status == 401)


def sign_in_again(return_to: str) -> str:
    """The path of the sign-in page for somebody who is signed in, but not recently enough."""
    return f"{SIGN_IN_PAGE}?{urlencode({'again': '1', 'return_to': return_to})}"


def go(path: str) -> Response:
    """Look there next, by GET, whatever the method was."""
    return Response(b"", status=303, headers={"Location": path, "Cache-Control": "no-store"})


def wanted_page(name: str, size: int) -> PageRequest:
    """The page of a list that the parameter `name` of the address says; the first one when it says none."""
    text = request.args.get(name, "1")
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) <= MOST_PAGES):
        raise BadRequest(f"{name} must be the number of a page", parameter=name)
    return PageRequest(int(text), size)


def single(values: Mapping[str, list[str]]) -> dict[str, str]:
    """Parameters that come once each; `BadRequest` for one that is repeated, since two readers might choose differently."""
    repeated = [name for name, given in values.items() if len(given) > 1]
    if repeated:
        raise BadRequest(f"{repeated[0][:40]} is given more than once", parameter=repeated[0][:40])
    return {name: given[0] for name, given in values.items()}
