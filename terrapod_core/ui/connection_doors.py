"""The door of the pages of VCS connections, over their service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.plugin import SupportsWebhooks, VCSProvider
from terrapod_core.projects.models import Project
from terrapod_core.secrets import SecretUnreadable
from terrapod_core.ui import connection_form
from terrapod_core.ui.connection_views import ConnectionForm, ConnectionLine, ConnectionView, RepositoryLine, Webhook
from terrapod_core.ui.forge_links import leads
from terrapod_core.vcs import access, queries
from terrapod_core.vcs.access import Reach
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.service import Connections

EVENTS: Final = "/api/v2/vcs-events"


@dataclass(frozen=True)
class ConnectionDoor:
    """VCS connections, for their pages. What the actor may not see raises `NotFound`, what they may not do `Forbidden`."""

    connections: Connections
    db: Database
    authz: Authorizer

    @property
    def providers(self) -> Mapping[str, VCSProvider]:
        """Those that this server has, by name."""
        return self.connections.forges.providers

    async def list(self, actor: Actor) -> Sequence[ConnectionLine]:
        """Those that the actor may know of, by name."""
        found = (await self.connections.list(actor)).items
        ids = [each.id for each in found]
        counts = await self.db.read(lambda session: queries.followed_counts(session, ids))
        return [
            ConnectionLine(each.id, each.name, self._title(each), each.base_url, each.account, each.trouble, counts.get(each.id, 0))
            for each in found
        ]

    async def show(self, actor: Actor, connection_id: str, page: PageRequest) -> ConnectionView:
        """The connection, with one page of the repositories that somebody follows."""
        found = await self.connections.read(actor, connection_id)
        followed = await self.connections.followed(actor, connection_id, page)
        reach = access.reach(actor, found)
        return ConnectionView(
            id=found.id,
            name=found.name,
            provider=self._title(found),
            base_url=found.base_url,
            account=found.account,
            values=self._values(found),
            repositories=found.repositories,
            roles=found.roles,
            projects=await self.db.read(lambda session: _projects(session, found.project_ids)),
            trouble=found.trouble,
            trouble_since=found.trouble_since,
            rests_until=found.rests_until,
            checked_at=found.checked_at,
            created_at=found.created_at,
            webhook=self._webhook(found),
            followed=Page([_repository(each) for each in followed.items], followed.number, followed.size, followed.total),
            may_use=reach >= Reach.USE,
            may_change=reach >= Reach.ADMIN,
        )

    def may_create(self, actor: Actor) -> bool:
        """Whether the actor may make one."""
        return actor.is_platform_admin

    def blank(self, actor: Actor, provider: str) -> ConnectionForm:
        """The form of a new connection."""
        self.require(actor)
        return connection_form.blank(self._provider(provider))

    def require(self, actor: Actor) -> None:
        """Pass for those who may make connections; else `Forbidden`."""
        self.authz.require_platform(actor, PlatformRole.ADMIN, to=access.CHANGE)

    async def form(self, actor: Actor, connection_id: str) -> ConnectionForm:
        """The form of a connection that is there."""
        found, kept = await self._changeable(actor, connection_id)
        typed = {
            "name": found.name,
            "base-url": found.base_url,
            "repositories": "\n".join(found.repositories),
            "roles": " ".join(found.roles),
        }
        return connection_form.filled(self.connections.forges.provider(found.provider), typed, found.values, kept, None, found.id)

    async def create(self, actor: Actor, provider: str, fields: Mapping[str, str]) -> Connection | ConnectionForm:
        """The connection that was made, with its webhook secret; the form with what is wrong when there is something."""
        self.require(actor)
        kind = self._provider(provider)
        try:
            return await self.connections.create(actor, connection_form.attributes(kind, fields, changes=False))
        except Invalid as problem:
            return connection_form.filled(kind, fields, connection_form.sent_values(fields), (), problem)

    async def update(self, actor: Actor, connection_id: str, fields: Mapping[str, str]) -> ConnectionForm | None:
        """Change it; the form when something is wrong with it."""
        found, kept = await self._changeable(actor, connection_id)
        kind = self.connections.forges.provider(found.provider)
        try:
            await self.connections.update(actor, connection_id, connection_form.attributes(kind, fields, changes=True))
        except Invalid as problem:
            return connection_form.filled(kind, fields, connection_form.sent_values(fields), kept, problem, found.id)
        return None

    async def delete(self, actor: Actor, connection_id: str, confirmed: str) -> None:
        """Delete it when its name was written."""
        found, _ = await self._changeable(actor, connection_id)
        if confirmed.strip() != found.name:
            raise Invalid(f"nothing was deleted: write {found.name} to confirm it")
        await self.connections.delete(actor, connection_id)

    # -- inside

    async def _changeable(self, actor: Actor, connection_id: str) -> tuple[Connection, frozenset[str]]:
        """The connection, and the names of the secrets that it has; what they are is not told."""
        found = access.changeable(self.authz, actor, await self.connections.read(actor, connection_id))
        try:
            return found, frozenset(self.connections.forges.given(found).values)
        except SecretUnreadable:
            return found, frozenset()

    def _provider(self, name: str) -> VCSProvider:
        found = self.providers.get(name)
        if found is None:
            raise NotFound(f"this server has no provider {name[:40]}")
        return found

    def _title(self, connection: Connection) -> str:
        found = self.providers.get(connection.provider)
        return found.display_name if found is not None else connection.provider

    def _values(self, connection: Connection) -> Sequence[tuple[str, str]]:
        provider = self.providers.get(connection.provider)
        titles = {each.name: each.title for each in provider.fields} if provider is not None else {}
        return [(titles.get(name, name), value) for name, value in connection.values.items()]

    def _webhook(self, connection: Connection) -> Webhook | None:
        provider: object = self.providers.get(connection.provider)
        if not isinstance(provider, SupportsWebhooks):
            return None
        shared = f"{EVENTS}/{connection.provider}"
        return Webhook(f"{shared}/{connection.id}", shared if provider.webhook_secret else None, connection.provider)


def _projects(session: Session, ids: Sequence[str]) -> list[str]:
    if not ids:
        return []
    names = {row[0]: row[1] for row in session.execute(select(Project.id, Project.name).where(Project.id.in_(ids)))}
    return [names.get(each, each) for each in ids]


def _repository(repository: Repository) -> RepositoryLine:
    return RepositoryLine(
        repository.path,
        leads(repository.http_url),
        repository.polled_at,
        repository.next_poll_at,
        repository.changed_at,
        repository.heard_at,
        repository.trouble,
        repository.trouble_since,
    )
