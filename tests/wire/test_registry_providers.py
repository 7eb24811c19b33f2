"""The provider registry over HTTP: what terraform asks, links without a token, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.providers import (
    PROVIDERS,
    add_key,
    announce,
    keys_url,
    make_provider,
    make_version,
    path_of,
    publish_signed,
    publish_unsigned,
    put,
    upload_zips,
)
from tests.support.raw import Raw
from tests.support.releases import LINUX, Publisher, Release
from tests.support.server import Server
from tests.support.wire import Person, data, document, fresh, refused

WINDOWS = ("windows", "amd64")


@pytest.fixture(scope="module")
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
def provider(api: httpx.Client, publisher: Publisher) -> str:
    """The name of a provider of the test's own, with the publisher's key."""
    name = fresh("provider")
    make_provider(api, name)
    data(add_key(api, publisher, name), 201)
    return name


def protocol(provider: str) -> str:
    """Where terraform asks for it."""
    return f"registry/providers/default/{provider}"


def listed(api: httpx.Client, provider: str) -> list[str]:
    """What terraform is told of."""
    answer = api.get(f"{protocol(provider)}/versions")
    assert answer.headers["Content-Type"] == wire.JSON
    return [each["version"] for each in answer.json()["versions"]]


def test_everything_of_a_zip_is_fetched_by_links_without_a_token(
    api: httpx.Client, server: Server, provider: str, publisher: Publisher
) -> None:
    release = Release.made(provider, "1.2.0", LINUX, WINDOWS)
    publish_signed(api, release, publisher)
    answer = api.get(f"{protocol(provider)}/1.2.0/download/windows/amd64")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, wire.JSON)
    found = answer.json()
    with httpx.Client(trust_env=False) as anybody:
        got = anybody.get(found["download_url"], headers={"Authorization": "Bearer of-another-server"})
        assert (got.content, got.headers["Content-Type"]) == (release.zips[WINDOWS], "application/zip")
        assert got.headers["ETag"] == f'"{release.digest(WINDOWS)}"'
        assert anybody.head(found["download_url"]).status_code == 200
        assert anybody.get(found["download_url"], headers={"Range": "bytes=0-9"}).content == release.zips[WINDOWS][:10]
        assert anybody.put(found["download_url"], content=b"x").status_code == 404
        assert anybody.get(found["shasums_url"]).content == release.sums
        assert anybody.get(found["shasums_signature_url"]).headers["Content-Type"] == "application/octet-stream"
        refused(anybody.get(f"{server.url}/api/v2/{protocol(provider)}/versions"), 401)


def test_the_versions_are_sent_once_to_who_has_them(api: httpx.Client, provider: str) -> None:
    publish_unsigned(api, Release.made(provider, "1.0.0"))
    first = api.get(f"{protocol(provider)}/versions")
    again = api.get(f"{protocol(provider)}/versions", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    publish_unsigned(api, Release.made(provider, "1.1.0"))
    changed = api.get(f"{protocol(provider)}/versions", headers={"If-None-Match": first.headers["ETag"]})
    assert [each["version"] for each in changed.json()["versions"]] == ["1.1.0", "1.0.0"]


def test_the_shorter_and_the_longer_paths_are_the_same(api: httpx.Client, provider: str) -> None:
    short = f"{PROVIDERS}/default/{provider}"
    publish_unsigned(api, Release.made(provider, "1.0.0"))
    for rest in ("", "/versions", "/versions/1.0.0", "/versions/1.0.0/platforms", "/versions/1.0.0/platforms/linux/amd64"):
        one, other = data(api.get(short + rest)), data(api.get(path_of(provider) + rest))
        ids = [each["id"] for each in (one if isinstance(one, list) else [one])]
        assert ids == [each["id"] for each in (other if isinstance(other, list) else [other])]
    for namespace in ("public", "private", "other"):
        refused(api.get(f"{PROVIDERS}/{namespace}/{provider}"), 404)
    refused(api.get(f"{PROVIDERS}/public/default/{provider}"), 404)
    shown = data(api.get(short))
    assert data(api.get(f"registry-providers/{shown['id']}"))["links"]["self"].endswith(f"private/default/{provider}")
    refused(api.get(f"organizations/other/registry-providers/default/{provider}"), 404)


def test_versions_come_with_their_provider_when_they_are_asked_for(api: httpx.Client, provider: str) -> None:
    publish_unsigned(api, Release.made(provider, "1.0.0"))
    answer = api.get(path_of(provider), params={"include": "registry-provider-versions"}).json()
    assert [each["attributes"]["version"] for each in answer["included"]] == ["1.0.0"]
    named = answer["data"]["relationships"]["registry-provider-versions"]["data"]
    assert [each["id"] for each in named] == [each["id"] for each in answer["included"]]
    assert "included" not in api.get(path_of(provider)).json()


@pytest.mark.parametrize("number", ["1", "1.0", "v1.0.0", "01.0.0", "latest", "", "1.0.0/../2", "1" * 200])
def test_a_version_that_is_not_semantic_is_422(api: httpx.Client, provider: str, number: str) -> None:
    sent = document("registry-provider-versions", version=number)
    refused(api.post(f"{path_of(provider)}/versions", json=sent), 422, pointer="/data/attributes/version", says="is not a semantic version")
    assert data(api.get(f"{path_of(provider)}/versions")) == []


@pytest.mark.parametrize(
    ("sent", "pointer", "says"),
    [
        ({"name": "fake", "namespace": "private"}, "/data/attributes/namespace", "reserved"),
        ({"name": "fake", "namespace": "public"}, "/data/attributes/namespace", "reserved"),
        ({"name": "fake", "namespace": "Acme Corp"}, "/data/attributes/namespace", "lower-case"),
        ({"name": "Fake"}, "/data/attributes/name", "lower-case"),
        ({"name": "fa_ke"}, "/data/attributes/name", "lower-case"),
        ({"name": "terraform-provider-fake"}, "/data/attributes/name", "must be fake alone"),
        ({"name": "x" * 65}, "/data/attributes/name", "at most 64"),
        ({"name": "fake", "registry_name": "public"}, "/data/attributes/registry-name", "must be private"),
    ],
)
def test_a_name_that_terraform_could_not_ask_for_is_422(api: httpx.Client, sent: dict[str, Any], pointer: str, says: str) -> None:
    refused(api.post(PROVIDERS, json=document("registry-providers", **sent)), 422, pointer=pointer, says=says)


def test_a_platform_is_announced_once_and_by_its_right_name(api: httpx.Client, provider: str) -> None:
    release = Release.made(provider, "1.0.0")
    make_version(api, provider, "1.0.0")
    announce(api, release, LINUX)
    platforms = f"{path_of(provider)}/versions/1.0.0/platforms"
    again = document("registry-provider-platforms", os="linux", arch="amd64")
    refused(api.post(platforms, json=again), 422, pointer="/data/attributes/os", says="has the platform linux_amd64 already")
    for sent, pointer in (
        ({"os": "Linux"}, "os"),
        ({"os": "linux_gnu"}, "os"),
        ({"arch": ""}, "arch"),
        ({"arch": "amd64/../x"}, "arch"),
        ({"shasum": "abc"}, "shasum"),
        ({"filename": "provider.zip"}, "filename"),
    ):
        wrong = document("registry-provider-platforms", **({"os": "darwin", "arch": "arm64"} | sent))
        refused(api.post(platforms, json=wrong), 422, pointer=f"/data/attributes/{pointer}")
    refused(api.post(platforms, json=document("registry-provider-platforms", os="darwin")), 422, pointer="/data/attributes/arch")
    assert len(data(api.get(platforms))) == 1


def test_nothing_half_published_is_listed(api: httpx.Client, auditor: Person, provider: str, publisher: Publisher) -> None:
    release = Release.made(provider, "1.0.0", LINUX, WINDOWS)
    version = f"{path_of(provider)}/versions/1.0.0"
    made = make_version(api, provider, "1.0.0", key_id=publisher.key_id)
    one = Release(provider, "1.0.0", {LINUX: release.zips[LINUX]})
    for sums, why in {
        b"": "names no zip",
        b"hello\n": "line 1 is not",
        release.sums * 2: "twice",
        release.sums + f"{'0' * 64}  README.md\n".encode(): "names README.md",
        Release.made("other", "1.0.0").sums: "names terraform-provider-other",
    }.items():
        refused(wire.put(made["links"]["shasums-upload"], sums), 422, says=why)
    announce(api, release, WINDOWS)
    refused(wire.put(made["links"]["shasums-upload"], one.sums), 422, says=f"it misses {release.name(WINDOWS)}")
    put(made, "shasums-upload", release.sums)
    signing = data(api.get(version))["links"]["shasums-sig-upload"]
    for signature in (b"", b"junk", publisher.sign(one.sums), Publisher("Mallory").sign(release.sums)):
        refused(wire.put(signing, signature), 422, says="signature of SHA256SUMS is refused")
    assert wire.put(signing, publisher.sign(release.sums)).status_code == 200
    linux = announce(api, release, LINUX)["links"]["provider-binary-upload"]
    for content in (b"", b"no zip", release.zips[LINUX][:-1], release.zips[WINDOWS]):
        refused(wire.put(linux, content), 422, says="the zip is refused")
    assert listed(api, provider) == []
    refused(api.get(f"{protocol(provider)}/1.0.0/download/linux/amd64"), 404)
    refused(auditor.api.get(version), 404)
    assert data(auditor.api.get(f"{path_of(provider)}/versions")) == []
    assert wire.put(linux, release.zips[LINUX]).status_code == 200
    assert data(api.get(version))["attributes"]["waits-for"] == [release.name(WINDOWS)]
    assert listed(api, provider) == []
    windows = data(api.get(f"{version}/platforms/windows/amd64"))["links"]["provider-binary-upload"]
    assert wire.put(windows, release.zips[WINDOWS]).status_code == 200
    assert listed(api, provider) == ["1.0.0"]
    assert [each["attributes"]["version"] for each in data(auditor.api.get(f"{path_of(provider)}/versions"))] == ["1.0.0"]


def test_a_number_is_given_once(api: httpx.Client, provider: str) -> None:
    release = Release.made(provider, "1.0.0")

    def again(number: str) -> httpx.Response:
        return api.post(f"{path_of(provider)}/versions", json=document("registry-provider-versions", version=number))

    make_version(api, provider, "1.0.0")
    refused(again("1.0.0"), 409, says="waits for its upload")
    upload_zips(api, release)
    data(api.post(f"{path_of(provider)}/versions/1.0.0/actions/publish"))
    for number in ("1.0.0", "1.0.0+again"):
        refused(again(number), 409, says="a published version never changes")
    assert api.delete(f"{path_of(provider)}/versions/1.0.0").status_code == 204
    refused(again("1.0.0"), 409, says="published and deleted")
    assert api.delete(path_of(provider)).status_code == 204
    refused(api.post(PROVIDERS, json=document("registry-providers", name=provider)), 409, says="its name is not given away again")


def test_keys_that_cannot_verify_are_422(api: httpx.Client, provider: str, publisher: Publisher) -> None:
    other = Publisher("Other")

    def add(armor: str, **more: Any) -> httpx.Response:
        return api.post(keys_url(api), json=document("gpg-keys", **({"ascii_armor": armor, "providers": [provider]} | more)))

    armor = "/data/attributes/ascii-armor"
    refused(add("no key"), 422, pointer=armor)
    refused(add(other.revoked()), 422, pointer=armor, says="is revoked")
    refused(add(str(other.secret)), 422, pointer=armor)
    refused(add(other.armor, namespace="private"), 422, pointer="/data/attributes/namespace", says="reserved")
    refused(add(other.armor, providers=["nothing-of-this-name"]), 422, pointer="/data/attributes/providers", says="there is no provider")
    refused(add(other.armor, providers=[]), 422, pointer="/data/attributes/providers")
    refused(add(publisher.armor), 409, says="already")
    for key_id, says in (("0" * 16, "there is no GPG key"), ("short", "sixteen hexadecimal digits")):
        sent = document("registry-provider-versions", version="1.0.0", key_id=key_id)
        refused(api.post(f"{path_of(provider)}/versions", json=sent), 422, pointer="/data/attributes/key-id", says=says)


def test_keys_are_read_listed_and_deleted(api: httpx.Client, provider: str, publisher: Publisher) -> None:
    url = f"{keys_url(api)}/default/{publisher.key_id}"
    shown = data(api.get(url))
    assert (shown["type"], shown["attributes"]["key-id"], shown["attributes"]["namespace"]) == ("gpg-keys", publisher.key_id, "default")
    assert shown["attributes"]["ascii-armor"] == publisher.armor
    assert provider in shown["attributes"]["providers"]
    found = data(api.get(keys_url(api), params={"filter[namespace]": "default", "page[size]": 100}))
    assert publisher.key_id in {each["attributes"]["key-id"] for each in found}
    assert data(api.get(keys_url(api), params={"filter[namespace]": "nobody"})) == []
    assert data(api.patch(url, json=document("gpg-keys", namespace="default")))["id"] == shown["id"]
    refused(api.patch(url, json=document("gpg-keys", namespace="other")), 409, says="stays in its namespace")
    own = Publisher("For one test")
    data(add_key(api, own, provider), 201)
    assert api.delete(f"{keys_url(api)}/default/{own.key_id}").status_code == 204
    refused(api.get(f"{keys_url(api)}/default/{own.key_id}"), 404)


def test_a_zip_over_the_limit_is_refused_before_its_bytes(api: httpx.Client, provider: str) -> None:
    make_version(api, provider, "1.0.0")
    with Raw(announce(api, Release.made(provider, "1.0.0"), LINUX)["links"]["provider-binary-upload"]) as raw:
        raw.head("PUT", {"Content-Length": str(1024 * 1024 * 1024 + 1)})
        answer = raw.answer()
    assert (answer.status, b"zip of the provider is larger than the limit of 1024 MiB" in answer.body) == (413, True)


def test_sums_and_signatures_have_limits_too(api: httpx.Client, provider: str, publisher: Publisher) -> None:
    made = make_version(api, provider, "1.0.0", key_id=publisher.key_id)
    refused(wire.put(made["links"]["shasums-upload"], b"0" * (64 * 1024 + 1)), 413)
    put(made, "shasums-upload", Release.made(provider, "1.0.0").sums)
    signing = data(api.get(f"{path_of(provider)}/versions/1.0.0"))["links"]["shasums-sig-upload"]
    refused(wire.put(signing, b"0" * (64 * 1024 + 1)), 413)


def test_labels_are_tag_bindings_and_narrow_the_list(api: httpx.Client, provider: str) -> None:
    bindings = [{"type": "tag-bindings", "attributes": {"key": "team", "value": provider}}]
    shown = data(api.patch(path_of(provider), json={"data": {"type": "x", "relationships": {"tag-bindings": {"data": bindings}}}}))
    assert shown["attributes"]["labels"] == {"team": provider}
    found = data(api.get(f"registry-providers/{shown['id']}/tag-bindings"))
    assert [each["attributes"] for each in found] == [{"key": "team", "value": provider}]
    tagged = {"filter[tagged][0][key]": "team", "filter[tagged][0][value]": provider}
    assert [each["id"] for each in data(api.get(PROVIDERS, params=tagged))] == [shown["id"]]
    any_value = {"filter[tagged][0][key]": "team", "filter[tagged][0][value]": ""}
    assert shown["id"] in [each["id"] for each in data(api.get(PROVIDERS, params=any_value))]
    assert [each["id"] for each in data(api.get(PROVIDERS, params={"q": provider}))] == [shown["id"]]
