"""What the page of one workspace shows and does, as a door that `app` fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.web.streams import Source


class WorkspaceAction(StrEnum):
    """What somebody may do on the page."""

    LOCK = "lock"
    UNLOCK = "unlock"
    FORCE_UNLOCK = "force-unlock"
    ACKNOWLEDGE = "acknowledge"
    PROMOTE = "promote"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True)
class RunLine:
    """One of the workspace's runs."""

    id: str
    status: str
    message: str
    created_at: datetime
    trusted: bool


@dataclass(frozen=True)
class AssessmentLine:
    """What the newest comparison of the state with the world found."""

    run_id: str
    at: datetime
    succeeded: bool
    drifted: int
    """How many resources were changed outside of terraform."""
    failed_checks: int
    """How many checks failed, or could not be made."""


@dataclass(frozen=True)
class Lock:
    """Who has the workspace, since when and why."""

    holder: str
    since: datetime | None
    reason: str | None
    run_id: str | None = None
    """The run, when it is one that has it."""


@dataclass(frozen=True)
class StateLine:
    """One state version."""

    id: str
    serial: int
    status: str
    created_at: datetime
    run_id: str | None
    marks: tuple[str, ...]
    """What is not ordinary about it: `current`, `rescued`, `intermediate`, `rollback`."""
    offered: frozenset[WorkspaceAction]
    """What the one who looks can do with it."""


@dataclass(frozen=True)
class OutputLine:
    """One output of the current state."""

    name: str
    value: str | None
    """As JSON; `None` for a sensitive one, and for one too large to be kept beside the state."""
    sensitive: bool


@dataclass(frozen=True)
class VariableLine:
    """One variable in force."""

    key: str
    category: str
    value: str | None
    """`None` for a sensitive one."""
    origin: str
    """Where the value comes from, in words."""


@dataclass(frozen=True)
class Paging:
    """Which page of each list is wanted."""

    runs: PageRequest
    resources: PageRequest
    states: PageRequest


@dataclass(frozen=True)
class WorkspaceView:
    """A workspace as its page shows it."""

    id: str
    organization: str
    name: str
    description: str | None
    execution_mode: str
    pool: str | None
    """What the pool that carries out its runs is called; `None` without one."""
    lock: Lock | None
    conditions: Sequence[Mapping[str, Any]]
    acknowledgeable: frozenset[str]
    """Codes of the conditions that the one who looks can acknowledge."""
    actions: frozenset[WorkspaceAction]
    may_roll_back: bool
    """Whether the one who looks may bring back an older state, when they hold the lock."""
    current_run: RunLine | None
    runs: Page[RunLine]
    resources: Page[str]
    """Addresses of what is in the current state."""
    outputs: Sequence[OutputLine]
    states: Page[StateLine]
    variables: Sequence[VariableLine]
    withheld: Sequence[str]
    """Sets of variables that would bear on the workspace, were it admitted."""
    repository: str | None = None
    """What the repository that it follows is called; `None` when it follows none."""
    assessment: AssessmentLine | None = None
    """`None` when it was not assessed yet."""

    @property
    def path(self) -> str:
        """Of its page."""
        return f"/app/{self.organization}/workspaces/{self.name}"

    def run_path(self, run_id: str) -> str:
        """Of the page of one of its runs."""
        return f"/app/{self.organization}/{self.name}/runs/{run_id}"


class WorkspacePage(Protocol):
    """One workspace. Every method raises `NotFound` for what the actor may not see."""

    async def show(self, actor: Actor, name: str, paging: Paging) -> WorkspaceView:
        """The workspace, with what this actor may do with it."""
        ...

    async def act(self, actor: Actor, name: str, action: WorkspaceAction, fields: Mapping[str, str]) -> None:
        """Do it; `fields` are those of the form. Raises what the service of the API raises."""
        ...

    async def stream(self, actor: Actor, name: str) -> Source:
        """What happens to the workspace and its runs."""
        ...
