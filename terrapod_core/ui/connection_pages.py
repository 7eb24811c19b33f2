"""The pages of VCS connections: a list, one of them, and the form that makes or changes one."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.authz import Actor
from terrapod_core.ui.connection_doors import ConnectionDoor
from terrapod_core.ui.connection_views import LIST, ConnectionForm
from terrapod_core.ui.pages import Pages, go, wanted_page

ALL: Final = "/app/<org>/connections"
ONE: Final = f"{ALL}/<connection_id>"
ROWS: Final = 30


def connection_pages(pages: Pages, door: ConnectionDoor) -> Blueprint:
    """`/app/{organization}/connections` and what is below it."""
    blueprint = Blueprint("connection_pages", __name__)
    _reading(blueprint, pages, door)
    _making(blueprint, pages, door)
    _changing(blueprint, pages, door)
    _actions(blueprint, pages, door)
    return blueprint


def _reading(blueprint: Blueprint, pages: Pages, door: ConnectionDoor) -> None:
    @blueprint.get(ALL)
    async def list_connections(org: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        found = await door.list(actor)
        return pages.show("connections.html", actor, found=found, may_create=door.may_create(actor), has_providers=bool(door.providers))

    @blueprint.get(ONE)
    async def show_connection(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return await _page(pages, door, actor, connection_id)


def _making(blueprint: Blueprint, pages: Pages, door: ConnectionDoor) -> None:
    @blueprint.get(f"{ALL}/new")
    async def choose(org: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        door.require(actor)
        only = next(iter(door.providers)) if len(door.providers) == 1 else None
        chosen = request.args.get("provider") or only
        if chosen is None:
            return pages.show(
                "connection_new.html",
                actor,
                providers=sorted(door.providers.values(), key=lambda each: (each.default_url is None, each.display_name)),
            )
        return _form(pages, actor, door.blank(actor, chosen))

    @blueprint.post(ALL)
    async def create(org: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        made = await door.create(actor, fields.get("provider", ""), fields)
        if isinstance(made, ConnectionForm):
            return _form(pages, actor, made)
        return await _page(pages, door, actor, made.id, made.plain_webhook_secret)


def _changing(blueprint: Blueprint, pages: Pages, door: ConnectionDoor) -> None:
    @blueprint.get(f"{ONE}/edit")
    async def edit(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return _form(pages, actor, await door.form(actor, connection_id))

    @blueprint.post(ONE)
    async def update(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        refused = await door.update(actor, connection_id, fields)
        return _form(pages, actor, refused) if refused is not None else go(f"{LIST}/{quote(connection_id)}")


def _actions(blueprint: Blueprint, pages: Pages, door: ConnectionDoor) -> None:
    @blueprint.post(f"{ONE}/test")
    async def test(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        await pages.form(actor)
        organizations.check(org)
        await door.connections.test(actor, connection_id)
        return go(f"{LIST}/{quote(connection_id)}")

    @blueprint.post(f"{ONE}/webhook-secret")
    async def renew_webhook_secret(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        await pages.form(actor)
        organizations.check(org)
        renewed = await door.connections.renew_webhook_secret(actor, connection_id)
        return await _page(pages, door, actor, connection_id, renewed.plain_webhook_secret)

    @blueprint.post(f"{ONE}/delete")
    async def delete(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        await door.delete(actor, connection_id, fields.get("confirm", ""))
        return go(LIST)


async def _page(pages: Pages, door: ConnectionDoor, actor: Actor, connection_id: str, secret: str | None = None) -> Response:
    """A new `secret` is shown in this answer and nowhere else: not after a redirect, for which it would have to be kept."""
    view = await door.show(actor, connection_id, wanted_page("page", ROWS))
    return pages.show("connection.html", actor, connection=view, secret=secret, url=pages.web.base_url())


def _form(pages: Pages, actor: Actor, form: ConnectionForm) -> Response:
    return pages.show("connection_form.html", actor, status=422 if form.problems else 200, form=form)
