"""What variables look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.jsonapi import Resource, attr, to_one

VARIABLE: Final = Resource(
    type="vars",
    attributes=[
        attr("key", writable=True),
        attr("value", writable=True),
        attr("sensitive", writable=True),
        attr("category", writable=True),
        attr("hcl", writable=True),
        attr("description", writable=True),
        attr("version_id"),
        attr("created_at"),
        attr("updated_at"),
    ],
    relationships=[
        to_one("configurable", "workspaces", id_from="workspace_id", related="/api/v2/workspaces/{workspace_id}"),
        to_one("workspace", "workspaces", related="/api/v2/workspaces/{workspace_id}"),
    ],
    links={"self": "/api/v2/workspaces/{workspace_id}/vars/{id}"},
)
