"""A server, and terraform programs that know it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.gate import Gate
from tests.support.server import Server, running, show_logs
from tests.support.tf import Terraform, cloud, fresh_name
from tests.support.workspace import Workspace


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the server said meanwhile."""
    report = yield
    show_logs(report)
    return report


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole suite. Tests leave it in a state in which the others can use it."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers of the test's own, not started yet; the arguments are those of `Server` without the directory."""
    made: list[Server] = []

    def make(**options: object) -> Server:
        made.append(Server(tmp_path / f"server-{len(made) + 1}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.close()


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
        name = fresh_name()
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
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A place at which a plan or an apply stops until the test opens it."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()
