"""What admins are shown of the caches, and what a purge leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.support import wire
from tests.support.mirrored import REGISTRY, settings_of
from tests.support.server import Server
from tests.support.upstream import PLATFORMS, Upstream, upstream
from tests.support.waiting import until

OS, ARCH = PLATFORMS[0]
HERE = f"{OS}_{ARCH}"
FAKE = f"{REGISTRY}/acme/fake"
PET = f"{REGISTRY}/acme/pet/null"


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture(scope="module")
def server(up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that fetches nothing ahead, and has a provider and a module in its caches."""
    settings = {**settings_of(up), "MIRRORS__LOCK_PLATFORMS": ",", "MIRRORS__INDEX_FRESH_SECONDS": "0"}
    with closing(Server(tmp_path_factory.mktemp("caches"), settings=settings)) as server:
        server.start()
        get(server)
        yield server


def get(server: Server, *, module: bool = True) -> None:
    """Have both, as terraform does, until the server keeps what its client has already."""
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=60) as http:
        http.get(f"/v1/providers/{FAKE}/index.json").raise_for_status()
        told = http.get(f"/v1/providers/{FAKE}/1.0.0.json").raise_for_status().json()
        http.get(told["archives"][HERE]["url"]).raise_for_status()
        if module:
            told = http.get(f"/v1/modules/{PET}/1.0.0/download").raise_for_status()
            http.get(told.headers["X-Terraform-Get"].partition("?archive=")[0]).raise_for_status()
    until(lambda: provider(server)["cached"] and (not module or is_module_here(server)), "the server to keep it")


def is_module_here(server: Server) -> bool:
    """Whether the module's bytes are there."""
    return all(row["attributes"]["cached"] for row in wire.data(server.api.get("admin/module-cache", params={"q": "1.0.0"})))


def provider(server: Server, version: str = "1.0.0") -> dict[str, object]:
    """This machine's package of a version."""
    rows = wire.data(server.api.get("admin/provider-cache", params={"q": version}))
    return next(row["attributes"] for row in rows if row["attributes"]["platform"] == HERE)


def test_a_cached_provider_is_listed_with_its_digests_its_key_and_its_uses(server: Server) -> None:
    get(server)
    until(lambda: provider(server)["uses"] != 0, "uses to be written")
    found = provider(server)
    assert (found["source"], found["version"], found["cached"], found["signed"]) == (FAKE, "1.0.0", True, True)
    assert str(found["h1"]).startswith("h1:")
    assert len(str(found["sha256"])) == 64
    assert len(str(found["key-id"])) == 16


def test_lists_are_paged_and_narrowed_by_host_and_by_text(server: Server) -> None:
    document = server.api.get("admin/provider-cache", params={"page[size]": "1"}).json()
    assert len(document["data"]) == 1
    assert document["meta"]["pagination"]["total-count"] == len(PLATFORMS)
    for params, count in (({"filter[host]": "elsewhere.test"}, 0), ({"filter[host]": REGISTRY.upper()}, 4), ({"q": "fake_%"}, 0)):
        assert len(wire.data(server.api.get("admin/provider-cache", params=params))) == count, params
    rows = wire.data(server.api.get("admin/module-cache", params={"search[source]": "pet"}))
    assert [(row["type"], row["attributes"]["source"], row["attributes"]["signed"]) for row in rows] == [("cached-modules", PET, False)]


def test_a_purge_removes_the_bytes_and_what_was_pinned_stays(server: Server, up: Upstream) -> None:
    get(server)
    before = provider(server)
    path = f"admin/provider-cache/{FAKE}/1.0.0/{OS}/{ARCH}"
    assert server.api.delete(path).status_code == 204
    gone = provider(server)
    assert (gone["cached"], gone["sha256"], gone["h1"]) == (False, before["sha256"], before["h1"])
    refused = server.api.delete(path)
    assert (refused.status_code, "is not in the cache" in refused.text) == (404, True)
    fetched = up.count(f"*_{HERE}.zip")
    get(server, module=False)
    assert (up.count(f"*_{HERE}.zip"), provider(server)["cached"]) == (fetched + 1, True)


def test_a_purge_of_all_platforms_and_of_a_module(server: Server) -> None:
    get(server)
    assert server.api.delete(f"admin/provider-cache/{FAKE}/1.0.0").status_code == 204
    assert server.api.delete(f"admin/module-cache/{PET}/1.0.0").status_code == 204
    rows = wire.data(server.api.get("admin/provider-cache")) + wire.data(server.api.get("admin/module-cache"))
    assert not any(row["attributes"]["cached"] for row in rows)


@pytest.mark.parametrize(
    "path",
    [
        "provider-cache/registry..test/acme/fake/1.0.0",
        "provider-cache/registry.test/acme/fake/latest",
        "provider-cache/registry.test/acme/fake/1.0.0/linux/AMD64",
        "provider-cache/registry.test/a%2Fb/fake/1.0.0",
        "module-cache/registry.test/acme/net/AWS/1.0.0",
    ],
)
def test_a_purge_of_what_cannot_be_is_no_such_thing(server: Server, path: str) -> None:
    answer = server.api.delete(f"admin/{path}")
    assert answer.status_code == 404
    assert "errors" in answer.json()


def test_a_source_says_since_when_its_upstream_fails_and_why(server: Server, up: Upstream) -> None:
    def failing() -> bool:
        headers = {"Authorization": f"Bearer {server.token}"}
        httpx.get(f"{server.url}/v1/providers/{FAKE}/index.json", headers=headers, trust_env=False).raise_for_status()
        return source(server)["failed-at"] is not None

    with up.twisted("/v1/providers/acme/fake/versions", status=503):
        until(failing, "the failure to be noted")
        assert REGISTRY in str(source(server)["failure"])
    until(lambda: not failing(), "the source to be well again")


def test_metrics_tell_what_the_caches_answered_and_what_they_hold(server: Server) -> None:
    get(server)
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert 'terrapod_mirror_requests_total{kind="provider",outcome="hit"}' in text
    assert f'terrapod_mirror_fetched_bytes_total{{host="{REGISTRY}"}}' in text
    assert 'terrapod_mirror_packages{kind="provider"}' in text


def source(server: Server) -> dict[str, object]:
    """What is said of the provider."""
    rows = wire.data(server.api.get("admin/mirror-sources", params={"q": "acme/fake"}))
    found: dict[str, object] = rows[0]["attributes"]
    return found
