"""Caches of engines, providers and modules of others."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, Section

CACHES: Final = Section(
    "Caches",
    API,
    "Needs a platform admin; looking, also a platform auditor. [Care for caches](../how-to/care-for-caches.md).",
    {
        "GET /admin/provider-cache": "Packages of providers that are known, whether their bytes are here or not; `filter[host]`, "
        "and `q` or `search[source]` for part of an address or version.",
        "DELETE /admin/provider-cache/{host}/{namespace}/{type_}/{version}": "Remove the bytes of a version; its digests stay pinned.",
        "DELETE /admin/provider-cache/{host}/{namespace}/{type_}/{version}/{os}/{arch}": "The same for one platform.",
        "GET /admin/module-cache": "The same of modules.",
        "DELETE /admin/module-cache/{host}/{namespace}/{name}/{system}/{version}": "Remove the bytes; the digest stays pinned, "
        "so other bytes are refused when it is fetched again.",
        "GET /admin/mirror-sources": "What each source's index says: how many versions, when its upstream was asked last, "
        "and since when it fails and why.",
    },
)
