"""Two ways to sign in on one page, of which one is another site, up or down: a real browser, a real plugin, a small Gitea."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Person
from tests.support import ROOT
from tests.support.server import Server

PLUGIN = ROOT / "contrib/terrapod-auth-gitea"


def small_gitea() -> AbstractContextManager[Any]:
    """The server that the plugin's own tests use."""
    spec = importlib.util.spec_from_file_location("gitea_server", PLUGIN / "tests/gitea_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gitea_server"] = module
    spec.loader.exec_module(module)
    made: AbstractContextManager[Any] = module.gitea()
    return made


class WithGitea(Server):
    """A server beside whose packages the plugin lies, as an installer would put it there."""

    program = ("-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from terrapod_core.cli import main; main()", "site")


@pytest.fixture(scope="module")
def gitea() -> Iterator[Any]:
    with small_gitea() as running:
        yield running


@pytest.fixture(scope="module")
def server(gitea: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("with-gitea")
    site = directory / "site"
    info = site / "terrapod_auth_gitea-0.1.0.dist-info"
    info.mkdir(parents=True)
    (site / "terrapod_auth_gitea").symlink_to(PLUGIN / "src/terrapod_auth_gitea")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: terrapod-auth-gitea\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[terrapod]\nauth-gitea = terrapod_auth_gitea\n")
    settings = {"URL": gitea.url, "CLIENT_ID": "the-client", "CLIENT_SECRET": "the-secret", "DISPLAY_NAME": "Gitea of the team"}
    server = WithGitea(directory, settings={f"AUTH__GITEA__{name}": value for name, value in settings.items()})
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def person(chromium: Browser, server: Server, gitea: Any) -> Iterator[Person]:
    context = chromium.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    person = Person(page, server)
    page.on("console", lambda message: person.complaints.append(message.text) if message.type == "error" else None)
    yield person
    gitea.down = False
    context.close()


def press_gitea(person: Person) -> None:
    person.page.get_by_role("link", name="Gitea of the team").click()
    person.page.wait_for_load_state()


def test_both_ways_are_on_one_page_and_each_leads_where_the_person_wanted_to_go(person: Person) -> None:
    person.open("/app/settings/tokens")
    expect(person.page.get_by_role("heading", name="E-mail and password")).to_be_visible()
    press_gitea(person)
    expect(person.page).to_have_url(re.compile(r"/app/settings/tokens$"))
    expect(person.page.get_by_text("ada", exact=True)).to_be_visible()
    person.page.get_by_role("button", name="Sign out").click()
    person.page.wait_for_load_state()
    person.sign_in("/app/settings/tokens")
    expect(person.page.get_by_text(person.server.email)).to_be_visible()
    assert person.complaints == []


def test_one_that_is_down_is_named_and_the_other_still_lets_people_in(person: Person, gitea: Any, tmp_path: Path) -> None:
    gitea.down = True
    person.open("/app/settings/tokens")
    press_gitea(person)
    alert = person.page.get_by_role("alert")
    expect(alert).to_contain_text("signing in with Gitea of the team does not work at the moment: it answers 500")
    expect(person.page.get_by_role("link", name="Gitea of the team")).to_be_visible()
    assert "nobody asked" not in person.page.content()
    person.page.screenshot(path=tmp_path / "one-is-down.png", full_page=True)
    person.page.fill("input[name=email]", person.server.email)
    person.page.fill("input[name=password]", person.server.password)
    person.page.get_by_role("button", name="Sign in").click()
    expect(person.page).to_have_url(re.compile(r"/app/settings/tokens$"))


def test_one_that_comes_up_again_lets_people_in_from_the_same_page(person: Person, gitea: Any) -> None:
    gitea.down = True
    person.open("/app")
    press_gitea(person)
    expect(person.page.get_by_role("alert")).to_be_visible()
    gitea.down = False
    press_gitea(person)
    expect(person.page.get_by_role("heading", name="Workspaces")).to_be_visible()
