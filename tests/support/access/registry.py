"""The private registry: modules, providers, and the keys that sign them."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Item, NewName, P, Publisher, Row, SignedIn

_OF_A_MODULE: Final = "/api/v2/organizations/<org>/registry-modules/<namespace>/<name>/<provider>"
_MODULE = wire.document("registry-modules", name="of-{name}", provider="aws")
_CONNECT: Final = ("organizations/<org>/registry-modules/vcs", "registry-modules")
_CONNECTING: Final = "a new name as above, and a connection that they may use"
_CONNECTED = wire.document("registry-modules", name="of-tags", provider="aws", vcs_repo={"identifier": "a/b", "oauth-token-id": "ot-none"})
_MODULE_CHANGE = wire.document("registry-modules", labels={"walk": "yes"})
_VERSIONS = [wire.document("registry-module-versions", version=f"{number}.0.0") for number in (2, 3, 4)]
"""For the paths that make one: a number is given once."""
_DEPRECATION = wire.document("registry-module-versions", deprecation={"reason": "text"})
_OF_A_PROVIDER: Final = tuple(f"/api/v2/organizations/<org>/registry-providers/{private}<namespace>/<name>" for private in ("", "private/"))
_GPG_KEYS: Final = "/api/registry/private/v2/gpg-keys"
_PROVIDER = wire.document("registry-providers", name="of-{name}")
_PROVIDER_CHANGE = wire.document("registry-providers", labels={"walk": "yes"})
_PLATFORM = wire.document("registry-provider-platforms", os="linux", arch="arm64")
_GPG_KEY = wire.document("gpg-keys", ascii_armor="none", providers=["{provider_name}"])

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/organizations/<org>/registry-modules": Row(SignedIn("those they may read")),
    "POST /api/v2/organizations/<org>/registry-modules": Row(NewName(), _MODULE),
    **{f"POST /api/v2/{path}": Row(SignedIn(_CONNECTING), _CONNECTED) for path in _CONNECT},
    "GET /api/v2/registry/modules/<namespace>/<name>/<provider>/versions": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/v2/registry/modules/<namespace>/<name>/<provider>/<version>/download": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/registry/v1/modules/<namespace>/<name>/<provider>": Row(Item(P.REGISTRY_READ)),
    "GET /api/registry/v1/modules/<namespace>/<name>/<provider>/<version>": Row(Item(P.REGISTRY_READ)),
    "GET /api/v2/registry-modules/<module_id>": Row(Item(P.REGISTRY_READ)),
    "PATCH /api/v2/registry-modules/<module_id>": Row(Item(P.REGISTRY_UPDATE), _MODULE_CHANGE),
    "GET /api/v2/registry-modules/<module_id>/tag-bindings": Row(Item(P.REGISTRY_READ)),
    "GET /api/v2/registry-modules/<module_id>/versions": Row(Item(P.REGISTRY_READ)),
    "POST /api/v2/registry-modules/<org>/<name>/<provider>/versions": Row(Item(P.REGISTRY_PUBLISH), _VERSIONS[0]),
    **{
        f"POST /api/v2/registry-modules/actions/delete/<org>/<name>{rest}": Row(Item(P.REGISTRY_UPDATE))
        for rest in ("", "/<provider>", "/<provider>/<version>")
    },
    "DELETE /api/v2/organizations/<org>/registry-modules/private/<namespace>/<name>": Row(Item(P.REGISTRY_UPDATE)),
    "GET /api/v2/organizations/<org>/registry-modules/private/<namespace>/<name>/<provider>/version": Row(
        Item(P.REGISTRY_READ), query={"module_version": "1.0.0"}
    ),
    **{
        f"{method} {base}{rest}": row
        for base in (_OF_A_MODULE, _OF_A_MODULE.replace("registry-modules", "registry-modules/private"))
        for (method, rest), row in {
            ("GET", ""): Row(Item(P.REGISTRY_READ)),
            ("PATCH", ""): Row(Item(P.REGISTRY_UPDATE), _MODULE_CHANGE),
            ("DELETE", ""): Row(Item(P.REGISTRY_UPDATE)),
            ("GET", "/versions"): Row(Item(P.REGISTRY_READ)),
            ("POST", "/versions"): Row(Item(P.REGISTRY_PUBLISH), _VERSIONS[1 if "/private/" in base else 2]),
            ("GET", "/<version>"): Row(Item(P.REGISTRY_READ)),
            ("PATCH", "/<version>"): Row(Item(P.REGISTRY_PUBLISH), _DEPRECATION),
            ("DELETE", "/<version>"): Row(Item(P.REGISTRY_UPDATE)),
            ("POST", "/<version>/actions/release"): Row(Publisher()),
            ("GET", "/consumers"): Row(Item(P.REGISTRY_READ)),
            ("GET", "/downloads"): Row(Item(P.REGISTRY_UPDATE)),
        }.items()
    },
    "GET /api/v2/organizations/<org>/registry-providers": Row(SignedIn("those they may read")),
    "POST /api/v2/organizations/<org>/registry-providers": Row(NewName(), _PROVIDER),
    "GET /api/v2/registry/providers/<namespace>/<name>/versions": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/v2/registry/providers/<namespace>/<name>/<version>/download/<os>/<arch>": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/v2/registry-providers/<provider_id>": Row(Item(P.REGISTRY_READ)),
    "GET /api/v2/registry-providers/<provider_id>/tag-bindings": Row(Item(P.REGISTRY_READ)),
    **{
        f"{method} {base}{rest}": row
        for base, number in zip(_OF_A_PROVIDER, ("2.0.0", "3.0.0"), strict=True)
        for (method, rest), row in {
            ("GET", ""): Row(Item(P.REGISTRY_READ)),
            ("PATCH", ""): Row(Item(P.REGISTRY_UPDATE), _PROVIDER_CHANGE),
            ("DELETE", ""): Row(Item(P.REGISTRY_UPDATE)),
            ("GET", "/versions"): Row(Item(P.REGISTRY_READ)),
            ("POST", "/versions"): Row(Item(P.REGISTRY_PUBLISH), wire.document("registry-provider-versions", version=number)),
            ("GET", "/versions/<version>"): Row(Item(P.REGISTRY_READ)),
            ("PATCH", "/versions/<version>"): Row(Item(P.REGISTRY_PUBLISH), _DEPRECATION),
            ("DELETE", "/versions/<version>"): Row(Item(P.REGISTRY_UPDATE)),
            ("POST", "/versions/<version>/actions/publish"): Row(Item(P.REGISTRY_PUBLISH)),
            ("POST", "/versions/<version>/actions/release"): Row(Publisher()),
            ("GET", "/versions/<version>/platforms"): Row(Item(P.REGISTRY_READ)),
            ("POST", "/versions/<version>/platforms"): Row(Item(P.REGISTRY_PUBLISH), _PLATFORM),
            ("GET", "/versions/<version>/platforms/<os>/<arch>"): Row(Item(P.REGISTRY_READ)),
            ("DELETE", "/versions/<version>/platforms/<os>/<arch>"): Row(Item(P.REGISTRY_PUBLISH)),
            ("GET", "/consumers"): Row(Item(P.REGISTRY_READ)),
            ("GET", "/downloads"): Row(Item(P.REGISTRY_UPDATE)),
        }.items()
    },
    f"GET {_GPG_KEYS}": Row(SignedIn("those of whole namespaces, and of providers that they may read")),
    f"POST {_GPG_KEYS}": Row(Item(P.REGISTRY_UPDATE), _GPG_KEY, hidden=(404, 422)),
    f"GET {_GPG_KEYS}/<namespace>/<key_id>": Row(Item(P.REGISTRY_READ)),
    f"PATCH {_GPG_KEYS}/<namespace>/<key_id>": Row(Item(P.REGISTRY_UPDATE), wire.document("gpg-keys", namespace="default")),
    f"DELETE {_GPG_KEYS}/<namespace>/<key_id>": Row(Item(P.REGISTRY_UPDATE)),
}

LATER: Final[dict[str, str]] = {
    **{f"POST /api/v2/{path}": "there is no such VCS connection" for path in _CONNECT},
    f"POST {_OF_A_MODULE}/<version>/actions/release": "is published",
    f"POST {_OF_A_MODULE.replace('registry-modules', 'registry-modules/private')}/<version>/actions/release": "is published",
    **{
        f"{method} {base}/versions/<version>{rest}": "is published"
        for base in _OF_A_PROVIDER
        for method, rest in (
            ("POST", "/actions/publish"),
            ("POST", "/actions/release"),
            ("POST", "/platforms"),
            ("DELETE", "/platforms/<os>/<arch>"),
        )
    },
    f"POST {_GPG_KEYS}": "this key is refused",
    f"DELETE {_GPG_KEYS}/<namespace>/<key_id>": "signs version 1.0.0",
}
