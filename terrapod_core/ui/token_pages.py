"""API tokens of the one who is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.accounts import IssuedToken, Narrowing, SignInAgain, TokenOrigin
from terrapod_core.accounts.scopes import LEVELS, MOST_WORKSPACES
from terrapod_core.authz import Actor
from terrapod_core.errors import Invalid, NotFound, TerrapodError
from terrapod_core.ui.pages import Pages, go, sign_in_again

LIFETIMES: Final = (30, 90, 365, 730)
"""Days that the form offers, as far as the settings allow them."""

PATH: Final = "/app/settings/tokens"


class TokenTable:
    """The page: what there is, a form for one more, and once the one that was just made."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def show(
        self,
        actor: Actor,
        *,
        issued: IssuedToken | None = None,
        problem: TerrapodError | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        """The page; `typed` is what a refused form held."""
        settings = self._pages.web.settings.tokens
        mine = await self._pages.people.tokens.list(actor)
        from_terraform = request.args.get("source") == "terraform-login"
        days = {*(days for days in LIFETIMES if days <= settings.max_days), settings.default_days}
        filled = typed or {"description": "terraform login" if from_terraform and issued is None else ""}
        return self._pages.show(
            "tokens.html",
            actor,
            status=problem.status if problem else 200,
            tokens=mine.items,
            now=self._pages.web.db.clock.now(),
            issued=issued,
            problem=problem.detail if problem else None,
            again=sign_in_again(PATH) if isinstance(problem, SignInAgain) else None,
            from_terraform=from_terraform,
            typed={name: filled.get(name, "") for name in ("description", "permission", "workspaces")},
            days=filled.get("days") or str(settings.default_days),
            lifetimes=sorted(days),
            levels=list(LEVELS),
            by_workspace=self._pages.workspaces is not None,
        )

    async def narrowing(self, actor: Actor, fields: Mapping[str, str]) -> Narrowing:
        """What the form asks for; `Invalid` for a workspace that is not there or not for this person."""
        names = fields.get("workspaces", "").replace(",", " ").split()
        permission = fields.get("permission") or None
        if not names or self._pages.workspaces is None:
            return Narrowing(permission)
        if len(names) > MOST_WORKSPACES:
            raise Invalid(f"a token is for at most {MOST_WORKSPACES} workspaces, or for all")
        try:
            return Narrowing(permission, await self._pages.workspaces.ids(actor, names))
        except NotFound as missing:
            raise Invalid(f"one of these workspaces: {missing.detail}") from None


def token_pages(pages: Pages) -> Blueprint:
    """`/app/settings/tokens`; terraform sends people there with `?source=terraform-login`."""
    blueprint = Blueprint("token_pages", __name__)
    tokens, table = pages.people.tokens, TokenTable(pages)

    @blueprint.get(PATH)
    async def list_tokens() -> Response:
        return await table.show(await pages.actor())

    @blueprint.post(PATH)
    async def create_token() -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        try:
            expires_at = pages.web.db.clock.now() + timedelta(days=_days(fields.get("days", "")))
            narrowing = await table.narrowing(actor, fields)
            issued = await tokens.create(
                actor, description=fields.get("description"), expires_at=expires_at, origin=TokenOrigin.WEB, narrowing=narrowing
            )
        except (Invalid, SignInAgain) as problem:
            return await table.show(actor, problem=problem, typed=fields)
        # Shown in this answer and nowhere else: not after a redirect, for which it would have to be kept.
        return await table.show(actor, issued=issued)

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
