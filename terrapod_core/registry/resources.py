"""What items and versions of every kind have on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from terrapod_core.jsonapi import Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.registry.lifecycle import DEPRECATED, REVOKED

BELONGS: Final = (
    to_one("organization", "organizations", id_from=lambda _item: NAME, related=f"/api/v2/organizations/{NAME}"),
    to_one("owner", "users", writable=True),
    to_many("publishers", "users", ids_from="publishers", writable=True),
)
"""To whom an item belongs."""


def _marked(mark: Mapping[str, Any] | None, status: str, when: str) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {f"{when}-status": status, "reason": mark["reason"], "link": mark["link"], f"{when}-at": mark["at"]}


MARKS: Final = (
    attr("deprecation", writable=True, from_=lambda version: _marked(version.deprecation, DEPRECATED, "deprecated")),
    attr("revocation", writable=True, from_=lambda version: _marked(version.revocation, REVOKED, "revoked")),
)
"""What is said of a version: `null` while it is not deprecated, not revoked."""

TAG_BINDING: Final = Resource(
    type="tag-bindings", attributes=[attr("key"), attr("value", from_=lambda label: label.value or "")], id_from=lambda label: label.key
)
"""A label, as go-tfe has them."""
