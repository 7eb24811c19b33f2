"""A server whose only way to providers and modules is a local upstream, and terraforms that know nothing but the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.mirrored import Client, settings_of
from tests.support.server import Server
from tests.support.upstream import Upstream, upstream


@pytest.fixture
def up() -> Iterator[Upstream]:
    """The upstream of one test; its provider can be started."""
    with upstream(running_provider=True) as up:
        yield up


@pytest.fixture
def mirroring(new_server: Callable[..., Server], engines: dict[str, str], up: Upstream) -> Callable[..., Server]:
    """Starts a server that mirrors the upstream, over https unless told otherwise; the arguments are further settings."""

    def make(*, dev_tls: bool = True, **settings: str) -> Server:
        return new_server(dev_tls=dev_tls, settings={**engines, **settings_of(up), **settings}).start()

    return make


@pytest.fixture
def new_client(terraform: Path, tmp_path: Path) -> Callable[[Server], Client]:
    """Makes people, each with a directory of their own, whose terraform asks the server for everything."""
    made: list[Client] = []

    def make(server: Server) -> Client:
        made.append(Client(terraform, tmp_path / f"client-{len(made) + 1}", server))
        return made[-1]

    return make
