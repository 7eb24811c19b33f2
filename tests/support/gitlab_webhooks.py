"""Payloads of GitLab's webhooks, as docs.gitlab.com has them ("Webhook events")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EVENTS: Final = {"push": "Push Hook", "tag_push": "Tag Push Hook", "merge_request": "Merge Request Hook", "note": "Note Hook"}
"""What the header says of a payload's kind."""

NO_COMMIT: Final = "0" * 40


def pushed(number: int, project: Mapping[str, Any], ref: str, sha: str) -> dict[str, Any]:
    """A branch or tag was made, moved or (without a SHA) deleted."""
    kind = "tag_push" if ref.startswith("refs/tags/") else "push"
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": NO_COMMIT,
        "after": sha or NO_COMMIT,
        "ref": ref,
        "checkout_sha": sha or None,
        "user_username": "alice",
        "project_id": number,
        "project": project,
        "commits": [],
        "total_commits_count": 0,
    }


def merge_requested(project: Mapping[str, Any], merge_request: Mapping[str, Any], action: str) -> dict[str, Any]:
    """A merge request was opened, changed (`update`) or closed."""
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": merge_request["author"],
        "project": project,
        "object_attributes": {**merge_request, "action": action, "last_commit": {"id": merge_request["sha"]}},
    }
