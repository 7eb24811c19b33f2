"""People and things on the server, and HashiCorp's own client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from pytfe import TFEClient, TFEConfig

from tests.support.endpoints import World, make_world
from tests.support.server import Server
from tests.support.wire import Person, make_person


@pytest.fixture(scope="session")
def world(server: Server) -> World:
    """One of each thing, the admin's; no test changes it."""
    return make_world(server.api)


@pytest.fixture(scope="session")
def alice(server: Server) -> Iterator[Person]:
    """A user with no role."""
    person = make_person(server, "alice")
    with closing(person.api):
        yield person


@pytest.fixture(scope="session")
def auditor(server: Server) -> Iterator[Person]:
    """A user who may read everything and change nothing."""
    person = make_person(server, "auditor", "audit")
    with closing(person.api):
        yield person


@pytest.fixture(scope="session")
def tfe(server: Server) -> Iterator[TFEClient]:
    """HashiCorp's own client, as the admin. It retries nothing: what fails once shall be seen."""
    with TFEClient(TFEConfig(address=server.url, token=server.token, max_retries=0, ca_bundle=None)) as client:
        yield client
