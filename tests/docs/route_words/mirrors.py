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

ENGINES: Final = Section(
    "Binary cache",
    API,
    TOKEN + " Everything but the download is for platform admins; platform auditors may look.",
    {
        "GET /binary-cache/{tool}/{version}/{os}/{arch}": (
            "302 to the zip of terraform or tofu. `version` is exact, `latest`, `1.11` or constraints (`%3E%3D%201.9%2C%20%3C%202.0`)."
        ),
        "GET /admin/binary-cache": "The zips that are here, the last used first.",
        "POST /admin/binary-cache/warm": (
            "Bring a `tool` and `version` here, for `os` and `arch` or for `platforms`; answers with a warming for each. "
            "202 while some are still to come, 200 when all are here."
        ),
        "GET /admin/binary-cache/warm/{warming_id}": "How far a warming is: `status`, `received` bytes; `message` when it failed.",
        "DELETE /admin/binary-cache/{tool}/{version}/{os}/{arch}": "Remove a zip; its digest stays known. 409 while a run needs it.",
    },
)

KEYS: Final = Section(
    "Keys of mirrors",
    API,
    "Needs a platform admin; a platform auditor may see the list.",
    {
        "GET /admin/mirror-keys": "The keys that may sign what is mirrored, by what they are for.",
        "GET /admin/mirror-keys/offered": "The keys that the upstream of `filter[scope]` names, asked for now.",
        "POST /admin/mirror-keys": "Let a key (`scope`, `fingerprint`) sign that its upstream names now.",
        "DELETE /admin/mirror-keys/{key_id}": "Let a key sign nothing new.",
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
