"""What a module shows of the repository that it follows, as go-tfe's clients know it, and what is wrong there."""

from __future__ import annotations

from typing import Any, Final

from terrapod_core.jsonapi import ABSENT, Rendering
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.modules.models import Module, TagStatus
from terrapod_core.vcs.links import shown

MOST: Final = 50
"""Problems of tags that are shown, those of the highest numbers."""


def vcs_repo(module: Module, rendering: Rendering) -> Any:
    """`vcs-repo`; not there without one, which pytfe takes no null for."""
    link = module.vcs_link
    if link is None:
        return ABSENT
    of_tags = {"tags": True, "tag-prefix": link["tag-prefix"], "source-directory": link["source-directory"]}
    return {**shown(link, rendering.base_url), "branch": "", **of_tags}


def status(module: Module) -> str:
    """go-tfe's word for how far a module is."""
    if any(each.status is VersionStatus.PUBLISHED for each in module.versions):
        return "setup_complete"
    if module.versions or module.vcs_link is None or module.vcs_looked_at is None or module.unpublished is None:
        return "pending"
    if not module.unpublished:
        return "no_version_tags"
    return "setup_failed" if all(each.status == TagStatus.REFUSED for each in module.unpublished) else "pending"


def tag_statuses(module: Module) -> list[dict[str, str | None]]:
    """Tags that are no versions, or not yet, as `version-statuses` has them; for those who publish."""
    there = {each.version for each in module.versions}
    words = {TagStatus.PENDING.value: "pending", TagStatus.REFUSED.value: "reg_ingress_failed"}
    return [
        {"version": each.version, "status": words[each.status], "error": each.reason}
        for each in module.unpublished or ()
        if each.status in words and each.version not in there
    ]


def problems(module: Module) -> list[dict[str, str | None]]:
    """What somebody has to look at, in sentences; for those who publish."""
    if module.unpublished is None:
        return []
    found: list[dict[str, str | None]] = []
    if module.vcs_trouble is not None:
        found.append({**module.vcs_trouble, "tag": None})
    for each in module.unpublished[:MOST]:
        since = each.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        if each.status == TagStatus.REFUSED:
            detail = f"{each.reason or 'it was refused'}. It is not tried again: push another tag"
            found.append({"code": "tag-refused", "detail": detail, "since": since, "tag": each.tag})
        elif each.status == TagStatus.PENDING and each.reason is not None:
            found.append({"code": "tag-waiting", "detail": f"{each.reason}; it is tried again", "since": since, "tag": each.tag})
        if each.moved_to is not None:
            detail = f"it named commit {each.sha[:12]} and now names {each.moved_to[:12]}; a version never changes: push another tag"
            found.append({"code": "tag-moved", "detail": detail, "since": since, "tag": each.tag})
    return found
