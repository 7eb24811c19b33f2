"""Caches of engines, providers and modules of others."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import Row, SignedIn

_MIRRORED: Final = SignedIn("what mirrors have is nobody's secret", engine=True)
_PROVIDER: Final = "/v1/providers/<hostname>/<namespace>/<type_name>"
_OF_A_PROVIDER: Final = ("index.json", "<version>.json", "versions", "<version>/download/<os>/<arch>")
_MODULE: Final = "/v1/modules/<hostname>/<namespace>/<name>/<provider>"
_OF_A_MODULE: Final = ("versions", "<version>/download")
_NOT_MIRRORED: Final = "registry.invalid is not mirrored here"

ROWS: Final[dict[str, Row]] = {
    **{f"GET {_PROVIDER}/{path}": Row(_MIRRORED) for path in _OF_A_PROVIDER},
    **{f"GET {_MODULE}/{path}": Row(_MIRRORED) for path in _OF_A_MODULE},
}

LATER: Final[dict[str, str]] = {
    **{f"GET {_PROVIDER}/{path}": _NOT_MIRRORED for path in _OF_A_PROVIDER},
    **{f"GET {_MODULE}/{path}": _NOT_MIRRORED for path in _OF_A_MODULE},
}
