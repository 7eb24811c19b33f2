"""Terraform programs that know the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.gate import Gate
from tests.support.listeners import make_pool
from tests.support.listening import NewListener
from tests.support.server import Server
from tests.support.tf import Terraform, cloud
from tests.support.wire import fresh
from tests.support.workspace import Workspace


@pytest.fixture
def tf(terraform: Path, server: Server, tmp_path: Path) -> Terraform:
    """An empty directory whose terraform knows the shared server."""
    return Terraform(terraform, tmp_path / "work", server)


class NewWorkspace(Protocol):
    """Makes a workspace and a directory for it."""

    def __call__(self, configuration: str = "", *, mode: str = "remote", on: Server | None = None) -> Workspace: ...


@pytest.fixture
def new_workspace(terraform: Path, server: Server, tmp_path: Path) -> NewWorkspace:
    """Initialises a directory for a new workspace of the shared server, or of the server `on`, by a `cloud` block with a name."""

    def make(configuration: str = "", *, mode: str = "remote", on: Server | None = None) -> Workspace:
        name = fresh()
        tf = Terraform(terraform, tmp_path / name, on or server)
        tf.write(cloud(tf.server, f'name = "{name}"'), "cloud.tf")
        tf.write(configuration)
        tf.run("init", "-input=false")
        workspace = Workspace(tf, name)
        if mode != "remote":
            workspace.update(execution_mode=mode)
        return workspace

    return make


@pytest.fixture
def pool(server: Server) -> str:
    """The id of an agent pool of the test's own."""
    return str(make_pool(server.api)["id"])


@pytest.fixture
def new_listener(tmp_path: Path, server: Server, engines: dict[str, str]) -> Iterator[NewListener]:
    """Makes listeners of the shared server, or of another, that are gone at the end."""
    made = NewListener(tmp_path / "listeners", server, engines)
    yield made
    made.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A place at which a plan or an apply stops until the test opens it."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()
