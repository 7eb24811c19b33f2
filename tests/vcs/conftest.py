"""Servers that follow repositories of a forge, of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import sandboxes
from tests.support.followed import KINDS, Followed, Kind, following, kind_of


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
