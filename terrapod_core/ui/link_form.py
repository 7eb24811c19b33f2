"""The form by which a workspace follows a repository, and the document that the API would be sent for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from terrapod_core.errors import TerrapodError
from terrapod_core.vcs.names import TOKEN, named
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.models import ForkPullRequests

EVERYTHING, DIRECTORIES, PATTERNS = "everything", "directories", "patterns"
FORKS: Final = {
    ForkPullRequests.IGNORE.value: "are ignored",
    ForkPullRequests.NO_SECRETS.value: "are planned at once, without secrets and without the state",
    ForkPullRequests.APPROVAL.value: "wait until somebody with write approves the commit",
}
BOXES: Final = ("queue-all-runs", "speculative-enabled", "vcs-sparse-fetch")

_FIELDS: Final = {
    "vcs-repo": "repository",
    "vcs-repo/identifier": "repository",
    "vcs-repo/oauth-token-id": "connection",
    "vcs-repo/branch": "branch",
    "vcs-repo/tags-regex": "tags-regex",
    "trigger-prefixes": "triggers",
    "trigger-patterns": "triggers",
    "working-directory": "working-directory",
    "fork-pull-requests": "fork-pull-requests",
}
"""Where a document's attributes stand in the form."""


def typed_of(workspace: Workspace) -> dict[str, str]:
    """The fields as the workspace has them."""
    prefixes, patterns = workspace.trigger_prefixes, workspace.trigger_patterns
    when = PATTERNS if patterns else DIRECTORIES
    boxes = (workspace.queue_all_runs, workspace.speculative_enabled, workspace.vcs_sparse_fetch)
    return {
        "branch": workspace.vcs_branch or "",
        "tags-regex": workspace.vcs_tags_regex or "",
        "working-directory": workspace.working_directory or "",
        "when": when if workspace.file_triggers_enabled else EVERYTHING,
        "triggers": "\n".join(patterns or prefixes),
        "fork-pull-requests": workspace.fork_pull_requests,
        **{name: "yes" for name, is_set in zip(BOXES, boxes, strict=True) if is_set},
    }


def document(connection_id: str, fields: Mapping[str, str]) -> UpdateWorkspace:
    """What the form says."""
    when, lines = fields.get("when", EVERYTHING), fields.get("triggers", "").split("\n")
    paths = [line.strip() for line in lines if line.strip()]
    return UpdateWorkspace(
        vcs_repo={
            "oauth-token-id": named(TOKEN, connection_id) if connection_id else None,
            "identifier": fields.get("repository", "").strip() or None,
            "branch": fields.get("branch", "").strip(),
            "tags-regex": fields.get("tags-regex", "").strip(),
        },
        working_directory=fields.get("working-directory", "").strip(),
        file_triggers_enabled=when != EVERYTHING,
        trigger_prefixes=paths if when == DIRECTORIES else [],
        trigger_patterns=paths if when == PATTERNS else [],
        fork_pull_requests=fields.get("fork-pull-requests") or ForkPullRequests.IGNORE.value,
        queue_all_runs="queue-all-runs" in fields,
        speculative_enabled="speculative-enabled" in fields,
        vcs_sparse_fetch="vcs-sparse-fetch" in fields,
    )


def problems(error: TerrapodError) -> dict[str, str]:
    """What is wrong, by field; what is about none of them stands under the empty name."""
    told: dict[str, str] = {}
    for problem in error.problems:
        name = _FIELDS.get((problem.pointer or "").removeprefix("/data/attributes/"), "")
        told[name] = f"{told[name]}; {problem.detail}" if name in told else problem.detail
    return told


def in_words(workspace: Workspace) -> list[tuple[str, str]]:
    """The settings of a workspace that are about its repository, as people read them."""
    paths = workspace.trigger_patterns or [*workspace.trigger_prefixes, *filter(None, [workspace.working_directory])]
    if workspace.vcs_tags_regex:
        runs = "for each new tag that matches"
    elif workspace.file_triggers_enabled and paths:
        what = "that fits" if workspace.trigger_patterns else "in"
        runs = f"when something changes {what} {', '.join(path or 'the root' for path in paths)}"
    else:
        runs = "for every push"
    told = [("Runs", runs), ("Working directory", workspace.working_directory or "the root")]
    if not workspace.vcs_tags_regex:
        told.append(("Pull requests", "are planned" if workspace.speculative_enabled else "are not planned"))
        if workspace.speculative_enabled:
            told.append(("Those of forks", FORKS.get(workspace.fork_pull_requests, workspace.fork_pull_requests)))
    if workspace.vcs_sparse_fetch:
        told.append(("Fetched", "the working directory and the trigger directories, with the files at the root"))
    return told
