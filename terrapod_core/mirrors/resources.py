"""What is in the caches, as documents have it."""

from __future__ import annotations

from typing import Final

from terrapod_core.jsonapi import Resource, attr
from terrapod_core.mirrors.keys import id_of

ENGINE: Final = Resource(
    type="binary-cache-engines",
    id_from=lambda kept: kept.package.id,
    attributes=[
        attr("tool", from_=lambda kept: str(kept.source)),
        attr("version", from_=lambda kept: kept.release.version),
        attr("os", from_=lambda kept: kept.package.os),
        attr("arch", from_=lambda kept: kept.package.arch),
        attr("size", from_=lambda kept: kept.package.size),
        attr("sha256", from_=lambda kept: kept.package.sha256),
        attr("key_id", from_=lambda kept: kept.release.key_id),
        attr("cached_at", from_=lambda kept: kept.package.fetched_at),
        attr("last_used_at", from_=lambda kept: kept.package.last_used_at),
        attr("downloads", from_=lambda kept: kept.package.uses),
    ],
)

WARMING: Final = Resource(
    type="binary-cache-warmings",
    id_from=lambda warming: warming.row.id,
    attributes=[
        attr("tool", from_=lambda warming: str(warming.kept.source)),
        attr("version", from_=lambda warming: warming.kept.release.version),
        attr("os", from_=lambda warming: warming.kept.package.os),
        attr("arch", from_=lambda warming: warming.kept.package.arch),
        attr("status", from_=lambda warming: warming.row.status),
        attr("received", from_=lambda warming: warming.row.received),
        attr("message", from_=lambda warming: warming.row.message),
        attr("created_at", from_=lambda warming: warming.row.created_at),
        attr("finished_at", from_=lambda warming: warming.row.finished_at),
    ],
    links={"self": "/api/v2/admin/binary-cache/warm/{id}"},
)

MIRROR_KEY: Final = Resource(
    type="mirror-keys",
    id_from=lambda key: id_of(key.scope, key.fingerprint),
    attributes=[
        attr("scope", writable=True),
        attr("fingerprint", writable=True),
        attr("key_id"),
        attr("ascii_armor"),
        attr("pinned_at"),
        attr("pinned_by"),
    ],
)

OFFERED_KEY: Final = Resource(
    type="mirror-key-offers",
    attributes=[
        attr("scope"),
        attr("fingerprint", from_=lambda offered: offered.key.fingerprint),
        attr("key_id", from_=lambda offered: offered.key.key_id),
        attr("user", from_=lambda offered: offered.key.user),
        attr("ascii_armor", from_=lambda offered: offered.key.armor),
        attr("expires_at", from_=lambda offered: offered.key.expires_at),
        attr("is_pinned", from_=lambda offered: offered.pinned),
    ],
)
