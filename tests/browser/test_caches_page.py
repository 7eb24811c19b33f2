"""The page about the caches: how much there is, what is in them, and which sources fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person
from tests.support.mirrored import REGISTRY, settings_of
from tests.support.server import Server
from tests.support.upstream import PLATFORMS, Upstream, upstream
from tests.support.waiting import until

HERE = "_".join(PLATFORMS[0])


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture(scope="module")
def server(up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this test's own, with one package of a provider."""
    settings = {**settings_of(up), "MIRRORS__LOCK_PLATFORMS": ",", "MIRRORS__INDEX_FRESH_SECONDS": "0"}
    with closing(Server(tmp_path_factory.mktemp("caches"), settings=settings)) as server:
        yield server.start()


def asked(server: Server, path: str) -> httpx.Response:
    """With the admin's token."""
    return httpx.get(f"{server.url}{path}", headers={"Authorization": f"Bearer {server.token}"}, trust_env=False).raise_for_status()


def test_an_admin_sees_what_is_cached_and_what_fails(person: Person, server: Server, up: Upstream) -> None:
    page = person.page
    person.sign_in()
    page.get_by_role("link", name="Caches").click()
    expect(page.get_by_text("There are no providers in the cache yet")).to_be_visible()
    asked(server, f"/v1/providers/{REGISTRY}/acme/fake/index.json")
    archives = asked(server, f"/v1/providers/{REGISTRY}/acme/fake/1.0.0.json").json()["archives"]
    httpx.get(urljoin(server.url, archives[HERE]["url"]), trust_env=False).raise_for_status()
    with up.twisted("/v1/providers/acme/fake/versions", status=503):
        until(lambda: _fails(server), "the failure to be noted")
        person.open("/app/caches")
        row = page.get_by_role("row", name=f"{REGISTRY}/acme/fake 1.0.0")
        expect(row).to_contain_text(HERE)
        expect(row).to_contain_text("by ")
        expect(page.get_by_role("heading", name="Sources that fail")).to_be_visible()
        expect(page.get_by_role("row", name="Providers 1")).to_be_visible()
    page.get_by_placeholder("Part of an address or version").fill("nothing-like-it")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("has “nothing-like-it” in its address or version")).to_be_visible()
    page.get_by_role("link", name="Modules").click()
    expect(page).to_have_url(f"{server.url}/app/caches?kind=modules&search=nothing-like-it")
    assert person.elsewhere() == []
    assert person.complaints == []


def _fails(server: Server) -> bool:
    asked(server, f"/v1/providers/{REGISTRY}/acme/fake/index.json")
    rows = asked(server, "/api/v2/admin/mirror-sources").json()["data"]
    return any(row["attributes"]["failed-at"] for row in rows)
