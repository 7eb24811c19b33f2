"""Publishing providers over HTTP, as any client does it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support import wire
from tests.support.releases import Publisher, Release

PROVIDERS = f"{wire.ORG}/registry-providers"


def path_of(name: str) -> str:
    """Of a provider in the namespace `default`."""
    return f"{PROVIDERS}/private/default/{name}"


def make_provider(api: httpx.Client, name: str, **settings: Any) -> dict[str, Any]:
    """A provider without a version, as the API shows it."""
    made: dict[str, Any] = wire.data(api.post(PROVIDERS, json=wire.document("registry-providers", name=name, **settings)), 201)
    return made


def add_key(api: httpx.Client, publisher: Publisher, *providers: str) -> httpx.Response:
    """Bind a publisher's key to providers; to the whole namespace when none is named."""
    bound = {"providers": list(providers)} if providers else {}
    sent = wire.document("gpg-keys", namespace="default", ascii_armor=publisher.armor, **bound)
    return api.post(keys_url(api), json=sent)


def keys_url(api: httpx.Client) -> str:
    """Where keys are; not below `/api/v2`."""
    return str(api.base_url.join("/api/registry/private/v2/gpg-keys"))


def make_version(api: httpx.Client, name: str, number: str, **sent: Any) -> dict[str, Any]:
    """A version that waits for its files, as the API shows it."""
    new = wire.document("registry-provider-versions", version=number, **sent)
    made: dict[str, Any] = wire.data(api.post(f"{path_of(name)}/versions", json=new), 201)
    return made


def announce(api: httpx.Client, release: Release, platform: tuple[str, str]) -> dict[str, Any]:
    """A platform that waits for its zip, as the API shows it."""
    new = wire.document(
        "registry-provider-platforms",
        os=platform[0],
        arch=platform[1],
        shasum=release.digest(platform),
        filename=release.name(platform),
    )
    made: dict[str, Any] = wire.data(api.post(f"{path_of(release.provider)}/versions/{release.version}/platforms", json=new), 201)
    return made


def upload_zips(api: httpx.Client, release: Release) -> None:
    """Announce and upload all zips of a version that is there."""
    for platform, content in release.zips.items():
        put(announce(api, release, platform), "provider-binary-upload", content)


def put(made: dict[str, Any], link: str, content: bytes) -> None:
    """Upload to a link of what was made."""
    response = wire.put(made["links"][link], content)
    assert response.status_code == 200, response.text


def publish_signed(api: httpx.Client, release: Release, publisher: Publisher) -> dict[str, Any]:
    """A version that its publisher signs, with all its files, as the API shows it; its key is there."""
    made = make_version(api, release.provider, release.version, key_id=publisher.key_id)
    put(made, "shasums-upload", release.sums)
    path = f"{path_of(release.provider)}/versions/{release.version}"
    put(wire.data(api.get(path)), "shasums-sig-upload", publisher.sign(release.sums))
    upload_zips(api, release)
    shown: dict[str, Any] = wire.data(api.get(path))
    return shown


def publish_unsigned(api: httpx.Client, release: Release) -> dict[str, Any]:
    """The same for one that the server signs."""
    make_version(api, release.provider, release.version)
    upload_zips(api, release)
    path = f"{path_of(release.provider)}/versions/{release.version}"
    shown: dict[str, Any] = wire.data(api.post(f"{path}/actions/publish"))
    return shown
