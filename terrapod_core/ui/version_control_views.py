"""What the page about a workspace's repository shows, and the form by which it follows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from terrapod_core.jsonapi import Page


class RepositoryAction(StrEnum):
    """What somebody may do on the page."""

    LOOK = "look"
    DISCONNECT = "disconnect"
    APPROVE = "approve"


@dataclass(frozen=True)
class ChangeLine:
    """One commit that the workspace had to deal with."""

    id: str
    kind: str
    """`push`, `tag` or `pull`."""
    ref: str
    """The branch, the tag, or the number of the pull request."""
    sha: str
    commit_url: str | None
    status: str
    reason: str | None
    created_at: datetime
    title: str | None
    """Of a pull request."""
    pull_url: str | None
    author: str | None
    is_fork: bool
    approved_by: str | None
    run_id: str | None
    run_status: str | None
    can_be_approved: bool
    """Whether it waits for that, and the one who looks may."""


@dataclass(frozen=True)
class RepositoryView:
    """The repository that the workspace follows."""

    path: str
    url: str | None
    connection_id: str
    connection_name: str | None
    """`None` when the one who looks may not know of it."""
    followed: str
    """The branch, or the expression for tags."""
    by_tags: bool
    is_default_branch: bool
    """Whether it is followed because the forge calls it the default one."""
    sha: str | None
    """The newest commit of the branch that was seen."""
    done_sha: str | None
    """The newest that was dealt with."""
    polled_at: datetime | None
    next_poll_at: datetime | None
    trouble: str | None
    linked_by: str | None
    """Whose rights its runs have."""
    settings: Sequence[tuple[str, str]]
    """The others, in words."""


@dataclass(frozen=True)
class VersionControlView:
    """The page."""

    id: str
    organization: str
    name: str
    repository: RepositoryView | None
    conditions: Sequence[Mapping[str, Any]]
    """Those that are about the repository."""
    changes: Page[ChangeLine]
    actions: frozenset[RepositoryAction]
    may_connect: bool
    acknowledgeable: frozenset[str]
    """Codes of the conditions that the one who looks can acknowledge."""

    @property
    def path(self) -> str:
        """Of the workspace's page."""
        return f"/app/{self.organization}/workspaces/{self.name}"

    def run_path(self, run_id: str) -> str:
        """Of the page of one of its runs."""
        return f"/app/{self.organization}/{self.name}/runs/{run_id}"


@dataclass(frozen=True)
class Choice:
    """A connection, a repository or a branch that can be chosen."""

    value: str
    words: str = ""


@dataclass(frozen=True)
class LinkForm:
    """The form by which a workspace begins to follow a repository, or follows it otherwise: one step a page."""

    organization: str
    workspace: str
    is_linked: bool
    connections: Sequence[Choice]
    """Those that the one who looks may use, and the one that is in use."""
    connection: str | None = None
    repositories: Sequence[Choice] = ()
    """Some of those that can be chosen."""
    repository: str | None = None
    branches: Sequence[Choice] = ()
    tags: Sequence[Choice] = ()
    default_branch: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    """The fields of the last step."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by field; under the empty name what is wrong with all of it."""

    @property
    def path(self) -> str:
        """Of the workspace's page."""
        return f"/app/{self.organization}/workspaces/{self.workspace}"
