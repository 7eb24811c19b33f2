"""What an audit entry looks like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.jsonapi import Resource, attr

AUDIT_ENTRY: Final = Resource(
    type="audit-entries",
    attributes=[
        attr("created_at", from_=lambda entry: entry.at),
        attr("actor_kind"),
        attr("actor_id"),
        attr("actor_name"),
        attr("action"),
        attr("resource_type"),
        attr("resource_id"),
        attr("outcome"),
        attr("detail"),
        attr("request_id"),
        attr("address"),
        attr("seal_no"),
        attr("hash"),
    ],
)
