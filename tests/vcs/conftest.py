"""Servers that follow repositories of a forge, of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import sandboxes
from tests.support.followed import KINDS, Followed, Kind, following, kind_of

OF_EACH_KIND = ("test_any_git", "test_pull_requests", "test_pushes", "test_tags", "test_webhooks")
"""Modules whose tests run for each kind of forge by default; the others for GitHub alone, and with `nox -s long` for all."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is the same for every forge is shown with one of them each day, with all of them before a release."""
    for item in items:
        kind = getattr(getattr(item, "callspec", None), "params", {}).get("kind", "github")
        if item.path.parent == Path(__file__).parent and kind != "github" and item.path.stem not in OF_EACH_KIND:
            item.add_marker("long")


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of forge; with `EVERY_KIND` also a server that knows git and nothing else."""
    return kind_of(request.param)


@pytest.fixture(scope="module")
def site(kind: Kind, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A forge and a server that looks at it every second, shared by a module's tests."""
    with following(kind, terraform, tmp_path_factory.mktemp(f"forge-{kind.name}")) as site:
        yield site


@pytest.fixture(scope="module")
def isolated_site(kind: Kind, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """The same with a server whose runs are kept in sandboxes, and that terraform itself may ask over TLS. Skips where none can be made."""
    sandboxes.order()
    settings = {"RUNNER__LOCAL__ISOLATION": "sandbox"}
    with following(kind, terraform, tmp_path_factory.mktemp(f"isolated-{kind.name}"), settings, dev_tls=True) as followed:
        yield followed
