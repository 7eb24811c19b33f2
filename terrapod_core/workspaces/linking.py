"""Which repository a workspace follows: what clients say of it, and the row after that.

The forge is asked before a transaction begins; who may use the connection is decided inside it, with the workspace's row locked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2
from msgspec import UNSET

from terrapod_core.authz import Actor
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Invalid, Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.plugin import RepoInfo
from terrapod_core.vcs import access, queries as vcs
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.following import follow, show_all
from terrapod_core.vcs.links import link_to
from terrapod_core.vcs.names import connection_id_of
from terrapod_core.vcs.opening import TroubleKind
from terrapod_core.workspaces.conditions import settle
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.models import Workspace

MAX_BRANCH: Final = 255
MAX_REGEX: Final = 256
NOBODY_ANSWERS: Final = "vcs-nobody-answers"
"""The condition of a workspace whose repository was connected by somebody who is gone: whoever names the repository again takes it over."""
_NO_BRANCH: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[/.-]|[/.]$|\.lock$|/\.")
"""What git never lets into a branch's name (git-check-ref-format), and a `-` at its beginning, which no forge takes."""

_QUIET: Final = re2.Options()
_QUIET.log_errors = False  # whoever sent the expression is told, and not the server's standard error


@dataclass(frozen=True)
class Wish:
    """Which repository, branch and tags somebody wants followed; what is `None` stays as it is."""

    connection_id: str | None = None
    identifier: str | None = None
    branch: str | None = None
    """Empty for the default branch."""
    tags_regex: str | None = None
    """Empty for no tags."""
    pointer: str = "/data/attributes/vcs-repo"
    connection_pointer: str = "/data/attributes/vcs-repo/oauth-token-id"


@dataclass(frozen=True)
class Found:
    """A wish, and the repository that it comes to; no `info` when that stays the same."""

    wish: Wish
    connection_id: str
    info: RepoInfo | None


def wish(sent: UpdateWorkspace) -> Wish | None:
    """What a document says; `None` when it says nothing, and an empty wish when it takes the repository away. Raises `Invalid`."""
    if sent.vcs_repo is UNSET:
        return _by_contract(sent)
    if sent.vcs_repo is None:
        return None if _names_repository(sent) else Wish()
    if not isinstance(sent.vcs_repo, dict):
        raise Invalid("vcs-repo must be an object or null", pointer="/data/attributes/vcs-repo")
    said = _by_go_tfe({name.replace("_", "-"): value for name, value in sent.vcs_repo.items()})
    return said if said != Wish() else None


def _names_repository(sent: UpdateWorkspace) -> bool:
    return isinstance(sent.vcs_repo_url, str) and bool(sent.vcs_repo_url)


def _by_contract(sent: UpdateWorkspace) -> Wish | None:
    said = (sent.vcs_repo_url, sent.vcs_branch, sent.vcs_connection)
    if all(each is UNSET for each in said):
        return None
    if sent.vcs_repo_url in (None, "") or sent.vcs_connection is None:
        return Wish()
    return _checked(
        Wish(
            sent.vcs_connection.id or "" if isinstance(sent.vcs_connection, Ref) else None,
            sent.vcs_repo_url if isinstance(sent.vcs_repo_url, str) else None,
            (sent.vcs_branch or "") if sent.vcs_branch is not UNSET else None,
            pointer="/data/attributes/vcs-repo-url",
            connection_pointer="/data/relationships/vcs-connection",
        ),
        "/data/attributes/vcs-branch",
    )


def _by_go_tfe(repo: Mapping[str, Any]) -> Wish:
    problems = Problems()
    for name in ("identifier", "branch", "oauth-token-id", "github-app-installation-id", "tags-regex"):
        if not isinstance(repo.get(name), str | None):
            problems.add(f"{name} must be a string", attribute=f"vcs-repo/{name}")
    if repo.get("ingress-submodules"):
        problems.add(
            "Submodules are not fetched here; vendor them, or use modules from a registry", attribute="vcs-repo/ingress-submodules"
        )
    if repo.get("oauth-token-id") and repo.get("github-app-installation-id"):
        problems.add("Name a token or an installation, not both", attribute="vcs-repo/github-app-installation-id")
    problems.refuse()
    named = repo.get("oauth-token-id") or repo.get("github-app-installation-id")
    return _checked(
        Wish(
            connection_id_of(named) if named else None,
            repo.get("identifier") or None,
            (repo.get("branch") or "") if "branch" in repo else None,
            (repo.get("tags-regex") or "") if "tags-regex" in repo else None,
        ),
        "/data/attributes/vcs-repo/branch",
    )


