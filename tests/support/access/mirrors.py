"""Caches of engines, providers and modules of others."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Platform, Row, SignedIn

_MIRRORED: Final = SignedIn("what mirrors have is nobody's secret", engine=True)
_PROVIDER: Final = "/v1/providers/<hostname>/<namespace>/<type_name>"
_OF_A_PROVIDER: Final = ("index.json", "<version>.json", "versions", "<version>/download/<os>/<arch>")
_MODULE: Final = "/v1/modules/<hostname>/<namespace>/<name>/<provider>"
_OF_A_MODULE: Final = ("versions", "<version>/download")
_NOT_MIRRORED: Final = "registry.invalid is not mirrored here"
_NO_ENGINE: Final = "there is no engine 'packer'"
_NEVER_ASKED: Final = "nothing of registry.example.com/acme was ever asked for"
_CACHED: Final = "/api/v2/binary-cache/<tool>/<version>/<os>/<arch>"
_CACHE: Final = "/api/v2/admin/binary-cache"
_KEYS: Final = "/api/v2/admin/mirror-keys"
_PROVIDERS: Final = "/api/v2/admin/provider-cache"
_MODULES: Final = "/api/v2/admin/module-cache"
_IN_CACHE: Final = "/<host>/<namespace>/<type_>/<version>"
_MODULE_IN_CACHE: Final = "/<host>/<namespace>/<name>/<system>/<version>"
_NOT_HERE: Final = "is not in the cache"
_WARM = wire.document("binary-cache-warmings", tool="packer", version="1.0.0", platforms=["linux_amd64"])
"""Of which there is none: the walk asks no upstream."""
_MIRROR_KEY = wire.document("mirror-keys", scope="registry.example.com/acme", fingerprint="0" * 40)

ROWS: Final[dict[str, Row]] = {
    **{f"GET {_PROVIDER}/{path}": Row(_MIRRORED) for path in _OF_A_PROVIDER},
    **{f"GET {_MODULE}/{path}": Row(_MIRRORED) for path in _OF_A_MODULE},
    f"GET {_CACHED}": Row(SignedIn("programs that their publishers give to everybody", engine=True)),
    f"GET {_CACHE}": Row(Platform(admin=False)),
    f"POST {_CACHE}/warm": Row(Platform(admin=True), _WARM),
    f"GET {_CACHE}/warm/<warming_id>": Row(Platform(admin=False)),
    f"DELETE {_CACHE}/<tool>/<version>/<os>/<arch>": Row(Platform(admin=True)),
    f"GET {_KEYS}": Row(Platform(admin=False)),
    f"GET {_KEYS}/offered": Row(Platform(admin=True), query={"filter[scope]": "registry.example.com/acme"}),
    f"POST {_KEYS}": Row(Platform(admin=True), _MIRROR_KEY),
    f"DELETE {_KEYS}/<key_id>": Row(Platform(admin=True)),
    f"GET {_PROVIDERS}": Row(Platform(admin=False)),
    f"DELETE {_PROVIDERS}{_IN_CACHE}": Row(Platform(admin=True)),
    f"DELETE {_PROVIDERS}{_IN_CACHE}/<os>/<arch>": Row(Platform(admin=True)),
    f"GET {_MODULES}": Row(Platform(admin=False)),
    f"DELETE {_MODULES}{_MODULE_IN_CACHE}": Row(Platform(admin=True)),
    "GET /api/v2/admin/mirror-sources": Row(Platform(admin=False)),
}

LATER: Final[dict[str, str]] = {
    **{f"GET {_PROVIDER}/{path}": _NOT_MIRRORED for path in _OF_A_PROVIDER},
    **{f"GET {_MODULE}/{path}": _NOT_MIRRORED for path in _OF_A_MODULE},
    f"GET {_CACHED}": _NO_ENGINE,
    f"POST {_CACHE}/warm": _NO_ENGINE,
    f"GET {_CACHE}/warm/<warming_id>": "there is no warming",
    f"DELETE {_CACHE}/<tool>/<version>/<os>/<arch>": _NO_ENGINE,
    f"GET {_KEYS}/offered": _NEVER_ASKED,
    f"POST {_KEYS}": _NEVER_ASKED,
    f"DELETE {_KEYS}/<key_id>": "there is no key",
    f"DELETE {_PROVIDERS}{_IN_CACHE}": _NOT_HERE,
    f"DELETE {_PROVIDERS}{_IN_CACHE}/<os>/<arch>": _NOT_HERE,
    f"DELETE {_MODULES}{_MODULE_IN_CACHE}": _NOT_HERE,
}
