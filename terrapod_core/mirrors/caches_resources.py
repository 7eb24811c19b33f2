"""What packages in the caches, and the indexes of sources, look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.jsonapi import Resource, attr

_PACKAGE: Final = (
    "source",
    "version",
    "platform",
    "filename",
    "sha256",
    "h1",
    "size",
    "cached",
    "signed",
    "key_id",
    "uses",
    "misses",
    "fetched_at",
    "last_used_at",
)

CACHED_PROVIDER: Final = Resource(type="cached-providers", attributes=[attr(name) for name in _PACKAGE])
CACHED_MODULE: Final = Resource(type="cached-modules", attributes=[attr(name) for name in _PACKAGE if name not in ("platform", "h1")])

MIRROR_SOURCE: Final = Resource(
    type="mirror-sources",
    attributes=[
        attr("source"),
        attr("version_count", from_=lambda asked: asked.versions),
        attr("changed_at"),
        attr("checked_at"),
        attr("missing"),
        attr("failed_at"),
        attr("failure"),
    ],
)
