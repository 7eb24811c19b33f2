"""Caches of engines, providers and modules of others: care for them."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import Platform, Row

_PROVIDER: Final = "/api/v2/admin/provider-cache/<host>/<namespace>/<type_>/<version>"

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/admin/provider-cache": Row(Platform(admin=False)),
    f"DELETE {_PROVIDER}": Row(Platform(admin=True)),
    f"DELETE {_PROVIDER}/<os>/<arch>": Row(Platform(admin=True)),
    "GET /api/v2/admin/module-cache": Row(Platform(admin=False)),
    "DELETE /api/v2/admin/module-cache/<host>/<namespace>/<name>/<system>/<version>": Row(Platform(admin=True)),
    "GET /api/v2/admin/mirror-sources": Row(Platform(admin=False)),
}

LATER: Final[dict[str, str]] = {
    f"DELETE {_PROVIDER}": "is not in the cache",
    f"DELETE {_PROVIDER}/<os>/<arch>": "is not in the cache",
    "DELETE /api/v2/admin/module-cache/<host>/<namespace>/<name>/<system>/<version>": "is not in the cache",
}
