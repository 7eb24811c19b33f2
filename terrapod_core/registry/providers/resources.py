"""What providers, versions, platforms and keys look like on the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from terrapod_core.jsonapi import ABSENT, Includes, Rendering, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.providers.completion import awaited
from terrapod_core.registry.providers.models import ProviderPlatform, ProviderVersion, RegistryProvider
from terrapod_core.registry.providers.service import Providers
from terrapod_core.registry.resources import BELONGS, MARKS

_BASE: Final = f"/api/v2/organizations/{NAME}/registry-providers/private"
_OF_VERSION: Final = f"{_BASE}/{{provider_namespace}}/{{provider_name}}/versions/{{version}}"


PROVIDER: Final = Resource(
    type="registry-providers",
    attributes=[
        attr("name", writable=True),
        attr("namespace", writable=True),
        attr("registry_name", writable=True, from_=lambda _provider: "private"),
        attr("labels", writable=True),
        attr("created_at"),
        attr("updated_at"),
        attr(
            "permissions",
            from_=lambda provider: {
                "can-delete": provider.can_update,
                "can-update": provider.can_update,
                "can-publish": provider.can_publish,
            },
        ),
    ],
    relationships=[
        *BELONGS,
        to_many(
            "registry_provider_versions",
            "registry-provider-versions",
            ids_from="version_ids",
            related=f"{_BASE}/{{namespace}}/{{name}}/versions",
        ),
        to_many("tag_bindings", "tag-bindings", ids_from=lambda _provider: ABSENT, related="/api/v2/registry-providers/{id}/tag-bindings"),
    ],
    links={"self": f"{_BASE}/{{namespace}}/{{name}}"},
)


def _linked(path: str) -> Callable[[Any, Rendering], Any]:
    """The link whose path stands in this attribute; absent without one."""

    def link(thing: Any, rendering: Rendering) -> Any:
        found: str | None = getattr(thing, path)
        return rendering.base_url + found if found is not None else ABSENT

    return link


def _waits_for(version: ProviderVersion) -> list[str]:
    provider = RegistryProvider(name=version.provider_name, namespace=version.provider_namespace)
    return awaited(provider, version, version.platforms) if version.can_publish else []


VERSION: Final = Resource(
    type="registry-provider-versions",
    attributes=[
        attr("version", writable=True),
        # go-tfe and pytfe read texts and lists here, and no `null`.
        attr("key_id", writable=True, from_=lambda version: version.key_id or ""),
        attr("protocols", writable=True, from_=lambda version: version.protocols or []),
        attr("source"),
        attr("status"),
        attr("waits_for", from_=_waits_for),
        *MARKS,
        attr("shasums_uploaded", from_=lambda version: version.sums is not None),
        attr("shasums_sig_uploaded", from_=lambda version: version.signature is not None),
        attr("download_count"),
        attr("created_at"),
        attr("updated_at"),
        attr("published_at"),
        attr(
            "permissions",
            from_=lambda version: {
                "can-delete": version.can_update or (version.can_publish and version.status != VersionStatus.PUBLISHED),
                "can-upload-asset": version.can_upload,
                "can-update": version.can_update,
            },
        ),
    ],
    relationships=[
        to_one(
            "registry_provider",
            "registry-providers",
            id_from="provider_id",
            related=f"{_BASE}/{{provider_namespace}}/{{provider_name}}",
        ),
        to_one("created_by", "users"),
        to_many(
            "platforms",
            "registry-provider-platforms",
            ids_from=lambda version: [each.id for each in version.platforms],
            related=f"{_OF_VERSION}/platforms",
        ),
    ],
    links={
        "self": _OF_VERSION,
        "shasums-upload": _linked("sums_upload_path"),
        "shasums-sig-upload": _linked("signature_upload_path"),
        "shasums-download": _linked("sums_download_path"),
        "shasums-sig-download": _linked("signature_download_path"),
    },
)


def _path_of(platform: ProviderPlatform) -> str:
    version = platform.version
    assert version is not None
    return (
        f"{_BASE}/{version.provider_namespace}/{version.provider_name}/versions/{version.version}/platforms/{platform.os}/{platform.arch}"
    )


PLATFORM: Final = Resource(
    type="registry-provider-platforms",
    attributes=[
        attr("os", writable=True),
        attr("arch", writable=True),
        attr("filename", writable=True),
        attr("shasum", writable=True, from_=lambda platform: platform.sha256 or ""),
        attr("h1"),
        attr("size"),
        attr("provider_binary_uploaded", from_=lambda platform: platform.is_uploaded),
        attr("created_at"),
        attr(
            "permissions",
            from_=lambda platform: dict.fromkeys(("can-delete", "can-upload-asset"), platform.version.can_upload),
        ),
    ],
    relationships=[to_one("registry_provider_version", "registry-provider-versions", id_from="version_id")],
    links={
        "self": _path_of,
        "provider-binary-upload": _linked("upload_path"),
        "provider-binary-download": _linked("download_path"),
    },
)

GPG_KEY: Final = Resource(
    type="gpg-keys",
    attributes=[
        attr("ascii_armor", writable=True),
        attr("key_id"),
        attr("namespace", writable=True),
        attr("fingerprint"),
        attr("user"),
        attr("providers", writable=True, from_=lambda key: [each.name for each in key.providers]),
        attr("whole_namespace"),
        attr("expires_at"),
        attr("source", from_=lambda _key: ""),
        attr("source_url", from_=lambda _key: None),
        attr("trust_signature", from_=lambda _key: ""),
        attr("created_at"),
        attr("updated_at", from_=lambda key: key.created_at),
    ],
    links={"self": "/api/registry/private/v2/gpg-keys/{namespace}/{key_id}"},
)


def includes(registry: Includes, providers: Providers) -> None:
    """Let `include=registry-provider-versions` work for providers."""

    def none(_session: Any, _actor: Any, _ids: Sequence[str]) -> Sequence[ProviderVersion]:
        return ()  # versions come with their providers alone

    registry.add(VERSION, none)
    registry.bring(PROVIDER, "registry_provider_versions", providers.load_versions)
