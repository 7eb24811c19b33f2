"""A server that follows repositories of a forge, of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.followed import KINDS, Followed, Kind, opened


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of forge."""
    return KINDS[request.param]


@pytest.fixture(scope="module")
def site(kind: Kind, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A forge and a server that looks at it every second, shared by a module's tests."""
    with opened(kind, terraform, tmp_path_factory.mktemp(f"forge-{kind.name}")) as site:
        yield site
