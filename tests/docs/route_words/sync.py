"""The Terraform Sync API of the plugin terrapod-sync."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import Section

_NAMED: Final = {
    "GET /workspaces/{}": "How a workspace stands, with what else is known of it.",
    "GET /workspaces/{}/history": "Its syncs, newest first; takes `limit` and `before`.",
    "POST /workspaces/{}/sync": "Sync it now: 202 with the run's id.",
}

SYNC: Final = Section(
    "Terraform Sync API",
    "/v1/terraform/sync",
    "Needs an API token: `Authorization: Bearer …`. Plain JSON, 100 requests a minute with one token; [the whole of it](sync-api.md).",
    {
        "GET /workspaces": "How every workspace stands that the caller may read.",
        **{key.format("{workspace_name}"): words for key, words in _NAMED.items()},
        **{key.format("{organization}/{workspace_name}"): "The same by its full name, `default/{workspace_name}`." for key in _NAMED},
        "GET /config": "The configuration, with the entries of workspaces that the caller may read.",
        "PUT /config": "Replace it, whole or not at all.",
        "GET /conflicts": "What keeps syncs from going on, newest first; takes `status`, `limit` and `before`.",
        "GET /conflicts/{conflict_id}": "One conflict.",
        "POST /conflicts/{conflict_id}/resolve": "Decide what becomes of it.",
    },
)
