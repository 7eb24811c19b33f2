"""A server of the fuzzers' own: what they make and break there is nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, settings as profiles

from tests.support import wire
from tests.support.endpoints import World, make_world
from tests.support.known_forge import trusting
from tests.support.server import Server, running

profiles.register_profile("fuzz", deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
profiles.load_profile("fuzz")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its log holds a line for every request: only warnings are of use here."""
    with running(
        tmp_path_factory.mktemp("fuzzed"), settings={"LOG_LEVEL": "warning", "PLUGIN__SYNC__REQUESTS_PER_MINUTE": "0", **trusting()}
    ) as server:
        yield server


@pytest.fixture(scope="session")
def world(api: httpx.Client) -> World:
    """One of each thing, any of which may be changed. Its workspace runs nothing: a lucky document would start terraform."""
    world = make_world(api)
    wire.data(api.patch(f"workspaces/{world.workspace}", json=wire.document("workspaces", execution_mode="local")))
    return world
