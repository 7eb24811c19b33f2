"""Caches of engines, providers and modules of others."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

MIRRORS: Final = Section(
    "Mirrors",
    "/v1",
    f"{TOKEN} What terraform asks at `init`, and a run's terraform may too. [How it is set up](../how-to/mirror-providers-and-modules.md).",
    {
        "GET /providers/{hostname}/{namespace}/{type_name}/index.json": "The versions, by the network mirror protocol.",
        "GET /providers/{hostname}/{namespace}/{type_name}/{version}.json": (
            "Where the zip of each platform is, with `zh:` of all that are signed and `h1:` of all that were here."
        ),
        "GET /providers/{hostname}/{namespace}/{type_name}/versions": "The versions, by the registry protocol.",
        "GET /providers/{hostname}/{namespace}/{type_name}/{version}/download/{os}/{arch}": (
            "Where the zip, its sums and their signature are, and the key that made it, by the registry protocol."
        ),
        "GET /modules/{hostname}/{namespace}/{name}/{provider}/versions": "The versions, by the registry protocol.",
        "GET /modules/{hostname}/{namespace}/{name}/{provider}/{version}/download": (
            "204 with the archive's link as `X-Terraform-Get`; 424 with the reason, as text, when it cannot be had."
        ),
    },
)

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
