"""API tokens of the one who is signed in."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.accounts import IssuedToken, TokenOrigin
from terrapod_core.authz import Actor
from terrapod_core.errors import Invalid
from terrapod_core.ui.pages import Pages, go

LIFETIMES: Final = (30, 90, 365, 730)
"""Days that the form offers, as far as the settings allow them."""

PATH: Final = "/app/settings/tokens"


def token_pages(pages: Pages) -> Blueprint:
    """`/app/settings/tokens`; terraform sends people there with `?source=terraform-login`."""
    blueprint = Blueprint("token_pages", __name__)
    tokens = pages.people.tokens

    async def table(actor: Actor, *, issued: IssuedToken | None = None, problem: Invalid | None = None) -> Response:
        settings = pages.web.settings.tokens
        mine = await tokens.list(actor)
        return pages.show(
            "tokens.html",
            actor,
            status=problem.status if problem else 200,
            tokens=mine.items,
            now=pages.web.db.clock.now(),
            issued=issued,
            problem=problem.detail if problem else None,
            from_terraform=request.args.get("source") == "terraform-login",
            lifetimes=sorted({*(days for days in LIFETIMES if days <= settings.max_days), settings.default_days}),
            default_days=settings.default_days,
        )

    @blueprint.get(PATH)
    async def list_tokens() -> Response:
        return await table(await pages.actor())

    @blueprint.post(PATH)
    async def create_token() -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        try:
            expires_at = pages.web.db.clock.now() + timedelta(days=_days(fields.get("days", "")))
            issued = await tokens.create(actor, description=fields.get("description"), expires_at=expires_at, origin=TokenOrigin.WEB)
        except Invalid as problem:
            return await table(actor, problem=problem)
        # Shown in this answer and nowhere else: not after a redirect, for which it would have to be kept.
        return await table(actor, issued=issued)

    @blueprint.post(PATH + "/<token_id>/revoke")
    async def revoke_token(token_id: str) -> Response:
        actor = await pages.actor()
        await pages.form(actor)
        await tokens.revoke(actor, token_id)
        return go(PATH)

    return blueprint


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) > 0):
        raise Invalid("choose for how many days the token is good")
    return int(text)
