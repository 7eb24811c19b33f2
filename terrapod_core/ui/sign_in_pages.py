"""Signing in and out."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core.accounts import Begun, Refused, checked_return
from terrapod_core.errors import BadRequest, TerrapodError, TooManyRequests
from terrapod_core.plugin.auth import Redirect
from terrapod_core.ui.pages import Pages, go


def sign_in_pages(pages: Pages) -> Blueprint:
    """`/app/sign-in`, `/app/sign-out`."""
    blueprint = Blueprint("sign_in_pages", __name__)
    people, doorway = pages.people, pages.doorway

    async def ask(provider: str | None, return_to: str, problem: TerrapodError | None = None) -> Response:
        """Begin with a provider and show what it asks for, or send the browser on."""
        site = doorway.site()
        begun = await people.sign_in.begin(provider, doorway.visitor(site), return_to=return_to, base_url=site.base_url)
        response = go(begun.step.url) if isinstance(begun.step, Redirect) else _form(pages, begun, return_to, problem)
        doorway.remember(response, site, begun)
        return response

    @blueprint.get("/app/sign-in")
    async def sign_in() -> Response:
        return_to = checked_return(request.args.get("return_to"))
        if await pages.visitor() is not None:
            return go(return_to)
        provider = request.args.get("provider")
        if provider is None and len(people.sign_in.providers) != 1:
            providers = list(people.sign_in.providers.values())
            return pages.show("choose.html", None, providers=providers, return_to=return_to)
        return await ask(provider, return_to)

    @blueprint.post("/app/sign-in")
    async def signed_in() -> Response:
        site = doorway.site()
        fields = await pages.unsigned_form(site)
        try:
            welcome = await people.sign_in.finish(doorway.visitor(site), fields)
        except Refused as refusal:
            return await ask(refusal.provider, refusal.return_to, refusal)
        except (TooManyRequests, BadRequest) as refusal:
            return await ask(fields.get("provider"), checked_return(fields.get("return_to")), refusal)
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
        response = go("/app/sign-in")
        doorway.let_out(response, site)
        return response

    return blueprint


def _form(pages: Pages, begun: Begun, return_to: str, problem: TerrapodError | None) -> Response:
    several = len(pages.people.sign_in.providers) > 1
    response = pages.show(
        "sign_in.html",
        None,
        status=problem.status if problem else 200,
        provider=begun.provider,
        fields=getattr(begun.step, "fields", ()),
        state=begun.state,
        return_to=return_to,
        several=several,
        problem=problem.detail if problem else None,
    )
    if problem is not None and problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response
