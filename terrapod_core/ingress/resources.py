"""What changes look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.jsonapi import Resource, attr, to_one

CHANGE: Final = Resource(
    type="vcs-changes",
    attributes=[
        attr("kind"),
        attr("ref"),
        attr("commit_sha", from_=lambda change: change.sha),
        attr("status"),
        attr("reason"),
        attr("is_fork"),
        attr("pull_request_number", from_=lambda change: change.number),
        attr("pull_request_title", from_=lambda change: change.about.get("title")),
        attr("pull_request_url", from_=lambda change: change.about.get("url")),
        attr("open"),
        attr("approved_at"),
        attr("attempts"),
        attr("next_try_at"),
        attr("created_at"),
        attr("updated_at"),
    ],
    relationships=[
        to_one("workspace", "workspaces", related="/api/v2/workspaces/{workspace_id}"),
        to_one("configuration_version", "configuration-versions"),
        to_one("run", "runs"),
        to_one("approved_by", "users"),
    ],
    links={"self": "/api/v2/vcs-changes/{id}"},
)
