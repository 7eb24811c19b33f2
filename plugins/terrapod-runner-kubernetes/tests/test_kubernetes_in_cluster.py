"""A server that is a pod itself: the files and variables of a pod, and TLS of the cluster's own authority."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import trustme

from terrapod_core.plugin import LaunchFailed, LaunchPostponed, PhaseSpec, SettingsError
from terrapod_core.testing.runners import ended
from terrapod_runner_kubernetes import cluster as cluster_module, register_runner_backends
from terrapod_runner_kubernetes.backend import KubernetesRunner
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings
from tests.support.kubelet import JOBS, NAMESPACE, Kubelet, LateClock, PaperCluster

IN_A_POD = KubernetesRunnerSettings(image="registry.example.com/runner:1", force_seconds=1)


@pytest_asyncio.fixture
async def door(cluster: PaperCluster) -> AsyncIterator[tuple[int, trustme.CA]]:
    """The API as pods reach it: over TLS. Its port, and the authority that its certificate is of."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    inside = urlsplit(str(cluster.url))
    under_way: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back = await asyncio.open_connection(inside.hostname, inside.port)
        for source, target in ((reader, back[1]), (back[0], writer)):
            task = asyncio.create_task(pass_on(source, target))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1], authority
    server.close()
    for task in list(under_way):
        task.cancel()
    await asyncio.gather(*under_way)


@pytest.fixture
def pod(door: tuple[int, trustme.CA], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: PaperCluster) -> Path:
    """What the kubelet puts into a pod: its directory."""
    port, authority = door
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "token").write_text("first-token-of-the-pod")
    (directory / "namespace").write_text(NAMESPACE)
    authority.cert_pem.write_to_path(str(directory / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    monkeypatch.setattr(cluster_module, "SERVICE_ACCOUNT", directory)
    cluster.bearer = "first-token-of-the-pod"
    return directory


@pytest_asyncio.fixture
async def inside(pod: Path) -> AsyncIterator[KubernetesRunner]:
    """The backend of a server in a pod."""
    made = KubernetesRunner(IN_A_POD, clock=LateClock(), log=logging.getLogger("terrapod.plugins.runner-kubernetes"))
    yield made
    await made.close()


async def test_a_pod_asks_its_own_cluster_with_its_own_token(
    inside: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    assert await inside.self_test() is None
    handle = await inside.launch(phase)
    assert (JOBS, NAMESPACE, str(handle["job"])) in cluster.objects
    assert (await inside.poll(handle)).running
    await inside.cancel(handle, force=True)
    await ended(inside, handle)
    await inside.forget(handle)


async def test_a_token_that_was_changed_is_read_again(inside: KubernetesRunner, cluster: PaperCluster, phase: PhaseSpec, pod: Path) -> None:
    handle = await inside.launch(phase)
    cluster.bearer = "second-token-of-the-pod"
    with pytest.raises(LaunchPostponed, match="does not accept the server's credentials"):
        await inside.launch(phase)
    assert (await inside.poll(handle)).running, "what is not known is not lost"
    (pod / "token").write_text("second-token-of-the-pod")
    assert await inside.find(phase.run_id, phase.phase_id, phase.epoch) == handle


async def test_another_authority_is_not_trusted_and_gets_no_token(
    inside: KubernetesRunner, cluster: PaperCluster, phase: PhaseSpec, pod: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(pod / "ca.crt"))
    with pytest.raises(LaunchPostponed, match="cannot be reached: .*certificate verify failed"):
        await inside.launch(phase)
    assert not cluster.asked


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("token", "No such file"),
        ("namespace", "No such file"),
        ("ca.crt", "cannot be used"),
        ("KUBERNETES_SERVICE_HOST", "does not say where"),
    ],
)
async def test_what_a_pod_lacks_is_named(
    inside: KubernetesRunner, phase: PhaseSpec, pod: Path, monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    if missing.isupper():
        monkeypatch.delenv(missing)
    else:
        (pod / missing).unlink()
    with pytest.raises(SettingsError, match=said):
        await inside.self_test()
    with pytest.raises(LaunchFailed, match=said):
        await inside.launch(phase)


async def test_the_hook_needs_settings_clock_and_log_alone(inside: KubernetesRunner, phase: PhaseSpec) -> None:
    """As in a listener, which has no database."""
    bare = type("Bare", (), {"settings": IN_A_POD, "clock": LateClock(), "log": logging.getLogger("terrapod.plugins.runner-kubernetes")})()
    (backend,) = register_runner_backends(bare)
    assert isinstance(backend, KubernetesRunner)
    assert await backend.self_test() is None
    await backend.forget(await backend.launch(phase))
    await backend.close()
