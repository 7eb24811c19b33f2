"""The module registry over HTTP: what terraform asks, links without a token, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.raw import Raw
from tests.support.server import Server
from tests.support.wire import Person, archive, data, document, fresh, put, ref, refused

FILES = {"main.tf": wire.QUICK, "modules/inner/main.tf": wire.QUICK}


@pytest.fixture
def module(api: httpx.Client) -> str:
    """The name of a module of the test's own."""
    name = fresh("module")
    wire.make_module(api, name)
    return name


def path(module: str) -> str:
    """Where a module is managed."""
    return f"{wire.ORG}/registry-modules/default/{module}/aws"


def protocol(module: str) -> str:
    """Where terraform asks for it."""
    return f"registry/modules/default/{module}/aws"


def version(api: httpx.Client, module: str, number: str) -> httpx.Response:
    """Make a version."""
    return api.post(f"{path(module)}/versions", json=document("registry-module-versions", version=number))


def listed(api: httpx.Client, module: str) -> list[str]:
    """What terraform is told of."""
    answer = api.get(f"{protocol(module)}/versions")
    assert answer.headers["Content-Type"] == wire.JSON
    return [each["version"] for each in answer.json()["modules"][0]["versions"]]


def test_an_archive_is_fetched_by_a_link_without_a_token(api: httpx.Client, server: Server, module: str) -> None:
    wire.publish_module(api, module, "1.2.0", FILES)
    found = api.get(f"{protocol(module)}/1.2.0/download")
    assert (found.status_code, found.content) == (204, b"")
    link, _, query = found.headers["X-Terraform-Get"].partition("?")
    assert query == "archive=tar.gz"
    with httpx.Client(base_url=server.url, trust_env=False) as anybody:
        head = anybody.head(link)
        assert (head.status_code, head.headers["Content-Type"]) == (200, "application/gzip")
        got = anybody.get(link, params={"archive": "tar.gz"}, headers={"Authorization": "Bearer of-another-server"})
        assert got.content == archive(FILES)
        assert got.headers["ETag"] == f'"{hashlib.sha256(got.content).hexdigest()}"'
        part = anybody.get(link, headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, got.content[:10])
        assert anybody.put(link, content=b"x").status_code == 404
        refused(anybody.get(f"/api/v2/{protocol(module)}/versions"), 401)


def test_a_link_ends_with_its_version(api: httpx.Client, server: Server, module: str) -> None:
    wire.publish_module(api, module, "1.0.0")
    link = server.url + api.get(f"{protocol(module)}/1.0.0/download").headers["X-Terraform-Get"]
    assert api.delete(f"{path(module)}/1.0.0").status_code == 204
    refused(httpx.get(link, trust_env=False), 404, says="deleted or revoked")
    refused(api.get(f"{protocol(module)}/1.0.0/download"), 404)


def test_a_refused_download_is_text_that_terraform_prints(api: httpx.Client, module: str) -> None:
    wire.publish_module(api, module, "1.0.0")
    sent = document("registry-module-versions", revocation={"reason": "Writes keys to the log", "link": "https://example.com/cve"})
    assert wire.attributes(api.patch(f"{path(module)}/1.0.0", json=sent))["revocation"]["link"] == "https://example.com/cve"
    found = api.get(f"{protocol(module)}/1.0.0/download")
    assert (found.status_code, found.headers["Content-Type"]) == (410, "text/plain; charset=utf-8")
    assert "Writes keys to the log (https://example.com/cve). There is no version that is not revoked" in found.text


@pytest.mark.parametrize("number", ["1", "1.0", "v1.0.0", "1.0.0-", "01.0.0", "latest", "", "1.0.0 ", "1.0.0/../2", "1" * 200])
def test_a_version_that_is_not_semantic_is_422(api: httpx.Client, module: str, number: str) -> None:
    refused(version(api, module, number), 422, pointer="/data/attributes/version", says="is not a semantic version")
    assert data(api.get(f"{path(module)}/versions")) == []


@pytest.mark.parametrize("namespace", ["private", "public"])
def test_reserved_namespaces_are_422(api: httpx.Client, namespace: str) -> None:
    sent = document("registry-modules", name=fresh("module"), provider="aws", namespace=namespace)
    refused(api.post(f"{wire.ORG}/registry-modules", json=sent), 422, pointer="/data/attributes/namespace", says="reserved")


def test_a_number_is_given_once(api: httpx.Client, module: str) -> None:
    first = version(api, module, "1.0.0")
    refused(version(api, module, "1.0.0"), 409, says="waits for its upload")
    assert put(data(first, 201)["links"]["upload"], archive(FILES)).status_code == 200
    for number in ("1.0.0", "1.0.0+again"):
        refused(version(api, module, number), 409, says="a published version never changes")
    assert api.delete(f"{path(module)}/1.0.0").status_code == 204
    refused(version(api, module, "1.0.0"), 409, says="published and deleted")
    assert api.delete(path(module)).status_code == 204
    again = document("registry-modules", name=module, provider="aws")
    refused(api.post(f"{wire.ORG}/registry-modules", json=again), 409, says="its name is not given away again")


