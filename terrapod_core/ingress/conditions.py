"""What is wrong with a workspace's repository, as a health condition: what happened, and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from terrapod_core.ingress.models import Change
from terrapod_core.vcs.opening import Trouble, TroubleKind
from terrapod_core.vcs.packing.order import Notes
from terrapod_core.workspaces.conditions import Condition, Severity
from terrapod_core.workspaces.linking import NOBODY_ANSWERS

OF_REPOSITORY: Final = tuple(kind.value for kind in TroubleKind)
BRANCH: Final = "vcs-branch-missing"
CONFIGURATION: Final = "vcs-no-configuration"
FETCH: Final = "vcs-fetch-failing"
INCOMPLETE: Final = "vcs-incomplete"
TAG: Final = "vcs-tag-moved"
NOBODY: Final = NOBODY_ANSWERS
RUN: Final = "vcs-run-refused"
CONNECTION: Final = "vcs-connection-gone"
ALL: Final = (*OF_REPOSITORY, BRANCH, CONFIGURATION, FETCH, INCOMPLETE, TAG, NOBODY, RUN, CONNECTION)
"""What goes when a workspace follows another repository, or none."""

_REMEDIES: Final = {
    TroubleKind.DENIED: "A platform admin gives the VCS connection working credentials (or the right that is missing) and tests it; "
    "what was pushed meanwhile is found then.",
    TroubleKind.MISSING: "See that the repository exists under this name and that the connection's account may read it, or let the "
    "workspace follow another one.",
    TroubleKind.FAILED: "Nothing, if the forge is only down: it is asked again and again, and nothing that was pushed is lost. Else a "
    "platform admin tests the VCS connection.",
    TroubleKind.GONE: "An operator installs the VCS plugin again, or a platform admin makes another connection.",
}


def of_repository(path: str, trouble: Trouble, now: datetime) -> Condition:
    """The repository cannot be looked at."""
    return Condition(
        code=trouble.kind.value,
        severity=Severity.ERROR,
        detail=f"the repository {path} cannot be looked at: {trouble.text}",
        remedy=_REMEDIES[trouble.kind],
        since=now,
    )


def branch_missing(path: str, branch: str, now: datetime) -> Condition:
    """The branch that is followed is not there, or not any more."""
    return Condition(
        code=BRANCH,
        severity=Severity.ERROR,
        detail=f"the repository {path} has no branch {branch}" if branch else f"the repository {path} has no commits yet",
        remedy="Push the branch, or let the workspace follow another one (vcs-branch). Its configuration stays as it is until then.",
        since=now,
    )


def refused(change: Change, why: str, now: datetime) -> Condition:
    """A commit's files can be no configuration."""
    return Condition(
        code=CONFIGURATION,
        severity=Severity.ERROR,
        detail=f"commit {change.sha[:12]} ({change.ref}) became no configuration: {why}",
        remedy="Push a commit in which that is mended, or change the workspace's working directory; the next one is tried by itself. "
        "Of a repository that is too large, vcs-sparse-fetch keeps a part.",
        since=now,
    )


def fetch_failing(change: Change, why: str, now: datetime) -> Condition:
    """A commit's files cannot be fetched."""
    return Condition(
        code=FETCH,
        severity=Severity.WARNING,
        detail=f"the files of commit {change.sha[:12]} ({change.ref}) cannot be fetched: {why}",
        remedy="It is tried again and again. An archive that is larger than the server takes from this forge, or takes longer, needs a "
        "higher limit (max_archive_bytes of [vcs.github] or [vcs.gitlab], max_bytes of [vcs.git], vcs.fetch_seconds).",
        since=now,
    )


def incomplete(change: Change, notes: Notes, now: datetime) -> Condition | None:
    """Something of a commit is not as people may expect it; `None` when nothing is."""
    odd = []
    if notes.links_out:
        odd.append(f"symbolic links lead out of the repository and were left out ({_some(notes.links_out)})")
    if notes.lfs:
        odd.append(f"files are pointers of Git LFS, whose contents are not fetched ({_some(notes.lfs)})")
    if notes.submodules:
        odd.append("submodules are not fetched: their directories are empty")
    if notes.odd:
        odd.append(f"entries are neither files, directories nor links, and were left out ({_some(notes.odd)})")
    if not odd:
        return None
    return Condition(
        code=INCOMPLETE,
        severity=Severity.WARNING,
        detail=f"of commit {change.sha[:12]} {'; '.join(odd)}",
        remedy="If terraform needs them, commit the files themselves, or take them from a module registry. Else acknowledge this.",
        since=now,
    )


def tag_moved(tag: str, before: str, after: str, now: datetime) -> Condition:
    """A tag names another commit than it did."""
    return Condition(
        code=TAG,
        severity=Severity.WARNING,
        detail=f"the tag {tag} was moved from {before[:12]} to {after[:12]}; nothing was run for that",
        remedy="Push a new tag for the new commit, and acknowledge this.",
        since=now,
    )


def nobody(now: datetime) -> Condition:
    """Whoever connected the workspace is gone, so that nobody's rights are there for its runs."""
    return Condition(
        code=NOBODY,
        severity=Severity.ERROR,
        detail="runs of this repository have the rights of the user who connected it, and that account is disabled or gone",
        remedy="An admin of the workspace connects the repository again (the same one will do); pushes are kept meanwhile.",
        since=now,
    )


def run_refused(change: Change, why: str, now: datetime) -> Condition:
    """A commit's configuration is here, and its run was refused."""
    return Condition(
        code=RUN,
        severity=Severity.ERROR,
        detail=f"commit {change.sha[:12]} ({change.ref}) started no run: {why}",
        remedy="See to the reason, then start a run by hand: the configuration is here. An admin may connect the repository again, so that "
        "its runs have other rights.",
        since=now,
    )


def connection_gone(now: datetime) -> Condition:
    """The connection was deleted."""
    return Condition(
        code=CONNECTION,
        severity=Severity.WARNING,
        detail="the VCS connection of this workspace was deleted, so that it follows no repository any more",
        remedy="Connect it to a repository again, or acknowledge this: its configuration stays as it is.",
        since=now,
    )


def _some(paths: list[str]) -> str:
    return ", ".join(path[:80] for path in paths[:3]) + (", …" if len(paths) > 3 else "")
