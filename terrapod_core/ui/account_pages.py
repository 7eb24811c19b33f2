"""One's own account: name, password, and where one is signed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from quart import Blueprint, Response

from terrapod_core.authz import Actor
from terrapod_core.errors import Conflict, Forbidden, Invalid, TerrapodError, TooManyRequests
from terrapod_core.ui.pages import Pages, go

PATH: Final = "/app/settings/account"


def account_pages(pages: Pages) -> Blueprint:
    """`/app/settings/account` and the forms on it."""
    blueprint = Blueprint("account_pages", __name__)
    people = pages.people

    async def table(actor: Actor, problem: TerrapodError | None = None) -> Response:
        response = pages.show(
            "account.html",
            actor,
            status=problem.status if problem else 200,
            user=await people.accounts.read(actor, actor.id),
            sessions=await people.sessions.list(actor),
            problem=problem.detail if problem else None,
        )
        if problem is not None and problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    async def answered(act: Callable[[Actor, dict[str, str]], Awaitable[object]]) -> Response:
        """Do what the form asks; what is wrong with it is said on the page."""
        actor = await pages.actor()
        fields = await pages.form(actor)
        try:
            await act(actor, fields)
        except (Invalid, Conflict, Forbidden, TooManyRequests) as problem:
            return await table(actor, problem)
        return go(PATH)

    @blueprint.get(PATH)
    async def show_account() -> Response:
        return await table(await pages.actor())

    @blueprint.post(PATH + "/name")
    async def rename() -> Response:
        return await answered(lambda actor, fields: people.accounts.rename_self(actor, fields.get("username", "")))

    @blueprint.post(PATH + "/password")
    async def change_password() -> Response:
        names = ("current_password", "password", "password_confirmation")
        return await answered(lambda actor, fields: people.passwords.change(actor, *(fields.get(name, "") for name in names)))

    @blueprint.post(PATH + "/sessions/<session_id>/revoke")
    async def revoke_session(session_id: str) -> Response:
        return await answered(lambda actor, _fields: people.sessions.revoke(actor, session_id))

    @blueprint.post(PATH + "/sessions/revoke-others")
    async def revoke_others() -> Response:
        return await answered(lambda actor, _fields: people.sessions.end_others(actor))

    return blueprint