def test_nothing_half_published_is_listed(api: httpx.Client, auditor: Person, module: str) -> None:
    wire.publish_module(api, module, "1.0.0")
    link = data(version(api, module, "1.1.0"), 201)["links"]["upload"]
    whole = archive(FILES)
    for content in (b"", b"no archive", whole[:-20]):
        refused(put(link, content), 422, says="archive is refused")
    outside = wire.packed([wire.entry("../outside.tf", b"x")])
    refused(put(link, outside), 422, says="leaves")
    assert listed(api, module) == ["1.0.0"]
    refused(api.get(f"{protocol(module)}/1.1.0/download"), 404)
    assert [each["attributes"]["version"] for each in data(auditor.api.get(f"{path(module)}/versions"))] == ["1.0.0"]
    refused(auditor.api.get(f"{path(module)}/1.1.0"), 404)
    assert put(link, whole).status_code == 200
    assert listed(api, module) == ["1.1.0", "1.0.0"]


def test_an_archive_over_the_limit_is_refused_before_its_bytes(api: httpx.Client, module: str) -> None:
    with Raw(data(version(api, module, "1.0.0"), 201)["links"]["upload"]) as raw:
        raw.head("PUT", {"Content-Length": str(100 * 1024 * 1024 + 1)})
        answer = raw.answer()
    assert (answer.status, b"module archive is larger than the limit of 100 MiB" in answer.body) == (413, True)


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (document("x", deprecation={"link": "https://example.com"}), "/data/attributes/deprecation"),
        (document("x", deprecation={"reason": "old", "deprecated-status": "Gone"}), "/data/attributes/deprecation"),
        (document("x", revocation={"reason": "bad", "link": "javascript:alert(1)"}), "/data/attributes/revocation"),
        (document("x", revocation={"reason": 7}), "/data/attributes/revocation/reason"),
        (document("x", revocation="bad"), "/data/attributes/revocation"),
    ],
)
def test_what_cannot_be_said_of_a_version_is_422(api: httpx.Client, module: str, sent: Any, pointer: str) -> None:
    wire.publish_module(api, module, "1.0.0")
    refused(api.patch(f"{path(module)}/1.0.0", json=sent), 422, pointer=pointer)


def test_what_is_not_published_is_neither_deprecated_nor_revoked(api: httpx.Client, module: str) -> None:
    version(api, module, "1.0.0")
    sent = document("registry-module-versions", deprecation={"reason": "old"})
    refused(api.patch(f"{path(module)}/1.0.0", json=sent), 409, says="delete it instead")
    refused(api.post(f"{path(module)}/1.0.0/actions/release"), 409, says="waits for its upload")


@pytest.mark.parametrize(
    ("relationships", "pointer"),
    [
        ({"owner": ref("users", "user-1111111111111111")}, "/data/relationships/owner"),
        ({"publishers": [ref("users", "user-1111111111111111")]}, "/data/relationships/publishers"),
        ({"publishers": "x"}, "/data/relationships/publishers*"),
        ({"tag-bindings": [{"type": "tag-bindings", "attributes": {"value": "x"}}]}, "/data/relationships/tag-bindings"),
    ],
)
def test_who_is_not_there_owns_and_publishes_nothing(api: httpx.Client, module: str, relationships: Any, pointer: str) -> None:
    refused(api.patch(path(module), json=document("registry-modules", relationships)), 422, pointer=pointer)


@pytest.mark.parametrize(
    "asked",
    [
        "registry/modules/default/never-made/aws/versions",
        "registry/modules/default/never-made/aws/1.0.0/download",
        f"{wire.ORG}/registry-modules/default/never-made/aws",
        f"{wire.ORG}/registry-modules/private/default/never-made/aws/1.0.0",
        "registry-modules/mod-1111111111111111",
        "registry-modules/mod-1111111111111111/versions",
    ],
)
def test_what_is_not_there_is_404_in_one_sentence(api: httpx.Client, alice: Person, asked: str) -> None:
    for client in (api, alice.api):
        refused(client.get(asked), 404, says="there is no such module, or you may not see it")


@pytest.mark.parametrize("number", ["9.9.9", "v1.0.0", "latest", "versions%2F1", "1.0.0%00"])
def test_a_version_that_is_none_is_404_in_a_path(api: httpx.Client, module: str, number: str) -> None:
    wire.publish_module(api, module, "1.0.0")
    refused(api.get(f"{path(module)}/{number}"), 404)
    refused(api.get(f"{protocol(module)}/{number}/download"), 404)


def test_a_module_is_included_in_its_version(api: httpx.Client, module: str) -> None:
    shown = wire.publish_module(api, module, "1.0.0")
    found = api.get(f"{path(module)}/1.0.0", params={"include": "registry-module"}).json()
    assert [each["attributes"]["name"] for each in found["included"]] == [module]
    assert found["data"]["relationships"]["created-by"]["data"]["id"] == data(api.get("account/details"))["id"]
    assert shown["attributes"]["size"] == len(archive({"main.tf": wire.QUICK}))
