"""Those who follow repositories, and the rows of what they follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.coordination import VCS
from terrapod_core.db import UnitOfWork
from terrapod_core.plugin import PullRequests, Refs, Repo, RepoInfo, VCSClient
from terrapod_core.vcs import queries
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import Trouble


@dataclass(frozen=True)
class Wants:
    """What somebody wants to know of a repository."""

    branches: bool = False
    tags: bool = False
    pulls: bool = False

    def __or__(self, other: Wants) -> Wants:
        return Wants(self.branches or other.branches, self.tags or other.tags, self.pulls or other.pulls)


@dataclass(frozen=True)
class Seen:
    """What a look at a repository found."""

    connection: Connection
    repository: Repository
    """As it was when the look began, but for what the forge says of it now; no session knows it."""
    client: VCSClient
    wants: Wants
    """What was asked for: whoever wants more since is shown it next."""
    refs: Refs | None
    """`None` when they are as they were when followers were shown them last."""
    pulls: PullRequests | None
    """Likewise, and where nobody wants them or the forge has none."""

    @property
    def repo(self) -> Repo:
        """As its client calls it."""
        return Repo(self.repository.path)


class Follower(Protocol):
    """A room that follows repositories for what it keeps."""

    def wants(self, session: Session, repository_ids: Collection[str]) -> Mapping[str, Wants]:
        """What it wants to know of each; one that nobody follows may be left out. One query for all of them."""
        ...

    async def look(self, seen: Seen) -> None:
        """Write down what is to be done about it, so that it cannot be lost any more. When it raises, it is shown the same again."""
        ...

    async def tell(self, repository_id: str, trouble: Trouble | None) -> None:
        """From now on the repository cannot be looked at, for this reason; `None`: it can again. May be told twice."""
        ...


async def follow(uow: UnitOfWork, connection: Connection, info: RepoInfo) -> Repository:
    """The row of a repository that somebody begins to follow, whom the next look, which comes at once, shows everything."""
    found = await uow.run(lambda session: queries.repository_at(session, connection.id, info.repo.path))
    if found is None:
        found = Repository(id=ids.new("vcsrepo"), connection_id=connection.id, path=info.repo.path, wanted="", created_at=uow.now())
        uow.add(found)
    learn(found, info)
    show_all(uow, found)
    await uow.flush()
    return found


def show_all(uow: UnitOfWork, repository: Repository) -> None:
    """Have the repository looked at now, and those who follow it shown everything."""
    repository.refs_validator = repository.pulls_validator = None
    look_soon(uow, repository)


def look_soon(uow: UnitOfWork, repository: Repository) -> None:
    """Have the repository looked at now."""
    repository.asked_at = repository.next_poll_at = uow.now()
    uow.wake(VCS)


def learn(repository: Repository, info: RepoInfo) -> None:
    """Write down what the forge says of it."""
    repository.path, repository.default_branch = info.repo.path, info.default_branch
    repository.http_url, repository.clone_url = info.http_url, info.clone_url
