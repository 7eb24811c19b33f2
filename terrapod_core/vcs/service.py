"""Connections: create, read, list, update, test, delete."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.coordination import VCS
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.plugin import Field, SupportsInstallations, SupportsWebhooks, Unreadable, VCSProvider
from terrapod_core.plugin.events import VCSConnectionDeleted
from terrapod_core.plugin.vcs import Connection as Given
from terrapod_core.vcs import access, documents, queries
from terrapod_core.vcs.documents import Sent
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import TROUBLES, Forges, told, trouble_of

TYPE: Final = "vcs-connections"


class Connections:
    """The contract's VCS connections; what go-tfe calls OAuth clients and tokens are the same."""

    def __init__(self, db: Database, authz: Authorizer, forges: Forges) -> None:
        self._db = db
        self._authz = authz
        self.forges = forges

    async def create(self, actor: Actor, attributes: Mapping[str, Any], **more: Any) -> Connection:
        """Make a connection; for platform admins. The forge is asked as whom it knows these credentials before anything is stored.

        `more` is for `Sent`. Raises `Invalid` for what is wrong, also with what the forge says.
        """
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=access.CHANGE)
        provider = documents.provider_of(attributes, self.forges.providers)
        sent = _with(documents.read(attributes, provider), more)
        if not sent.name:
            raise Invalid("name is needed: what people call the connection", pointer="/data/attributes/name")
        base_url = sent.base_url or provider.default_url
        if base_url is None:
            raise Invalid(f"base-url is needed: where the {provider.display_name} server is", pointer="/data/attributes/base-url")
        connection_id = ids.new("vcs")
        values = {name: value for name, value in sent.values.items() if value}
        given = _checked(provider, Given(connection_id, base_url, values))
        account, installation = await self._account(provider, given)
        webhook_secret = randomness.token_urlsafe(32)
        public, hidden = _parted(provider.fields, values)
        async with self._db.uow() as uow:
            now = uow.now()
            made = Connection(
                id=connection_id,
                name=sent.name,
                provider=provider.name,
                service_provider=sent.service_provider or next(iter(provider.service_providers), None),
                base_url=base_url,
                values=public,
                secrets=self.forges.sealed(connection_id, hidden),
                webhook_secret=self.forges.sealed_webhook_secret(connection_id, webhook_secret),
                repositories=["*"] if sent.repositories is None else sent.repositories,
                roles=sent.roles or [],
                project_ids=sent.project_ids or [],
                organization_scoped=sent.organization_scoped is not False,
                api_url=sent.api_url,
                account=account,
                installation=installation,
                checked_at=now,
                created_by_id=actor.user_id,
                created_at=now,
                updated_at=now,
            )
            uow.add(made)
            await _flush(uow)
            audit.record(uow, actor, "vcs-connection.create", TYPE, made.id, name=made.name, provider=made.provider, base_url=base_url)
            await uow.commit()
        made.plain_webhook_secret = webhook_secret if isinstance(provider, SupportsWebhooks) else None
        return made

    def check_admin(self, actor: Actor) -> None:
        """Pass for who may change connections, else `Forbidden`."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=access.CHANGE)

    async def read(self, actor: Actor, connection_id: str) -> Connection:
        """The connection; `NotFound` when it is not there or not for this actor."""
        return access.readable(actor, await self._db.read(lambda session: queries.connection(session, connection_id)))

    async def list(self, actor: Actor) -> Page[Connection]:
        """Those that the actor may know of, by name: all on one page, for they are few."""
        found = await self._db.read(queries.all_connections)
        return Page.whole([each for each in found if access.reach(actor, each) >= access.Reach.READ])

    async def followed(self, actor: Actor, connection_id: str, page: PageRequest) -> Page[Repository]:
        """One page of its repositories that somebody follows; for who may use the connection, and auditors."""
        await self.read(actor, connection_id)
        return await self._db.read(lambda session: queries.listing(session, connection_id, page))

    async def update(self, actor: Actor, connection_id: str, attributes: Mapping[str, Any], **more: Any) -> Connection:
        """Change what was sent; for platform admins. New credentials are asked for at the forge first; they count from then on."""
        before = access.changeable(self._authz, actor, await self._db.read(lambda session: queries.connection(session, connection_id)))
        provider = self.forges.provider(before.provider)
        sent = _with(documents.read(attributes, provider), more)
        old = self.forges.given(before)
        values = {name: value for name, value in {**old.values, **sent.values}.items() if value}
        base_url = sent.base_url or (provider.default_url if sent.base_url == "" else None) or old.base_url
        _check_resent(provider.fields, old, base_url, sent.values)
        given = _checked(provider, Given(before.id, base_url, values))
        renewed = given != old
        account, installation = await self._account(provider, given) if renewed else (before.account, before.installation)
        public, hidden = _parted(provider.fields, values)
        async with self._db.uow() as uow:
            found = access.changeable(
                self._authz, actor, await uow.run(lambda session: queries.connection_for_update(session, connection_id))
            )
            if self.forges.given(found) != old:
                raise Conflict("somebody else has just given the connection other credentials; look at it, and try again")
            changed = _changed(found, sent, {"base_url": base_url, "values": public})
            if renewed:
                found.secrets = self.forges.sealed(found.id, hidden)
                found.account, found.installation, found.checked_at = account, installation, uow.now()
                found.trouble = found.trouble_since = found.rests_until = None
                changed += ["credentials"]
                await look_now(uow, found.id)
            if changed:
                found.updated_at = uow.now()
                audit.record(uow, actor, "vcs-connection.update", TYPE, found.id, name=found.name, changed=sorted(set(changed)))
            await _flush(uow)
            await uow.commit()
        return found

    async def test(self, actor: Actor, connection_id: str) -> Connection:
        """Ask the forge as whom it knows the credentials now, and remember what it said; for who may use the connection.

        What goes wrong is not raised: it is the connection's `trouble`.
        """
        found = await self.read(actor, connection_id)
        if access.reach(actor, found) < access.Reach.USE:
            access.changeable(self._authz, actor, found)
        account, trouble = found.account, None
        try:
            async with self.forges.client(found) as client:
                account = await client.account()
        except TROUBLES as error:
            trouble = trouble_of(error)
        async with self._db.uow() as uow:
            kept = access.readable(actor, await uow.run(lambda session: queries.connection_for_update(session, connection_id)))
            kept.account, kept.checked_at = account, uow.now()
            kept.trouble = trouble.text if trouble else None
            kept.trouble_since = (kept.trouble_since or uow.now()) if trouble else None
            if trouble is None:
                kept.rests_until = None
                await look_now(uow, kept.id)
            audit.record(uow, actor, "vcs-connection.test", TYPE, kept.id, name=kept.name, works=trouble is None)
            await uow.commit()
        return kept

    async def renew_webhook_secret(self, actor: Actor, connection_id: str) -> Connection:
        """Give it another webhook secret, which the answer shows; the former is void at once. For platform admins."""
        secret = randomness.token_urlsafe(32)
        async with self._db.uow() as uow:
            found = access.changeable(
                self._authz, actor, await uow.run(lambda session: queries.connection_for_update(session, connection_id))
            )
            found.webhook_secret = self.forges.sealed_webhook_secret(found.id, secret)
            audit.record(uow, actor, "vcs-connection.renew-webhook-secret", TYPE, found.id, name=found.name)
            await uow.commit()
        found.plain_webhook_secret = secret
        return found

    async def change_projects(self, actor: Actor, connection_id: str, change: Callable[[set[str]], set[str]]) -> None:
        """Let the projects that `change` makes of the present ones use it, and no others; for platform admins."""
        async with self._db.uow() as uow:
            found = access.changeable(
                self._authz, actor, await uow.run(lambda session: queries.connection_for_update(session, connection_id))
            )
            changed = _changed(found, Sent(project_ids=sorted(change(set(found.project_ids))), organization_scoped=False), {})
            if changed:
                found.updated_at = uow.now()
                audit.record(uow, actor, "vcs-connection.update", TYPE, found.id, name=found.name, changed=sorted(changed))
            await uow.commit()

    async def delete(self, actor: Actor, connection_id: str) -> None:
        """Remove it; for platform admins. What follows its repositories is told by `VCSConnectionDeleted`, keeps its files and runs on
        without."""
        async with self._db.uow() as uow:
            found = access.changeable(
                self._authz, actor, await uow.run(lambda session: queries.connection_for_update(session, connection_id))
            )
            audit.record(uow, actor, "vcs-connection.delete", TYPE, found.id, name=found.name)
            uow.emit(VCSConnectionDeleted(connection_id=found.id))
            await uow.session.delete(found)
            await uow.commit()

    # -- inside

    async def _account(self, provider: VCSProvider, given: Given) -> tuple[str, dict[str, Any] | None]:
        """As whom the forge knows these credentials, and where their app is installed."""
        with told():
            async with provider.client(given) as client:
                account = await client.account()
                installed = await client.installation() if isinstance(client, SupportsInstallations) else None
                return account, asdict(installed) if installed is not None else None


async def look_now(uow: UnitOfWork, connection_id: str) -> None:
    """Have all repositories of a connection looked at now, whatever troubled them, and those who follow shown everything."""
    followed = update(Repository).where(Repository.connection_id == connection_id, Repository.next_poll_at.is_not(None))
    now = uow.now()
    await uow.session.execute(followed.values(next_poll_at=now, asked_at=now, failures=0, refs_validator=None, pulls_validator=None))
    uow.wake(VCS)


def _with(sent: Sent, more: Mapping[str, Any]) -> Sent:
    for name, value in more.items():
        setattr(sent, name, value)
    return sent


def _checked(provider: VCSProvider, given: Given) -> Given:
    documents.check_fields(provider.fields, given.values)
    try:
        provider.check(given)
    except Unreadable as error:
        raise Invalid(str(error), pointer=f"/data/attributes/{error.name}" if error.name else None) from None
    return given


def _check_resent(fields: Sequence[Field], old: Given, base_url: str, sent: Mapping[str, str | None]) -> None:
    """Raise `Invalid` where another server would get to see secrets that whoever names it need not know."""
    if _server(base_url) == _server(old.base_url):
        return
    kept = [each.name for each in fields if each.secret and old.values.get(each.name) and each.name not in sent]
    if kept:
        detail = f"base-url names another server, which is not sent the credentials of the former one: give {', '.join(kept)} too"
        raise Invalid(detail, pointer="/data/attributes/base-url")


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _parted(fields: Sequence[Field], values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What everybody may know who knows of the connection, and what nobody is shown."""
    secret = {each.name for each in fields if each.secret}
    return (
        {name: value for name, value in values.items() if name not in secret},
        {name: value for name, value in values.items() if name in secret},
    )


def _changed(found: Connection, sent: Sent, more: Mapping[str, Any]) -> list[str]:
    """Write what was sent, and name what differs."""
    wanted = {
        name: getattr(sent, name) for name in ("name", "service_provider", "repositories", "roles", "project_ids", "organization_scoped")
    }
    differs = {name: value for name, value in {**wanted, **more}.items() if value is not None and value != getattr(found, name)}
    for name, value in differs.items():
        setattr(found, name, value)
    return list(differs)


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        raise Invalid("Name has already been taken", pointer="/data/attributes/name") from error
