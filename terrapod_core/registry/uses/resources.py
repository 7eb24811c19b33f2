"""What consumers and downloads look like on the wire."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from terrapod_core.jsonapi import Rendering, Resource, attr, to_one
from terrapod_core.registry.uses.queries import Consumption


def _source(consumption: Consumption, rendering: Rendering) -> str:
    """As a configuration names it, which may know this server by another name too."""
    return f"{urlsplit(rendering.base_url).netloc}/{consumption.address}"


def _consumers(kind: str) -> Resource:
    return Resource(
        type=f"registry-{kind}-consumers",
        attributes=[attr("source", from_=_source), attr("version"), attr("plan_only"), attr("last_used_at")],
        relationships=[
            to_one("workspace", "workspaces", related="/api/v2/workspaces/{workspace_id}"),
            to_one("run", "runs", related="/api/v2/runs/{run_id}"),
        ],
    )


def _downloads(kind: str) -> Resource:
    return Resource(
        type=f"registry-{kind}-downloads",
        attributes=[attr("version"), attr("by"), attr("count"), attr("last_downloaded_at"), attr("token_description")],
        relationships=[to_one("workspace", "workspaces"), to_one("user", "users")],
    )


MODULE_CONSUMER: Final = _consumers("module")
PROVIDER_CONSUMER: Final = _consumers("provider")
MODULE_DOWNLOAD: Final = _downloads("module")
PROVIDER_DOWNLOAD: Final = _downloads("provider")