def _checked(found: Wish, branch_pointer: str) -> Wish:
    branch, regex = found.branch, found.tags_regex
    if branch and (len(branch.encode()) > MAX_BRANCH or _NO_BRANCH.search(branch)):
        raise Invalid(f"{branch[:64]!r} is no name of a branch", pointer=branch_pointer)
    if regex:
        try:
            re2.compile(regex, _QUIET)
        except re2.error as error:
            said = error.args[0] if error.args else "it is no regular expression"
            said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)  # re2 has it in bytes
            raise Invalid(f"tags-regex cannot be read: {said}", pointer="/data/attributes/vcs-repo/tags-regex") from None
        if len(regex) > MAX_REGEX:
            raise Invalid(f"tags-regex must have at most {MAX_REGEX} characters", pointer="/data/attributes/vcs-repo/tags-regex")
    return found


class Linking:
    """Lets workspaces follow repositories."""

    def __init__(self, db: Database, browsing: Browsing) -> None:
        self._db = db
        self._browsing = browsing

    async def find(self, actor: Actor, asked: Wish | None, link: Mapping[str, Any] | None) -> Found | None:
        """The repository that is asked for, as the forge knows it; asks the forge only when another one is named than `link` has.

        `None` when nothing is asked, or nothing is to be followed any more. Raises `Invalid` with what the forge says.
        """
        if asked is None or asked == Wish():
            return None
        if not self._browsing.possible:
            raise Invalid("No VCS plugin is installed on this server", pointer=asked.pointer)
        connection_id = asked.connection_id or (link or {}).get("connection-id")
        if not connection_id:
            raise Invalid("say which VCS connection the repository is reached by", pointer=asked.connection_pointer)
        if not asked.identifier and link is None:
            raise Invalid("identifier is needed: which repository to follow", pointer=asked.pointer)
        if link is not None and connection_id == link["connection-id"] and asked.identifier in (None, link["identifier"]):
            return Found(asked, connection_id, None)
        connection = await self._db.read(lambda session: vcs.connection(session, connection_id))
        if connection is None or access.reach(actor, connection) < access.Reach.USE:
            access.usable(actor, connection, "", "", asked.connection_pointer)  # says which it is
            raise AssertionError
        identifier = asked.identifier or (link or {})["identifier"]
        return Found(asked, connection_id, await self._browsing.find(connection, identifier, asked.pointer))

    async def apply(
        self, uow: UnitOfWork, actor: Actor, workspace: Workspace, asked: Wish | None, found: Found | None
    ) -> dict[str, object]:
        """Write it to the workspace, whose row is locked and whose admin the actor is; what an audit entry says of it, if anything."""
        if asked is None:
            return {}
        if found is None:
            return _unlinked(uow, workspace)
        before = _audited(workspace)
        if found.info is not None:
            info = found.info
            connection = await uow.run(lambda session: vcs.connection(session, found.connection_id))
            connection = access.usable(actor, connection, workspace.project_id, info.repo.path, asked.connection_pointer)
            repository = await follow(uow, connection, info)
            workspace.vcs_repository_id = repository.id
            workspace.vcs_link = link_to(connection, repository)
        if asked.branch is not None or found.info is not None:
            workspace.vcs_branch = asked.branch or None
        if asked.tags_regex is not None or found.info is not None:
            workspace.vcs_tags_regex = asked.tags_regex or None
        after = _audited(workspace)
        if after == before and not any(each["code"] == NOBODY_ANSWERS for each in workspace.conditions):
            return {}
        # It answers from now on for what the repository brings.
        workspace.vcs_linked_by_id = actor.user_id
        moved = (before["connection"], before["repository"]) != (after["connection"], after["repository"])
        _settle(uow, workspace, "the workspace was connected anew", moved=moved)
        await self.show_all(uow, workspace)
        return {"repository": after["repository"], "branch": after["branch"], "tags_regex": after["tags_regex"]}

    async def show_all(self, uow: UnitOfWork, workspace: Workspace) -> None:
        """Have it shown everything that its repository has, as when it began to follow."""
        repository = await uow.run(lambda session: vcs.repository(session, workspace.vcs_repository_id or ""))
        if repository is not None:
            show_all(uow, repository)


def _unlinked(uow: UnitOfWork, workspace: Workspace) -> dict[str, object]:
    if workspace.vcs_link is None:
        return {}
    before = _audited(workspace)
    _settle(uow, workspace, "the workspace follows no repository any more", moved=True)
    workspace.vcs_repository_id = workspace.vcs_link = workspace.vcs_branch = workspace.vcs_tags_regex = workspace.vcs_linked_by_id = None
    return {"repository": None, "former_repository": before["repository"]}


def _settle(uow: UnitOfWork, workspace: Workspace, why: str, *, moved: bool) -> None:
    """Take away what was wrong with what it followed; what is wrong with the repository itself only when that is another one."""
    for code in [each["code"] for each in workspace.conditions if each["code"].startswith("vcs-")]:
        if moved or code not in set(TroubleKind):
            settle(uow, workspace, code, why)


def _audited(workspace: Workspace) -> dict[str, object]:
    link = workspace.vcs_link or {}
    return {
        "connection": link.get("connection-id"),
        "repository": link.get("identifier"),
        "branch": workspace.vcs_branch,
        "tags_regex": workspace.vcs_tags_regex,
    }
