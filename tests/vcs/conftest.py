"""A server that follows repositories of a forge, of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.followed import KINDS, Followed, Kind
from tests.support.server import Server


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of forge."""
    return KINDS[request.param]


@pytest.fixture(scope="module")
def site(kind: Kind, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A forge and a server that looks at it every second, shared by a module's tests."""
    root = tmp_path_factory.mktemp(f"forge-{kind.name}")
    forge = kind.forge(root)
    forge.start()
    settings = {
        "OUTGOING__CA_FILE": str(forge.ca_file),
        "VCS__POLL_SECONDS": "1",
        "VCS__POLL_QUIET_SECONDS": "1",
        "VCS__RETRY_SECONDS": "1",
        "RUNNER__ENGINES_DIR": str(terraform.parent),
        **kind.settings,
    }
    server = Server(root / "server", settings=settings)
    server.start()
    try:
        yield Followed(kind, forge, server)
    finally:
        server.close()
        forge.stop()
