"""What commits and pull requests are told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus
from terrapod_core.plugin import CommitState
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import RunStatus
from terrapod_core.workspaces import Workspace

LONGEST: Final = 140
MOST_ROWS: Final = 100

_WAITING: Final = {
    RunStatus.PENDING: (CommitState.PENDING, "Queued"),
    RunStatus.PLAN_QUEUED: (CommitState.PENDING, "Queued"),
    RunStatus.PLANNING: (CommitState.RUNNING, "Planning"),
    RunStatus.CONFIRMED: (CommitState.RUNNING, "Applying"),
    RunStatus.APPLY_QUEUED: (CommitState.RUNNING, "Applying"),
    RunStatus.APPLYING: (CommitState.RUNNING, "Applying"),
    RunStatus.DISCARDED: (CommitState.CANCELED, "Discarded"),
    RunStatus.CANCELED: (CommitState.CANCELED, "Cancelled"),
}


@dataclass(frozen=True)
class Word:
    """What a commit is told of one workspace."""

    state: CommitState
    text: str

    @property
    def told(self) -> str:
        """As it is remembered, so that nothing is told twice."""
        return f"{self.state.value} {self.text}"


def word_of(change: Change, run: Run | None, plan: Phase | None) -> Word | None:
    """What the commit is to be told now; `None` for nothing, or nothing more: a head that was overtaken keeps what it was told."""
    overtaken = change.status == ChangeStatus.SUPERSEDED or (not change.open and run is not None and run.status == RunStatus.CANCELED)
    if overtaken:
        return None
    found = _of_change(change) if run is None else _of_run(run, plan)
    return Word(found[0], found[1] if len(found[1]) <= LONGEST else found[1][: LONGEST - 1] + "…") if found is not None else None


def _of_change(change: Change) -> tuple[CommitState, str] | None:
    if change.status == ChangeStatus.WAITING:
        return CommitState.PENDING, "Waits for approval: it comes from a fork"
    if change.status == ChangeStatus.REFUSED:
        return CommitState.ERROR, change.reason or "Refused"
    if change.status == ChangeStatus.SKIPPED and change.kind == ChangeKind.PULL:
        # So that a check that must have passed does not wait for ever.
        return CommitState.SUCCESS, "Not concerned: " + (change.reason or "no run is wanted")
    return None


def _of_run(run: Run, plan: Phase | None) -> tuple[CommitState, str]:
    status = RunStatus(run.status)
    if status in _WAITING:
        return _WAITING[status]
    if status is RunStatus.ERRORED:
        return CommitState.FAILURE, f"Failed: {run.failure}" if run.failure else "Failed"
    counts = counts_of(plan)
    if status in (RunStatus.PLANNED, RunStatus.PLANNED_AND_SAVED):
        return CommitState.PENDING, f"Waits to be confirmed: {counts}"
    if status is RunStatus.APPLIED:
        return CommitState.SUCCESS, f"Applied: {counts}"
    return CommitState.SUCCESS, f"Planned: {counts}" if run.has_changes else "Planned: no changes"


def counts_of(plan: Phase | None) -> str:
    """A plan in numbers."""
    if plan is None:
        return "no changes"
    imports = f"{plan.imports} to import, " if plan.imports else ""
    return f"{imports}{plan.additions} to add, {plan.changes} to change, {plan.destructions} to destroy"


def comment_of(rows: Sequence[tuple[Change, Workspace, Run | None, Phase | None]], base: str) -> str | None:
    """The comment below a pull request, in Markdown; `None` while there is nothing to tell."""
    lines = []
    for change, workspace, run, plan in rows[:MOST_ROWS]:
        word = word_of(change, run, plan)
        if word is None or (change.status == ChangeStatus.SKIPPED and change.is_fork):
            continue
        link = run_url(base, workspace, run) if run is not None else workspace_url(base, workspace)
        lines.append(f"| [{workspace.name}]({link}) | {_cell(word.text)} |")
    if not lines:
        return None
    more = [f"\n{len(rows) - MOST_ROWS} more workspaces are not listed."] if len(rows) > MOST_ROWS else []
    return "\n".join([f"**Terrapod** for `{rows[0][0].sha[:12]}`", "", "| Workspace | Plan |", "|---|---|", *lines, *more]) + "\n"


def _cell(text: str) -> str:
    """Text that stays in its cell and is no markup."""
    for special in "\\`*_[]<>|#@":
        text = text.replace(special, f"\\{special}" if special not in "<>@" else {"<": "&lt;", ">": "&gt;", "@": "&#64;"}[special])
    return " ".join(text.split())


def run_url(base: str, workspace: Workspace, run: Run) -> str:
    """The run's page."""
    return f"{base}/app/default/{workspace.name}/runs/{run.id}"


def workspace_url(base: str, workspace: Workspace) -> str:
    """The workspace's page."""
    return f"{base}/app/default/workspaces/{workspace.name}"
