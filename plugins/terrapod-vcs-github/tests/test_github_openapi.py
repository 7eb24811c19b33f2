"""The kit once more, with Prism between the plugin and the GitHub of the tests: what either says is as GitHub's OpenAPI describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from terrapod_core.plugin import Connection
from terrapod_core.testing.vcs import Sample
from tests.support.forge import Answer
from tests.support.forge_github import GitHubForge
from tests.support.github_documents import SPEC
from tests.support.github_peer import GitHubKit, KitOfAToken, app_connection, prism_before, running


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubForge]:
    folder = tmp_path_factory.mktemp("github")
    with running(folder / "forge") as forge, prism_before(forge, folder):
        yield forge


@pytest.fixture(autouse=True)
def described(forge: GitHubForge) -> Iterator[None]:
    yield
    assert forge.violations == []


class TestAnApp(GitHubKit):
    @pytest.fixture
    def connection(self, forge: GitHubForge) -> Connection:
        return app_connection(forge)

    @pytest.fixture
    def refused(self, forge: GitHubForge) -> Connection:
        return app_connection(forge, **{"github-app-id": "54321"})


class TestAToken(KitOfAToken):
    pass


def test_a_request_that_is_not_as_described_is_noticed(forge: GitHubForge, pets: Sample) -> None:
    answer = forge.ask("POST", f"/repos/acme/pets/statuses/{pets.sha}", {"state": "splendid"})
    assert answer.status_code == 422
    assert "state" in forge.violations.pop()


def test_an_answer_that_is_not_as_described_is_noticed(forge: GitHubForge, pets: Sample) -> None:
    with forge.twisted("/unchecked/*", Answer.of({"id": "one"})):
        forge.ask("GET", "/repos/acme/pets")
    assert "must have required property" in str(forge.violations)
    forge.violations.clear()


def test_archives_are_where_they_are_described(forge: GitHubForge, pets: Sample) -> None:
    """Prism follows redirects, so these do not go through it."""
    operation = json.loads(SPEC.read_text())["paths"]["/repos/{owner}/{repo}/tarball/{ref}"]["get"]
    answer = forge.ask("GET", f"/repos/acme/pets/tarball/{pets.sha}")
    assert str(answer.status_code) in operation["responses"]
    assert operation["responses"]["302"]["headers"].keys() <= {"Location"} & {name.title() for name in answer.headers}
