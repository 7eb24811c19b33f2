"""Signing in and out."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.accounts import HOME, SIGN_IN_PAGE, Begun, Refused, Unjudged, checked_return
from terrapod_core.accounts.routes import wants_html
from terrapod_core.errors import BadGateway, BadRequest, NotFound, TerrapodError, TooManyRequests, Unavailable
from terrapod_core.plugin.auth import Form
from terrapod_core.ui.pages import Pages, go

TRY_AGAIN: Final = (Refused, BadRequest, NotFound, TooManyRequests, BadGateway, Unavailable)
"""What is said on the sign-in page itself, above every other way to sign in."""


class SignInPage:
    """One page for all providers: the form of passwords, or of the provider that was chosen, and a button for each other."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sign_in = pages.people.sign_in

    async def begin(self, provider: str, return_to: str) -> Response:
        """Begin with this provider: show its form, or send the browser on. What is wrong with it is said on the page."""
        try:
            begun = await self._begin(provider, return_to)
        except TRY_AGAIN as problem:
            return await self.show(return_to, problem=problem)
        if isinstance(begun.step, Form):
            return self._page(begun, return_to, None)
        response = go(begun.step.url)
        self._pages.doorway.remember(response, self._pages.doorway.site(), begun)
        return response

    async def show(self, return_to: str, *, form_of: str | None = None, problem: TerrapodError | None = None) -> Response:
        """The page, with the form of a provider and a sentence about what went wrong. One that fails takes no other with it."""
        for name in dict.fromkeys((form_of, self._sign_in.passwords)):
            if name is None:
                continue
            try:
                begun = await self._begin(name, return_to)
            except TRY_AGAIN as failed:
                problem = problem or failed
                continue
            if isinstance(begun.step, Form):
                return self._page(begun, return_to, problem)
        return self._page(None, return_to, problem)

    async def error(self, error: TerrapodError) -> Response:
        """What went wrong on the way to or from another site, with another try; programs get the document."""
        if not wants_html() or not isinstance(error, TRY_AGAIN):
            return await self._pages.error(error)
        return await self.show(error.return_to if isinstance(error, Refused | Unjudged) else HOME, problem=error)

    async def _begin(self, provider: str, return_to: str) -> Begun:
        doorway = self._pages.doorway
        site = doorway.site()
        return await self._sign_in.begin(provider, doorway.visitor(site), return_to=return_to, base_url=site.base_url)

    def _page(self, begun: Begun | None, return_to: str, problem: TerrapodError | None) -> Response:
        name = begun.provider.name if begun is not None else None
        views = self._sign_in.views()
        response = self._pages.show(
            "sign_in.html",
            None,
            status=problem.status if problem else 200,
            provider=next((view for view in views if view.name == name), None),
            fields=begun.step.fields if begun is not None and isinstance(begun.step, Form) else (),
            state=begun.state if begun is not None else "",
            others=[view for view in views if view.name != name],
            return_to=return_to,
            problem=problem.detail if problem else None,
        )
        if begun is not None:
            self._pages.doorway.remember(response, self._pages.doorway.site(), begun)
        if problem is not None and problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response


def sign_in_pages(pages: Pages, page: SignInPage) -> Blueprint:
    """`/app/sign-in`, `/app/sign-out`."""
    blueprint = Blueprint("sign_in_pages", __name__)
    people, doorway = pages.people, pages.doorway

    @blueprint.get("/app/sign-in")
    async def sign_in() -> Response:
        return_to = checked_return(request.args.get("return_to"))
        # `again`: what they want to do asks for a fresh sign-in, or they chose another way on this page.
        if request.args.get("again") is None and await pages.visitor() is not None:
            return go(return_to)
        provider = request.args.get("provider")
        return await page.begin(provider, return_to) if provider is not None else await page.show(return_to)

    @blueprint.post("/app/sign-in")
    async def signed_in() -> Response:
        site = doorway.site()
        fields = await pages.unsigned_form(site)
        try:
            welcome = await people.sign_in.finish(doorway.visitor(site), fields)
        except Refused as refusal:
            return await page.show(refusal.return_to, form_of=refusal.provider, problem=refusal)
        except TRY_AGAIN as problem:
            return await page.show(checked_return(fields.get("return_to")), form_of=fields.get("provider"), problem=problem)
        response = go(welcome.return_to)
        doorway.let_in(response, site, welcome)
        return response

    @blueprint.post("/app/sign-out")
    async def sign_out() -> Response:
        site = doorway.site()
        actor = await pages.visitor()
        if actor is not None:
            await pages.form(actor)
            await people.sessions.end(actor)
        response = go(SIGN_IN_PAGE)
        doorway.let_out(response, site)
        return response

    return blueprint
