"""Which repository a module follows: what clients say of it, and the row after that.

The forge is asked before a transaction begins; who may use the connection is decided inside it, with the module's row locked.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from msgspec import UNSET, UnsetType
from sqlalchemy import delete, update

from terrapod_core.authz import Actor
from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Forbidden, Invalid, Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.plugin import RepoInfo
from terrapod_core.registry.modules import tags
from terrapod_core.registry.modules.models import Module, ModuleTag, TagStatus
from terrapod_core.vcs import access, queries as vcs
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.following import follow, show_all
from terrapod_core.vcs.links import link_to
from terrapod_core.vcs.models import Connection
from terrapod_core.vcs.names import connection_id_of

POINTER: Final = "/data/attributes/vcs-repo"
LONGEST_PREFIX: Final = 100
LONGEST_DIRECTORY: Final = 256
CONNECTION_GONE: Final = "vcs-connection-deleted"


@dataclass(frozen=True)
class Wish:
    """Which repository and tags somebody wants followed; what is `None` stays as it is. An empty wish is for none."""

    connection_id: str | None = None
    identifier: str | None = None
    tag_prefix: str | None = None
    directory: str | None = None
    said: bool = False
    """Whether anything was said but to follow none."""


@dataclass(frozen=True)
class Found:
    """The repository that a wish comes to."""

    connection_id: str
    info: RepoInfo | None
    """`None` when it stays the same."""


class Sent(Protocol):
    """The part of a document that is about the repository."""

    vcs_repo: Any
    vcs_repo_url: str | UnsetType | None
    vcs_connection: Ref | UnsetType | None


def wish(sent: Sent) -> Wish | None:
    """What a document says; `None` when it says nothing. Raises `Invalid`."""
    if all(each is UNSET for each in (sent.vcs_repo, sent.vcs_repo_url, sent.vcs_connection)):
        return None
    repo = {} if sent.vcs_repo is UNSET else sent.vcs_repo
    if repo is None or sent.vcs_repo_url in (None, "") or sent.vcs_connection is None:
        return Wish()
    if not isinstance(repo, dict):
        raise Invalid("vcs-repo must be an object or null", pointer=POINTER)
    named = {name.replace("_", "-"): value for name, value in repo.items()}
    _check(named)
    connection = named.get("oauth-token-id") or named.get("github-app-installation-id")
    if isinstance(sent.vcs_connection, Ref):
        connection = connection or sent.vcs_connection.id
    identifier = named.get("identifier") or (sent.vcs_repo_url if isinstance(sent.vcs_repo_url, str) else None)
    return Wish(
        connection_id_of(connection) if connection else None,
        identifier or None,
        (named["tag-prefix"] or "") if "tag-prefix" in named else None,
        _directory(named["source-directory"] or "") if "source-directory" in named else None,
        said=True,
    )


def _check(repo: Mapping[str, Any]) -> None:
    problems = Problems()
    for name in ("identifier", "oauth-token-id", "github-app-installation-id", "branch", "tag-prefix", "source-directory"):
        if not isinstance(repo.get(name), str | None):
            problems.add(f"{name} must be a string", attribute=f"vcs-repo/{name}")
    if repo.get("branch") or repo.get("tags") is False:
        problems.add("Modules are published from tags here, not from a branch; leave branch out", attribute="vcs-repo/branch")
    if repo.get("ingress-submodules"):
        problems.add("Submodules are not fetched here; vendor them", attribute="vcs-repo/ingress-submodules")
    if repo.get("oauth-token-id") and repo.get("github-app-installation-id"):
        problems.add("Name a token or an installation, not both", attribute="vcs-repo/github-app-installation-id")
    prefix = repo.get("tag-prefix")
    if isinstance(prefix, str) and (len(prefix) > LONGEST_PREFIX or not prefix.isprintable() or " " in prefix):
        problems.add(f"tag-prefix must have at most {LONGEST_PREFIX} characters, and no blanks", attribute="vcs-repo/tag-prefix")
    problems.refuse()


def _directory(sent: str) -> str:
    """A directory of the repository, without slashes at its ends; empty for the root."""
    path = posixpath.normpath(sent.strip("/")) if sent.strip("/") else "."
    if path.split("/")[0] == ".." or len(path) > LONGEST_DIRECTORY or not path.isprintable():
        raise Invalid("source-directory must be a directory of the repository, as modules/network", pointer=f"{POINTER}/source-directory")
    return "" if path == "." else path


class Connecting:
    """Lets modules follow repositories."""

    def __init__(self, db: Database, browsing: Browsing) -> None:
        self._db = db
        self._browsing = browsing

    async def find(self, actor: Actor, asked: Wish, link: Mapping[str, Any] | None) -> Found | None:
        """The repository that is asked for, as the forge knows it; asks the forge only when another one is named than `link` has.

        `None` when nothing is to be followed any more. Raises `Invalid` with what the forge says.
        """
        if not asked.said:
            return None
        connection_id = asked.connection_id or (link or {}).get("connection-id")
        if not connection_id:
            raise Invalid("say which VCS connection the repository is reached by", pointer=f"{POINTER}/oauth-token-id")
        identifier = asked.identifier or (link or {}).get("identifier")
        if not identifier:
            raise Invalid("identifier is needed: which repository to follow", pointer=f"{POINTER}/identifier")
        if link is not None and (connection_id, identifier) == (link["connection-id"], link["identifier"]):
            return Found(connection_id, None)
        connection = await self._db.read(lambda session: vcs.connection(session, connection_id))
        if connection is None or access.reach(actor, connection) < access.Reach.USE:
            _usable(actor, connection, "")  # says which it is
            raise AssertionError
        return Found(connection_id, await self._browsing.find(connection, identifier, f"{POINTER}/identifier"))

    async def apply(self, uow: UnitOfWork, actor: Actor, module: Module, asked: Wish | None, found: Found | None) -> dict[str, Any]:
        """Write it to the module, whose row is locked and whose admin the actor is; what an audit entry says of it, if anything.

        Whoever says which repository it is answers for its versions from then on.
        """
        if asked is None:
            return {}
        if found is None:
            return await self._disconnect(uow, module)
        connection = await uow.run(lambda session: vcs.connection(session, found.connection_id))
        before = module.vcs_link
        path = found.info.repo.path if found.info is not None else (before or {}).get("identifier", "")
        connection = _usable(actor, connection, path)
        link = {**(before or {"tag-prefix": "", "source-directory": ""})}
        if found.info is not None:
            repository = await follow(uow, connection, found.info)
            module.vcs_repository_id = repository.id
            link |= link_to(connection, repository)
        wanted = {"tag-prefix": asked.tag_prefix, "source-directory": asked.directory}
        link |= {name: value for name, value in wanted.items() if value is not None}
        if link == before:
            return await self._taken_over(uow, actor, module)
        module.vcs_link, module.vcs_linked_by_id = link, actor.user_id
        module.vcs_trouble, module.updated_at = None, uow.now()
        await self._anew(uow, module, found.info is None)
        return {"repository": link["identifier"], "tag_prefix": link["tag-prefix"], "source_directory": link["source-directory"]}

    async def gone(self, uow: UnitOfWork, module: Module) -> None:
        """Its connection was deleted: it follows nothing any more, and says so."""
        identifier = (module.vcs_link or {}).get("identifier")
        await self._disconnect(uow, module)
        tags.note(uow, module, CONNECTION_GONE, f"the connection was deleted by which {identifier} was reached; connect the module again")

    async def _disconnect(self, uow: UnitOfWork, module: Module) -> dict[str, Any]:
        module.vcs_trouble = None
        if module.vcs_link is None:
            return {}
        before = module.vcs_link["identifier"]
        module.vcs_repository_id = module.vcs_link = module.vcs_linked_by_id = module.vcs_looked_at = None
        await uow.session.execute(delete(ModuleTag).where(ModuleTag.module_id == module.id))
        return {"repository": None, "former_repository": before}

    async def _anew(self, uow: UnitOfWork, module: Module, same_repository: bool) -> None:
        """Other tags count from now on, or other files: forget what became of those that there are, and have them shown again."""
        module.vcs_looked_at = None
        await uow.flush()
        await uow.session.execute(delete(ModuleTag).where(ModuleTag.module_id == module.id))
        repository = await uow.run(lambda session: vcs.repository(session, module.vcs_repository_id or "")) if same_repository else None
        if repository is not None:
            show_all(uow, repository)

    async def _taken_over(self, uow: UnitOfWork, actor: Actor, module: Module) -> dict[str, Any]:
        """Nothing changes but who answers, and what waits for that is tried at once."""
        if module.vcs_linked_by_id == actor.user_id:
            return {}
        module.vcs_linked_by_id = actor.user_id
        waiting = update(ModuleTag).where(ModuleTag.module_id == module.id, ModuleTag.status == TagStatus.PENDING.value)
        await uow.session.execute(waiting.values(next_try_at=uow.now(), attempts=0))
        uow.wake(CHANGES)
        return {"connected_by": actor.user_id}


def _usable(actor: Actor, connection: Connection | None, path: str) -> Connection:
    """As `access.usable`; modules belong to no project."""
    reach = access.reach(actor, connection) if connection is not None else access.Reach.NONE
    if connection is not None and reach >= access.Reach.USE and not access.is_for(connection, ""):
        raise Forbidden(
            f"the connection {connection.name} is for certain projects, and modules belong to none; use another one",
            code="connection_not_usable",
        )
    return access.usable(actor, connection, "", path, f"{POINTER}/oauth-token-id")
