"""terraform against a real server whose runs are Jobs of a cluster on paper, and pods that run the real runner program."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from terrapod_core.storage import Holder
from terrapod_core.storage.phase_tokens import PREFIXES
from tests.cli.conftest import NewWorkspace
from tests.support import ROOT
from tests.support.kubelet import JOBS, PODS, SECRETS, Kubelet, PaperCluster, paper_cluster
from tests.support.server import Server
from tests.support.tf import resources
from tests.support.waiting import until

IMAGE = """
import json, os, sys
order = json.load(sys.stdin)
order["url"], order["work-dir"] = sys.argv[1:]
reader, writer = os.pipe()
os.write(writer, json.dumps(order).encode())
os.close(writer)
os.dup2(reader, 0)
os.execv(sys.executable, [sys.executable, "-m", "terrapod_core.runner"])
"""
"""What a pod has of its own: names that lead to the server, and a place to work in."""

THREE = 'resource "terraform_data" "a" {\n  count = 3\n}\n'


class Cluster:
    """The cluster in a thread of its own; terraform is waited for in the test's."""

    def __init__(self, directory: Path, server: str) -> None:
        self._ready: Future[tuple[PaperCluster, Path, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        image = directory / "image.py"
        image.write_text(IMAGE)
        program = (sys.executable, str(image), server, str(directory / "pod"))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play(directory, program)))
        self._thread.start()
        self.objects, self.kubeconfig, self._loop, self._stop = self._ready.result(30)

    async def _play(self, directory: Path, program: tuple[str, ...]) -> None:
        stop = asyncio.Event()
        async with paper_cluster(directory) as (cluster, kubeconfig), Kubelet(cluster, program).at_work():
            self._ready.set_result((cluster, kubeconfig, asyncio.get_running_loop(), stop))
            await stop.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def names(self, kind: object) -> list[str]:
        """What is there of a kind."""
        return [name for (found, _, name), each in list(self.objects.objects.items()) if found == kind and not each.deleted]


@pytest.fixture
def unstarted(tmp_path: Path) -> Server:
    return Server(tmp_path / "server", settings={"RUNNER__BACKEND": "kubernetes", "RUNNER__URL": "http://terrapod.test"})


@pytest.fixture
def cluster(unstarted: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.chdir(ROOT)
    cluster = Cluster(tmp_path, unstarted.url)
    yield cluster
    cluster.close()


@pytest.fixture
def server(unstarted: Server, cluster: Cluster) -> Iterator[Server]:
    unstarted.set("RUNNER__KUBERNETES__IMAGE", "registry.example.com/runner:1")
    unstarted.set("RUNNER__KUBERNETES__KUBECONFIG", str(cluster.kubeconfig))
    yield unstarted.start()
    unstarted.close()


def test_a_plan_and_its_apply_are_jobs_of_what_the_workspace_asks_for(
    new_workspace: NewWorkspace, cluster: Cluster, server: Server
) -> None:
    workspace = new_workspace(THREE)
    workspace.update(resource_cpu="250m", resource_memory="700Mi")
    done = workspace.tf.run("apply", "-auto-approve")
    assert "Apply complete! Resources: 3 added" in done.text
    assert len(resources(workspace.state())) == 3
    until(lambda: not cluster.names(JOBS) + cluster.names(PODS), "the Jobs of a run that is over to be removed, and their pods")
    made = [each.history[0] for (kind, _, _), each in cluster.objects.objects.items() if kind == JOBS]
    asked = [each["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] for each in made if each is not None]
    assert [(each["cpu"], each["memory"]) for each in asked] == [("250m", "700Mi")] * 2
    secrets = [str(each.history[0]) for (kind, _, _), each in cluster.objects.objects.items() if kind == SECRETS]
    assert [PREFIXES[Holder.SUPERVISOR] in each for each in secrets] == [True, True]
    assert not cluster.names(SECRETS)
    assert not any(PREFIXES[Holder.SUPERVISOR] in each for each in (*cluster.objects.bodies, server.said()))
