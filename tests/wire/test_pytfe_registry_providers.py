"""HashiCorp's Python client on providers of the private registry, their versions and platforms."""

from __future__ import annotations

import httpx
import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models.registry_provider import (
    RegistryName,
    RegistryProviderCreateOptions,
    RegistryProviderID,
    RegistryProviderIncludeOps,
    RegistryProviderListOptions,
    RegistryProviderReadOptions,
)
from pytfe.models.registry_provider_platform import (
    RegistryProviderPlatformCreateOptions,
    RegistryProviderPlatformID,
    RegistryProviderPlatformListOptions,
)
from pytfe.models.registry_provider_version import (
    RegistryProviderVersionCreateOptions,
    RegistryProviderVersionID,
    RegistryProviderVersionListOptions,
)

from tests.support.providers import add_key, path_of
from tests.support.releases import LINUX, Publisher, Release
from tests.support.wire import data, fresh, put

WINDOWS = ("windows", "amd64")
PRIVATE = RegistryName.PRIVATE


@pytest.fixture(scope="module")
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
def provider(tfe: TFEClient, api: httpx.Client, publisher: Publisher) -> RegistryProviderID:
    """A provider of the test's own, as the client names it, with the publisher's key."""
    name = fresh("provider")
    options = RegistryProviderCreateOptions(name=name, namespace="default", registry_name=PRIVATE)
    made = tfe.registry_providers.create("default", options)
    assert (made.name, made.namespace, made.registry_name) == (name, "default", PRIVATE)
    assert made.permissions is not None
    assert made.permissions.can_delete
    data(add_key(api, publisher, name), 201)
    return RegistryProviderID(organization_name="default", registry_name=PRIVATE, namespace="default", name=name)


def version_id(provider: RegistryProviderID, number: str) -> RegistryProviderVersionID:
    return RegistryProviderVersionID(**provider.model_dump(), version=number)


def platform_id(provider: RegistryProviderID, number: str, platform: tuple[str, str]) -> RegistryProviderPlatformID:
    return RegistryProviderPlatformID(**version_id(provider, number).model_dump(), os=platform[0], arch=platform[1])


def publish(tfe: TFEClient, api: httpx.Client, provider: RegistryProviderID, publisher: Publisher, release: Release) -> None:
    """A version with all its files. This client keeps no links of versions and platforms, so they are read beside it."""
    options = RegistryProviderVersionCreateOptions(version=release.version, key_id=publisher.key_id, protocols=["6.0"])
    tfe.registry_provider_versions.create(provider, options)
    version = f"{path_of(provider.name)}/versions/{release.version}"
    links = data(api.get(version))["links"]
    assert put(links["shasums-upload"], release.sums).status_code == 200
    assert put(links["shasums-sig-upload"], publisher.sign(release.sums)).status_code == 200
    for (os, arch), content in release.zips.items():
        new = RegistryProviderPlatformCreateOptions(os=os, arch=arch, shasum=release.digest((os, arch)), filename=release.name((os, arch)))
        announced = tfe.registry_provider_platforms.create(version_id(provider, release.version), new)
        assert announced.provider_binary_uploaded is False
        upload = data(api.get(f"{version}/platforms/{os}/{arch}"))["links"]["provider-binary-upload"]
        assert put(upload, content).status_code == 200


def test_create_publish_read_and_list(tfe: TFEClient, api: httpx.Client, provider: RegistryProviderID, publisher: Publisher) -> None:
    for number in ("1.0.0", "1.10.0", "1.9.0"):
        publish(tfe, api, provider, publisher, Release.made(provider.name, number, LINUX, WINDOWS))
    options = RegistryProviderVersionListOptions(page_size=2)
    assert [each.version for each in tfe.registry_provider_versions.list(provider, options)] == ["1.10.0", "1.9.0", "1.0.0"]
    read = tfe.registry_provider_versions.read(version_id(provider, "1.9.0"))
    assert (read.version, read.key_id, read.protocols) == ("1.9.0", publisher.key_id, ["6.0"])
    assert (read.shasums_uploaded, read.shasums_sig_uploaded) == (True, True)
    assert read.permissions is not None
    assert (read.permissions.can_delete, read.permissions.can_upload_asset) == (True, False)
    assert read.registry_provider_platforms is not None
    assert len(read.registry_provider_platforms) == 2
    shown = tfe.registry_providers.read(
        provider, RegistryProviderReadOptions(include=[RegistryProviderIncludeOps.REGISTRY_PROVIDER_VERSIONS])
    )
    assert shown.registry_provider_versions is not None
    assert len(shown.registry_provider_versions) == 3


def test_platforms_are_read_and_listed(tfe: TFEClient, api: httpx.Client, provider: RegistryProviderID, publisher: Publisher) -> None:
    release = Release.made(provider.name, "1.0.0", LINUX, WINDOWS)
    publish(tfe, api, provider, publisher, release)
    found = list(tfe.registry_provider_platforms.list(version_id(provider, "1.0.0"), RegistryProviderPlatformListOptions(page_size=1)))
    assert [(each.os, each.arch) for each in found] == [LINUX, WINDOWS]
    one = tfe.registry_provider_platforms.read(platform_id(provider, "1.0.0", WINDOWS))
    assert (one.filename, one.shasum, one.provider_binary_uploaded) == (release.name(WINDOWS), release.digest(WINDOWS), True)
    with pytest.raises(NotFound):
        tfe.registry_provider_platforms.read(platform_id(provider, "1.0.0", ("linux", "arm64")))
    with pytest.raises(TFEError) as refusal:
        tfe.registry_provider_platforms.delete(platform_id(provider, "1.0.0", LINUX))
    assert refusal.value.status == 409


def test_lists_are_narrowed_and_go_through_all_pages(tfe: TFEClient) -> None:
    word = fresh("many")
    for number in range(5):
        options = RegistryProviderCreateOptions(name=f"{word}-{number}", namespace="default", registry_name=PRIVATE)
        tfe.registry_providers.create("default", options)
    found = tfe.registry_providers.list("default", RegistryProviderListOptions(search=word, page_size=2))
    assert [each.name for each in found] == [f"{word}-{number}" for number in range(5)]
    public = RegistryProviderListOptions(search=word, registry_name=RegistryName.PUBLIC)
    assert list(tfe.registry_providers.list("default", public)) == []


def test_delete_a_version_and_a_provider(tfe: TFEClient, api: httpx.Client, provider: RegistryProviderID, publisher: Publisher) -> None:
    publish(tfe, api, provider, publisher, Release.made(provider.name, "1.0.0"))
    tfe.registry_provider_versions.delete(version_id(provider, "1.0.0"))
    with pytest.raises(NotFound):
        tfe.registry_provider_versions.read(version_id(provider, "1.0.0"))
    tfe.registry_providers.delete(provider)
    with pytest.raises(NotFound):
        tfe.registry_providers.read(provider)
    options = RegistryProviderCreateOptions(name=provider.name, namespace="default", registry_name=PRIVATE)
    with pytest.raises(TFEError) as refusal:
        tfe.registry_providers.create("default", options)
    assert refusal.value.status == 409
