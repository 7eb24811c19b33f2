"""What a change is called: in ingress attributes, in the message of its run."""

from __future__ import annotations

from typing import Any, Final

from terrapod_core.ingress.models import Change, ChangeKind
from terrapod_core.plugin import Commit
from terrapod_core.vcs.models import Repository

LONGEST_MESSAGE: Final = 4096


def ingress_of(change: Change, commit: Commit, repository: Repository) -> dict[str, Any]:
    """The ingress attributes of a change."""
    pull = change.kind == ChangeKind.PULL
    about = change.about
    branch = about.get("branch") if pull else change.ref if change.kind == ChangeKind.PUSH else ""
    return {
        "branch": branch,
        "clone_url": repository.clone_url,
        "commit_message": commit.message[:LONGEST_MESSAGE],
        "commit_sha": change.sha,
        "commit_url": commit.url or None,
        "compare_url": None,
        "identifier": repository.path,
        "is_pull_request": pull,
        "on_default_branch": change.kind == ChangeKind.PUSH and change.ref == repository.default_branch,
        "pull_request_number": change.number,
        "pull_request_url": about.get("url") if pull else None,
        "pull_request_title": about.get("title") if pull else None,
        "pull_request_body": about.get("body") if pull else None,
        "tag": change.ref if change.kind == ChangeKind.TAG else None,
        "sender_username": (about.get("login") if pull else commit.author_login) or None,
        "sender_avatar_url": (about.get("avatar_url") if pull else commit.author_avatar_url) or None,
        "sender_html_url": (about.get("login_url") if pull else commit.author_url) or None,
        "author_name": commit.author_name or None,
        "connection_id": repository.connection_id,
    }


def message_of(change: Change, ingress: dict[str, Any]) -> str:
    """What its run is called."""
    if change.kind == ChangeKind.PULL:
        return f"#{change.number} {change.about.get('title') or ''}".strip()[:512]
    first = str(ingress.get("commit_message") or "").strip().split("\n")[0][:512]
    if change.kind == ChangeKind.TAG:
        return f"Tag {change.ref}: {first}" if first else f"Tag {change.ref}"
    return first or f"Commit {change.sha[:12]}"
