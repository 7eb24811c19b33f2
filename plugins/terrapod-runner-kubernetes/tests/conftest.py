"""A cluster on paper for each test, and the plugin's backend in it."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from terrapod_core.plugin import PhaseSpec
from terrapod_core.testing.runners import SCRIPT
from terrapod_runner_kubernetes.backend import KubernetesRunner
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings
from tests.support.kubelet import Kubelet, LateClock, PaperCluster, paper_cluster

TOKEN = "phase-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def unclosed(request: pytest.FixtureRequest) -> Iterator[None]:
    """A watch that is ended while its connection is being opened leaves it open: the client's doing, and no matter at a server's end."""
    yield
    if "place" in request.fixturenames:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[PaperCluster, Path]]:
    async with paper_cluster(tmp_path) as made:
        yield made


@pytest.fixture
def cluster(place: tuple[PaperCluster, Path]) -> PaperCluster:
    return place[0]


@pytest.fixture
def settings(place: tuple[PaperCluster, Path]) -> KubernetesRunnerSettings:
    return KubernetesRunnerSettings(image="registry.example.com/runner:1", kubeconfig=place[1], force_seconds=1)


@pytest_asyncio.fixture
async def made(settings: KubernetesRunnerSettings) -> AsyncIterator[Callable[[], KubernetesRunner]]:
    """Makes backends that have nothing of each other's, as a server has after each restart."""
    runners: list[KubernetesRunner] = []

    def make() -> KubernetesRunner:
        runners.append(KubernetesRunner(settings, clock=LateClock(), log=logging.getLogger("terrapod.plugins.runner-kubernetes")))
        return runners[-1]

    yield make
    for each in runners:
        await each.close()


@pytest.fixture
def runner(made: Callable[[], KubernetesRunner]) -> KubernetesRunner:
    return made()


@pytest.fixture
def again(made: Callable[[], KubernetesRunner]) -> KubernetesRunner:
    """The backend of a server that came back: nothing of the other one's is in it."""
    return made()


@pytest_asyncio.fixture
async def kubelet(cluster: PaperCluster, runner: KubernetesRunner, again: KubernetesRunner, tmp_path: Path) -> AsyncIterator[Kubelet]:
    """The node; its image holds the kit's script in place of the runner program."""
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    program = (sys.executable, "-I", "-S", str(script), str(tmp_path), "waiting")
    async with Kubelet(cluster, program, grace=0.5).at_work() as kubelet:
        yield kubelet


@pytest.fixture
def phase() -> PhaseSpec:
    return PhaseSpec(
        run_id="run-2uPXtbAVfmCkwGsT",
        phase_id="plan-9kPXtbAVfmCkwGsT",
        phase="plan",
        epoch=1,
        url="https://terrapod.example.com",
        token=TOKEN,
        certificate=None,
        program=("python", "-m", "terrapod_core.runner"),
        engines_dir=None,
        organization="acme",
        workspace="network",
    )
