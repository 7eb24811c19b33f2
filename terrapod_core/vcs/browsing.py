"""What forms about repositories offer: those that a connection may read, and their branches and tags. Asked of the forge each time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from terrapod_core.authz import Actor
from terrapod_core.authz.matching import matches
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.plugin import RefKind, RepoInfo, SupportsListing, Unreadable
from terrapod_core.vcs import access
from terrapod_core.vcs.models import Connection
from terrapod_core.vcs.opening import told
from terrapod_core.vcs.service import Connections

MOST: Final = 100


@dataclass(frozen=True)
class Ref:
    """A branch or a tag of a repository."""

    kind: RefKind
    name: str
    sha: str


class Browsing:
    """For who may use the connection."""

    def __init__(self, connections: Connections, seconds: float) -> None:
        """`seconds`: how long the forge may take."""
        self._connections = connections
        self._seconds = seconds

    @property
    def possible(self) -> bool:
        """Whether this server knows any forge."""
        return bool(self._connections.forges.providers)

    async def repositories(self, actor: Actor, connection_id: str) -> Sequence[RepoInfo]:
        """Some that the connection may read and be used for; none where the forge does not list them."""
        connection = await self._usable(actor, connection_id)
        with told():
            async with asyncio.timeout(self._seconds), self._connections.forges.client(connection) as client:
                found = await client.repositories(MOST) if isinstance(client, SupportsListing) else ()
        return [each for each in found if any(matches(pattern, each.repo.path) for pattern in connection.repositories)]

    async def refs(self, actor: Actor, connection_id: str, identifier: str) -> Sequence[Ref]:
        """The branches of a repository, by name, then its tags. `identifier` as people write it."""
        connection = await self._usable(actor, connection_id)
        info = await self.find(connection, identifier, pointer=None)
        access.usable(actor, connection, next(iter(connection.project_ids), ""), info.repo.path, "")
        with told():
            async with asyncio.timeout(self._seconds), self._connections.forges.client(connection) as client:
                found = await client.refs(info.repo, frozenset(RefKind), None)
        assert found is not None, "there was no validator"
        branches = [Ref(RefKind.BRANCH, name, sha) for name, sha in sorted(found.branches.items())]
        return branches + [Ref(RefKind.TAG, name, sha) for name, sha in sorted(found.tags.items())]

    async def find(self, connection: Connection, identifier: str, pointer: str | None) -> RepoInfo:
        """The repository that somebody names, as the forge knows it. Raises `Invalid`, which points there, with the forge's reason."""
        forges = self._connections.forges
        try:
            repo = forges.provider(connection.provider).repository(forges.given(connection), identifier)
        except Unreadable as error:
            raise Invalid(str(error), pointer=pointer) from None
        with told(pointer):
            async with asyncio.timeout(self._seconds), forges.client(connection) as client:
                return await client.repository(repo)

    async def _usable(self, actor: Actor, connection_id: str) -> Connection:
        connection = await self._connections.read(actor, connection_id)
        if access.reach(actor, connection) < access.Reach.USE:
            raise NotFound("there is no such VCS connection, or you may not use it")
        return connection
