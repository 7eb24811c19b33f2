"""What the pages need of rooms below, as small doors that `app` fills, and what comes through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.web.streams import Source


class RunAction(StrEnum):
    """What somebody may do with a run."""

    CONFIRM = "confirm"
    DISCARD = "discard"
    CANCEL = "cancel"
    FORCE_CANCEL = "force-cancel"
    FORCE_EXECUTE = "force-execute"
    RETRY = "retry"
    COMMENT = "comment"


@dataclass(frozen=True)
class Happening:
    """One thing that happened to a run."""

    at: datetime
    what: str
    who: str | None = None
    """`None` for what the server did, and for users who are gone."""
    said: str | None = None
    """What somebody said with it."""


@dataclass(frozen=True)
class PhaseView:
    """The plan or the apply of a run."""

    id: str
    kind: str
    """`plan` or `apply`."""
    status: str
    log_size: int
    """Bytes so far."""
    is_final: bool
    started_at: datetime | None = None
    finished_at: datetime | None = None
    additions: int = 0
    changes: int = 0
    destructions: int = 0
    imports: int = 0

    @property
    def has_log(self) -> bool:
        """Whether anything was written."""
        return self.log_size > 0

    @property
    def seconds(self) -> int | None:
        """How long it took; `None` before it ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0, round((self.finished_at - self.started_at).total_seconds()))


@dataclass(frozen=True)
class Origin:
    """The commit that a run is of."""

    repository: str
    sha: str
    commit_url: str | None
    branch: str | None
    """Of a pull request the branch that it would merge."""
    tag: str | None
    pull_number: int | None
    pull_title: str | None
    pull_url: str | None
    author: str | None
    author_url: str | None


@dataclass(frozen=True)
class RunView:
    """A run as its page shows it."""

    id: str
    organization: str
    workspace: str
    status: str
    """The word of the wire: `plan_queued`."""
    message: str
    created_at: datetime
    created_by: str | None
    is_final: bool
    phases: tuple[PhaseView, ...]
    """Those that exist and can still happen, the plan first."""
    actions: frozenset[RunAction]
    """What its state and the one who looks allow."""
    waiting_for: str | None = None
    """Why nothing happens at the moment, as a sentence."""
    failure: str | None = None
    """Why it errored, when no log says it."""
    has_changes: bool = False
    is_destroy: bool = False
    plan_only: bool = False
    engine: str | None = None
    """`terraform 1.11.4`, once known."""
    waiting_since: datetime | None = None
    force_from: datetime | None = None
    """When the one who looks can cancel it by force, while that lies ahead."""
    force_in: int = 0
    """The same in seconds from now."""
    displaces: str | None = None
    """The run that is discarded when this one is executed by force."""
    untrusted: str | None = None
    """Why it can never be applied, as a sentence; `None` when somebody vouches for what it executes."""
    origin: Origin | None = None
    """`None` for a configuration that was uploaded."""
    of_fork: bool = False
    """Whether it is planned without secrets and without the state, for it is a fork's and nobody approved it."""
    history: tuple[Happening, ...] = ()
    """What happened to it, oldest first."""

    @property
    def path(self) -> str:
        """Of its page: the one that terraform prints."""
        return f"/app/{self.organization}/{self.workspace}/runs/{self.id}"


class RunPages(Protocol):
    """Runs, for the page of one. Every method raises `NotFound` for what the actor may not see."""

    async def show(self, actor: Actor, run_id: str) -> RunView:
        """The run, with what this actor may do with it."""
        ...

    async def log(self, actor: Actor, phase_id: str, offset: int, limit: int) -> bytes:
        """At most `limit` bytes of a phase's log from `offset`; empty past what there is so far."""
        ...

    async def act(self, actor: Actor, run_id: str, action: RunAction, comment: str | None) -> str:
        """Do it, and say which run to look at then; raises `Conflict` when the run has moved on, `Forbidden` when the actor may not."""
        ...


@dataclass(frozen=True)
class WorkspaceRow:
    """One line of the list of workspaces."""

    name: str
    organization: str
    project: str | None = None
    updated_at: datetime | None = None
    resources: int | None = None
    locked: bool = False
    run_id: str | None = None
    """The current run."""
    run_status: str | None = None
    conditions: Sequence[Mapping[str, Any]] = ()
    """What is wrong with it: `code`, `severity`, `detail` and `remedy` of each."""


class WorkspacePages(Protocol):
    """Workspaces, for the first page."""

    async def list(self, actor: Actor, page: PageRequest, search: str | None) -> Page[WorkspaceRow]:
        """Those the actor may see, by name; `search` is part of a name."""
        ...

    async def ids(self, actor: Actor, names: Sequence[str]) -> Sequence[str]:
        """The ids of workspaces, by name; raises `NotFound` for one that is not there or not for this actor."""
        ...


class LivePages(Protocol):
    """What pages hear while they are open. Every method raises `NotFound` for what the actor may not see."""

    async def run_page(self, actor: Actor, run_id: str, offsets: Mapping[str, int]) -> Sequence[Source]:
        """What happens in the run's workspace, and those logs of the run that `offsets` names, each from its offset in bytes."""
        ...

    async def organization(self, actor: Actor, name: str) -> Source:
        """What happens to everything that the actor may read."""
        ...
