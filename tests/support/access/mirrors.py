"""Caches of engines, providers and modules of others: care for them."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import Platform, Row, SignedIn

_MIRRORED: Final = SignedIn("what mirrors have is nobody's secret", engine=True)
_MIRRORED_PROVIDER: Final = "/v1/providers/<hostname>/<namespace>/<type_name>"
_OF_A_MIRRORED_PROVIDER: Final = ("index.json", "<version>.json", "versions", "<version>/download/<os>/<arch>")
_MIRRORED_MODULE: Final = "/v1/modules/<hostname>/<namespace>/<name>/<provider>"
_OF_A_MIRRORED_MODULE: Final = ("versions", "<version>/download")

_PROVIDER: Final = "/api/v2/admin/provider-cache/<host>/<namespace>/<type_>/<version>"

ROWS: Final[dict[str, Row]] = {
    **{f"GET {_MIRRORED_PROVIDER}/{path}": Row(_MIRRORED) for path in _OF_A_MIRRORED_PROVIDER},
    **{f"GET {_MIRRORED_MODULE}/{path}": Row(_MIRRORED) for path in _OF_A_MIRRORED_MODULE},
    "GET /api/v2/admin/provider-cache": Row(Platform(admin=False)),
    f"DELETE {_PROVIDER}": Row(Platform(admin=True)),
    f"DELETE {_PROVIDER}/<os>/<arch>": Row(Platform(admin=True)),
    "GET /api/v2/admin/module-cache": Row(Platform(admin=False)),
    "DELETE /api/v2/admin/module-cache/<host>/<namespace>/<name>/<system>/<version>": Row(Platform(admin=True)),
    "GET /api/v2/admin/mirror-sources": Row(Platform(admin=False)),
}

LATER: Final[dict[str, str]] = {
    **{f"GET {_MIRRORED_PROVIDER}/{path}": "registry.invalid is not mirrored here" for path in _OF_A_MIRRORED_PROVIDER},
    **{f"GET {_MIRRORED_MODULE}/{path}": "registry.invalid is not mirrored here" for path in _OF_A_MIRRORED_MODULE},
    f"DELETE {_PROVIDER}": "is not in the cache",
    f"DELETE {_PROVIDER}/<os>/<arch>": "is not in the cache",
    "DELETE /api/v2/admin/module-cache/<host>/<namespace>/<name>/<system>/<version>": "is not in the cache",
}
