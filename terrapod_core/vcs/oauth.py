"""Connections as go-tfe's clients know them: OAuth clients and their tokens, and installations of an app.

All three are connections by other names (`names`). One that acts with a token is a client with that token; one that acts as an app is an
installation, and no client.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import Page, Query
from terrapod_core.plugin import RepoInfo
from terrapod_core.vcs import access, oauth_documents as documents, queries
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.models import Connection
from terrapod_core.vcs.names import CLIENT, INSTALLATION, TOKEN, connection_id_of
from terrapod_core.vcs.opening import TroubleKind
from terrapod_core.vcs.service import Connections

NOUNS = {CLIENT: "OAuth client", TOKEN: "OAuth token", INSTALLATION: "installation"}

ProjectsThere: TypeAlias = Callable[[Session, Collection[str]], Collection[str]]
"""Those of these ids that are projects; the projects' room answers."""


@dataclass(frozen=True)
class Check:
    """Whether a connection reaches a repository."""

    identifier: str
    exists: bool


class OAuth:
    """go-tfe's `OAuthClients`, `OAuthTokens` and `GHAInstallations`. Who may is decided as for connections."""

    def __init__(self, db: Database, connections: Connections, browsing: Browsing, projects_there: ProjectsThere) -> None:
        self._db = db
        self._connections = connections
        self._browsing = browsing
        self._projects_there = projects_there

    # -- clients

    async def clients(self, actor: Actor) -> Page[Connection]:
        """Those that the actor may know of, by name, with their tokens."""
        return Page.whole([self._keyed(each) for each in (await self._connections.list(actor)).items if each.installation is None])

    async def client(self, actor: Actor, client_id: str) -> Connection:
        """One client; `NotFound` when it is not there or not for this actor."""
        return self._keyed(await self._found(actor, CLIENT, client_id))

    async def create(self, actor: Actor, attributes: Mapping[str, Any], relationships: Mapping[str, Any]) -> Connection:
        """Make a client with its token. Raises `Invalid` for what is wrong, also with what the forge says of the token."""
        self._connections.check_admin(actor)
        taken = {each.name for each in await self._db.read(queries.all_connections)}
        wanted = documents.new_client(attributes, relationships, self._connections.forges.providers, taken)
        await self._check_projects(wanted.more.get("project_ids"), "/data/relationships/projects")
        with documents.in_their_words():
            return self._keyed(await self._connections.create(actor, wanted.attributes, **wanted.more))

    async def update(self, actor: Actor, client_id: str, attributes: Mapping[str, Any], relationships: Mapping[str, Any]) -> Connection:
        """Change what was sent; a new `oauth-token-string` is asked for at the forge first."""
        found = await self._found(actor, CLIENT, client_id)
        self._connections.check_admin(actor)
        wanted = documents.changed_client(attributes, relationships)
        await self._check_projects(wanted.more.get("project_ids"), "/data/relationships/projects")
        with documents.in_their_words():
            return self._keyed(await self._connections.update(actor, found.id, wanted.attributes, **wanted.more))

    async def add_projects(self, actor: Actor, client_id: str, project_ids: Collection[str]) -> None:
        """Let these projects use the client, too; from now on it is for projects that are named, and no others."""
        found = await self._found(actor, CLIENT, client_id)
        self._connections.check_admin(actor)
        await self._check_projects(project_ids, "/data")
        await self._connections.change_projects(actor, found.id, lambda there: {*there, *project_ids})

    async def remove_projects(self, actor: Actor, client_id: str, project_ids: Collection[str]) -> None:
        """Let these projects use it no longer. What follows its repositories there goes on. Without any project left, none may use it."""
        found = await self._found(actor, CLIENT, client_id)
        self._connections.check_admin(actor)
        await self._connections.change_projects(actor, found.id, lambda there: there - set(project_ids))

    async def delete(self, actor: Actor, kind: str, name: str) -> None:
        """Delete the connection, by the id of its client or its token; what follows its repositories follows nothing any more."""
        await self._connections.delete(actor, (await self._found(actor, kind, name)).id)

    # -- tokens

    async def token(self, actor: Actor, token_id: str) -> Connection:
        """One token; `NotFound` when it is not there or not for this actor."""
        return self._keyed(await self._found(actor, TOKEN, token_id))

    async def set_ssh_key(self, actor: Actor, token_id: str, attributes: Mapping[str, Any]) -> Connection:
        """Give a token the SSH key that comes with it. Raises `Invalid` where the forge has no use for one."""
        found = await self._found(actor, TOKEN, token_id)
        self._connections.check_admin(actor)
        changes = documents.ssh_key(attributes, self._connections.forges.provider(found.provider))
        return self._keyed(await self._connections.update(actor, found.id, changes))

    async def repositories(self, actor: Actor, kind: str, name: str) -> tuple[Connection, Sequence[RepoInfo]]:
        """The connection, and repositories that it reaches, as many as the forge lists; for who may use it."""
        found = await self._found(actor, kind, name)
        return found, await self._browsing.repositories(actor, found.id)

    async def check(self, actor: Actor, token_id: str, identifier: str) -> Check:
        """Whether the token reaches a repository, for who may use it. Raises `Invalid` when the forge cannot say."""
        found = await self._found(actor, TOKEN, token_id)
        if access.reach(actor, found) < access.Reach.USE:
            raise missing(NOUNS[TOKEN])
        try:
            info = await self._browsing.find(found, identifier, None)
        except Invalid as error:
            if error.code != TroubleKind.MISSING.value:
                raise
            return Check(identifier, exists=False)
        return Check(info.repo.path, exists=True)

    # -- installations

    async def installations(self, actor: Actor, query: Query) -> Page[Connection]:
        """Those that the actor may know of, by name; `filter[name]`, `filter[installation_id]`."""
        name, number = query.filter("name"), query.filter("installation_id")

        def wanted(each: Connection) -> bool:
            about = each.installation
            return about is not None and name in (None, about["name"]) and number in (None, str(about["id"]))

        return Page.whole([each for each in (await self._connections.list(actor)).items if wanted(each)])

    async def installation(self, actor: Actor, installation_id: str) -> Connection:
        """One; `NotFound` when it is not there or not for this actor."""
        return await self._found(actor, INSTALLATION, installation_id)

    # -- for documents

    def known(self, session: Session, actor: Actor, names: Collection[str]) -> Sequence[Connection]:
        """Those of these clients or tokens that the actor may know of."""
        found = queries.connections(session, {connection_id_of(name) for name in names})
        return [self._keyed(each) for each in found if each.installation is None and access.reach(actor, each) >= access.Reach.READ]

    # -- inside

    async def _found(self, actor: Actor, kind: str, name: str) -> Connection:
        found = await self._db.read(lambda session: queries.connection(session, connection_id_of(name)))
        of_kind = found is not None and name.startswith(f"{kind}-") and (found.installation is not None) == (kind == INSTALLATION)
        if found is None or not of_kind or access.reach(actor, found) < access.Reach.READ:
            raise missing(NOUNS[kind])
        return found

    def _keyed(self, connection: Connection) -> Connection:
        """With whether it has an SSH key. It is secret, so that only the secrets can say, and few forges take one."""
        forges = self._connections.forges
        provider = forges.providers.get(connection.provider)
        if provider is not None and any(each.name == documents.SSH_KEY for each in provider.fields):
            connection.has_ssh_key = bool(forges.given(connection).values.get(documents.SSH_KEY))
        return connection

    async def _check_projects(self, project_ids: Collection[str] | None, pointer: str) -> None:
        there = await self._db.read(lambda session: self._projects_there(session, project_ids)) if project_ids else ()
        unknown = sorted(set(project_ids or ()) - set(there))
        if unknown:
            raise Invalid(f"there is no project {unknown[0]}", pointer=pointer)
