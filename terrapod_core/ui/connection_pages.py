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

    async def shown(actor: Actor, connection_id: str, secret: str | None = None) -> Response:
        view = await door.show(actor, connection_id, wanted_page("page", ROWS))
        return pages.show("connection.html", actor, connection=view, secret=secret, url=pages.web.base_url())

    def form_of(actor: Actor, form: ConnectionForm) -> Response:
        return pages.show("connection_form.html", actor, status=422 if form.problems else 200, form=form)

    @blueprint.get(ALL)
    async def list_connections(org: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        found = await door.list(actor)
        return pages.show("connections.html", actor, found=found, may_create=door.may_create(actor), has_providers=bool(door.providers))

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
        return form_of(actor, door.blank(actor, chosen))

    @blueprint.post(ALL)
    async def create(org: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        made = await door.create(actor, fields.get("provider", ""), fields)
        if isinstance(made, ConnectionForm):
            return form_of(actor, made)
        # Shown in this answer and nowhere else: not after a redirect, for which it would have to be kept.
        return await shown(actor, made.id, made.plain_webhook_secret)

    @blueprint.get(ONE)
    async def show_connection(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return await shown(actor, connection_id)

    @blueprint.get(f"{ONE}/edit")
    async def edit(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        organizations.check(org)
        return form_of(actor, await door.form(actor, connection_id))

    @blueprint.post(ONE)
    async def update(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        refused = await door.update(actor, connection_id, fields)
        return form_of(actor, refused) if refused is not None else go(f"{LIST}/{quote(connection_id)}")

    _actions(blueprint, pages, door)

    @blueprint.post(f"{ONE}/webhook-secret")
    async def renew_webhook_secret(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        await pages.form(actor)
        organizations.check(org)
        renewed = await door.connections.renew_webhook_secret(actor, connection_id)
        return await shown(actor, connection_id, renewed.plain_webhook_secret)

    return blueprint


def _actions(blueprint: Blueprint, pages: Pages, door: ConnectionDoor) -> None:
    @blueprint.post(f"{ONE}/test")
    async def test(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        await pages.form(actor)
        organizations.check(org)
        await door.connections.test(actor, connection_id)
        return go(f"{LIST}/{quote(connection_id)}")

    @blueprint.post(f"{ONE}/delete")
    async def delete(org: str, connection_id: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        organizations.check(org)
        await door.delete(actor, connection_id, fields.get("confirm", ""))
        return go(LIST)
