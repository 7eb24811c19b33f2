"""Clusters that are away, forbid, forget, do not schedule; and secrets, which go nowhere but into their Secret."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import pytest_asyncio

from terrapod_core.plugin import Handle, LaunchFailed, LaunchPostponed, PhaseSpec, SettingsError
from terrapod_core.testing.runners import ended, until
from terrapod_runner_kubernetes import manifests, watching
from terrapod_runner_kubernetes.backend import KubernetesRunner
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings
from tests.support.kubelet import EVENTS, JOBS, NAMESPACE, PODS, SECRETS, UNSCHEDULABLE, Kubelet, LateClock, PaperCluster

log = logging.getLogger("terrapod.plugins.runner-kubernetes")


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


@pytest_asyncio.fixture
async def late(settings: KubernetesRunnerSettings, clock: LateClock, cluster: PaperCluster) -> AsyncIterator[KubernetesRunner]:
    """A backend whose clock the test turns."""
    made = KubernetesRunner(settings, clock=clock, log=log)
    yield made
    await made.close()


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], Awaitable[Any]]:
    """What the program read, once it has."""

    async def is_there() -> bool:
        return (tmp_path / "told.json").exists()

    async def wait() -> Any:
        await until(is_there)
        return json.loads((tmp_path / "told.json").read_text())

    return wait


def there(cluster: PaperCluster, kind: Any) -> list[dict[str, Any]]:
    """The objects of a kind that are not deleted."""
    return [each.raw for (found, _, _), each in cluster.objects.items() if found == kind and not each.deleted]


async def running(runner: KubernetesRunner, handle: Handle) -> None:
    async def is_running() -> bool:
        return (await runner.poll(handle)).detail == "running"

    await until(is_running)


# -- secrets


async def test_a_planted_secret_is_in_no_job_pod_event_or_log_line(
    runner: KubernetesRunner,
    kubelet: Kubelet,
    cluster: PaperCluster,
    phase: PhaseSpec,
    told: Callable[[], Awaitable[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    handle = await runner.launch(phase)
    assert (await told())["token"] == phase.token
    await running(runner, handle)
    await runner.cancel(handle, force=True)
    await ended(runner, handle)
    await runner.forget(handle)
    written = [*cluster.bodies, *(json.dumps(there(cluster, kind)) for kind in (JOBS, PODS, EVENTS)), caplog.text, json.dumps(handle)]
    assert len(cluster.bodies) > 5
    assert not any(phase.token in each for each in written)


async def test_the_secret_goes_once_the_program_has_begun(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await runner.launch(phase)
    secret = cluster.objects[SECRETS, NAMESPACE, str(handle["job"])].history[0]
    job = cluster.objects[JOBS, NAMESPACE, str(handle["job"])]
    assert secret is not None
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    await running(runner, handle)

    async def is_gone() -> bool:
        return not there(cluster, SECRETS)

    await until(is_gone)


async def test_what_is_sent_is_valid(runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec) -> None:
    handle = await runner.launch(phase)
    for kind in (JOBS, SECRETS):
        made = cluster.objects[kind, NAMESPACE, str(handle["job"])].history[0]
        assert made is not None
        kubernetes_validate.validate(made.raw, "1.37", strict=True)


def test_the_order_reaches_the_program_and_no_file_of_it_stays(tmp_path: Path) -> None:
    secret, order, tools = (tmp_path / name for name in ("secret", "order", "tools"))
    for each in (secret, order, tools):
        each.mkdir()
    (secret / manifests.ORDER).write_text('{"token": "x"}')
    (secret / manifests.ORDER).chmod(0o440)
    (tools / "python").write_text(f'#!/bin/sh\necho "$@"; ls -A {order}; exec cat\n')
    (tools / "python").chmod(0o755)
    scripts = [each.replace(manifests.SECRET_DIR, str(secret)).replace(manifests.ORDER_DIR, str(order)) for each in STARTS]
    said = [
        subprocess.run(["/bin/sh", "-c", each], env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, check=True) for each in scripts
    ]
    assert said[1].stdout.decode() == '-m terrapod_core.runner\n{"token": "x"}'
    again = subprocess.run(["/bin/sh", "-c", scripts[1]], env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, check=False)
    assert again.returncode != 0
    assert shutil.which("python", path=str(tools))


STARTS = (manifests.TAKE, manifests.START)


# -- clusters that do not run it


async def test_a_pod_that_no_node_takes_waits_and_then_fails_in_the_schedulers_words(
    late: KubernetesRunner, clock: LateClock, kubelet: Kubelet, phase: PhaseSpec
) -> None:
    kubelet.schedules = False
    handle = await late.launch(phase)

    async def is_told() -> bool:
        return UNSCHEDULABLE in (await late.poll(handle)).detail

    await until(is_told)
    state = await late.poll(handle)
    assert (state.running, state.waiting) == (True, True)
    clock.late = timedelta(seconds=901)
    state = await late.poll(handle)
    assert (state.running, state.detail) == (False, f"it did not begin within 900 seconds: not scheduled: {UNSCHEDULABLE}")
    await late.cancel(handle, force=True)
    await late.forget(handle)


async def test_a_job_without_a_pod_is_explained_by_its_events(
    late: KubernetesRunner, clock: LateClock, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await late.launch(phase)
    words = 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'
    cluster.objects[EVENTS, NAMESPACE, "event-1"] = {
        "metadata": {"name": "event-1", "namespace": NAMESPACE},
        "involvedObject": {"kind": "Job", "name": handle["job"]},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": words,
    }
    assert (await late.poll(handle)).waiting
    clock.late = timedelta(seconds=901)
    assert (await late.poll(handle)).detail.endswith(f"the cluster has made no pod for it; FailedCreate: {words}")


async def test_a_job_that_somebody_deleted_is_over(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await runner.launch(phase)
    await running(runner, handle)
    async with cluster.clients[0].delete(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{handle['job']}") as answer:
        assert answer.status == 200
    assert await ended(runner, handle) == "the cluster has no such Job any more"


async def test_a_program_that_fails_is_told_with_its_last_line(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    kubelet.program[:] = ["/bin/sh", "-c", "cat >/dev/null; echo first; echo the order is none >&2; exit 2"]
    assert await ended(runner, await runner.launch(phase)) == "ended with exit code 2: the order is none"
    kubelet.program[:] = ["/bin/sh", "-c", "cat >/dev/null; exit 3"]
    cluster.log = "a line\nthe last line\n\n"
    second = await runner.launch(replace(phase, epoch=2))
    assert await ended(runner, second) == "ended with exit code 3: the last line"
    cluster.forbidden = {("get", "pods/log")}
    assert (await runner.poll(second)).detail == "ended with exit code 3"


# -- clusters that are away


async def test_while_the_api_is_away_nothing_is_lost(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await runner.launch(phase)
    await running(runner, handle)
    cluster.broken = 503
    assert (await runner.poll(handle)).running
    assert (await runner.poll({**handle, "job": "another"})).running
    other = replace(phase, run_id="run-other0000000000", phase_id="plan-other0000000000")
    with pytest.raises(LaunchPostponed, match="answers 503: etcdserver: leader changed"):
        await runner.launch(other)
    asked = len(cluster.asked)
    with pytest.raises(LaunchPostponed, match="leader changed"):
        await runner.launch(other)
    assert not [each for each in cluster.asked[asked:] if each[:2] == ("list", "jobs")], "it waits before it asks again"
    assert await runner.find(phase.run_id, phase.phase_id, phase.epoch) is None
    cluster.broken = None

    async def is_launched() -> bool:
        try:
            await runner.launch(other)
        except LaunchPostponed:
            return False
        return True

    await until(is_launched)
    assert (await runner.poll(handle)).running
    assert await runner.find(phase.run_id, phase.phase_id, phase.epoch) == handle


async def test_an_api_that_was_never_heard_is_not_asked_for_each_phase(
    runner: KubernetesRunner, again: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await runner.launch(phase)
    cluster.broken = 503

    async def is_known_to_be_away() -> bool:
        return (
            (await again.poll(handle)).detail.startswith("not known: ")
            and again._watching is not None
            and again._watching.trouble is not None
        )

    await until(is_known_to_be_away)
    before = len(cluster.asked)
    for _ in range(5):
        assert (await again.poll(handle)).running
    assert ("get", "jobs", "") not in cluster.asked[before:]
    cluster.broken = None
    await running(again, handle)


async def test_an_api_where_nobody_listens_postpones_and_does_not_refuse_the_start(
    settings: KubernetesRunnerSettings, tmp_path: Path, phase: PhaseSpec
) -> None:
    known = json.loads((tmp_path / "kubeconfig").read_text())
    known["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    (tmp_path / "nobody").write_text(json.dumps(known))
    runner = KubernetesRunner(replace(settings, kubeconfig=tmp_path / "nobody"), clock=LateClock(), log=log)
    assert await runner.self_test() is None
    with pytest.raises(LaunchPostponed, match="http://127.0.0.1:9 cannot be reached"):
        await runner.launch(phase)
    await runner.close()


async def test_a_cancel_that_the_cluster_did_not_hear_is_told_again(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await runner.launch(phase)
    await running(runner, handle)
    cluster.broken = 500
    await runner.cancel(handle, force=False)
    await runner.cancel(handle, force=True)
    cluster.broken = None
    assert await ended(runner, handle) in ("stopped", "ended")


async def test_a_watch_goes_on_from_where_it_was(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await runner.launch(phase)
    await running(runner, handle)
    pod = there(cluster, PODS)[0]
    before = len(cluster.watched)
    cluster.cut.set()

    async def is_resumed() -> bool:
        return ("pods", pod["metadata"]["resourceVersion"]) in cluster.watched[before:]

    await until(is_resumed)
    cluster.cut.clear()
    assert len([each for each in cluster.asked if each[:2] == ("list", "pods") and manifests.PHASE not in each[2]]) == 1


async def test_a_watch_that_is_too_old_lists_anew(
    runner: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await runner.launch(phase)
    await running(runner, handle)
    cluster.gone = {str(number) for number in range(next(cluster.numbers) + 1)}
    before = len(cluster.watched)
    cluster.cut.set()

    async def is_told() -> bool:
        return {kind for kind, version in cluster.watched[before:] if version in cluster.gone} == {"jobs", "pods"}

    async def is_anew() -> bool:
        return {kind for kind, version in cluster.watched[before:] if version not in cluster.gone} == {"jobs", "pods"}

    await until(is_told)
    cluster.cut.clear()
    await until(is_anew)
    assert "too old" not in caplog.text, "it is nothing that an operator has to know"
    await runner.cancel(handle, force=False)
    await ended(runner, handle)


async def test_a_pod_on_a_node_that_does_not_answer_is_forgotten(
    late: KubernetesRunner, clock: LateClock, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    handle = await late.launch(phase)
    await running(late, handle)
    kubelet.answers = False
    await late.cancel(handle, force=True)
    clock.late = timedelta(seconds=30)
    await late.cancel(handle, force=True)
    assert cluster.graces == ["1", "1"]
    assert (await late.poll(handle)).running
    clock.late = timedelta(seconds=90)
    await late.cancel(handle, force=True)
    assert cluster.graces == ["1", "1", "0"]
    kubelet.answers = True
    await ended(late, handle)


# -- clusters that forbid


@pytest.mark.parametrize(
    ("verb", "resource", "said"),
    [
        ("list", "jobs", "list jobs of the API group batch"),
        ("create", "jobs", "create jobs of the API group batch"),
        ("create", "secrets", "create secrets"),
        ("patch", "jobs", "patch jobs of the API group batch"),
    ],
)
async def test_a_forbidden_call_is_told_with_verb_and_resource(
    runner: KubernetesRunner, cluster: PaperCluster, phase: PhaseSpec, verb: str, resource: str, said: str
) -> None:
    cluster.forbidden = {(verb, resource)}
    with pytest.raises(LaunchFailed, match=f"the server may not {said} in the namespace {NAMESPACE}; let its role do so") as failed:
        await runner.launch(phase)
    assert "system:serviceaccount:terrapod:terrapod" in str(failed.value)
    assert not there(cluster, JOBS)


async def test_a_server_that_may_not_look_does_not_start(runner: KubernetesRunner, cluster: PaperCluster) -> None:
    cluster.forbidden = {("list", "pods")}
    with pytest.raises(SettingsError, match="may not list pods"):
        await runner.self_test()


async def test_settings_that_are_missing_are_named(settings: KubernetesRunnerSettings, phase: PhaseSpec, tmp_path: Path) -> None:
    for wrong, said in (
        (replace(settings, image=None), "runner.kubernetes.image"),
        (replace(settings, kubeconfig=None), "set runner.kubernetes.kubeconfig"),
        (replace(settings, kubeconfig=tmp_path / "none"), "not found"),
        (replace(settings, context="other"), "other"),
    ):
        runner = KubernetesRunner(wrong, clock=LateClock(), log=log)
        with pytest.raises(SettingsError, match=said):
            await runner.self_test()
        with pytest.raises(LaunchFailed, match=said):
            await runner.launch(phase)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://localhost", "http://[::1]:8080"])
async def test_a_server_that_no_pod_can_reach_is_told(runner: KubernetesRunner, phase: PhaseSpec, url: str) -> None:
    with pytest.raises(LaunchFailed, match="set runner.url"):
        await runner.launch(replace(phase, url=url))


@pytest.mark.parametrize("name", ["", "Deployer", "a/b", "a b", "../x", "x" * 254, "a..b"])
async def test_a_service_account_that_can_be_none_is_refused(
    runner: KubernetesRunner, cluster: PaperCluster, phase: PhaseSpec, name: str
) -> None:
    with pytest.raises(LaunchFailed, match="is no name of a service account"):
        await runner.launch(replace(phase, service_account=name))
    assert not cluster.asked


async def test_only_service_accounts_that_are_allowed_are_used(
    settings: KubernetesRunnerSettings, runner: KubernetesRunner, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    await runner.launch(replace(phase, service_account="reader.of-all"))
    strict = KubernetesRunner(replace(settings, service_accounts=("deployer",)), clock=LateClock(), log=log)
    with pytest.raises(LaunchFailed, match="service_accounts does not allow the agent pool's service-account-name reader.of-all"):
        await strict.launch(replace(phase, service_account="reader.of-all"))
    await strict.launch(replace(phase, service_account="deployer"))
    await strict.launch(other := replace(phase, run_id="run-other0000000000", phase_id="plan-other0000000000"))
    accounts = {
        each["metadata"]["labels"][manifests.PHASE]: each["spec"]["template"]["spec"].get("serviceAccountName")
        for each in there(cluster, JOBS)
    }
    assert accounts == {phase.phase_id: "deployer", other.phase_id: None}
    await strict.close()


async def test_a_handle_of_another_backend_is_refused(runner: KubernetesRunner) -> None:
    with pytest.raises(ValueError, match="no handle of the Kubernetes runner"):
        await runner.poll({"pid": 1, "started": 2, "work-dir": "/x"})


# -- what stays


async def test_a_launch_that_a_crash_cut_in_two_is_found_and_over(
    runner: KubernetesRunner, again: KubernetesRunner, cluster: PaperCluster, settings: KubernetesRunnerSettings, phase: PhaseSpec
) -> None:
    job = manifests.job(phase, settings)
    async with cluster.clients[0].post(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", json=job) as answer:
        assert answer.status == 200
    handle = await again.find(phase.run_id, phase.phase_id, phase.epoch)
    assert handle is not None
    assert not (await again.poll(handle)).running
    second = await again.launch(replace(phase, epoch=2))
    assert [each["metadata"]["name"] for each in there(cluster, JOBS)] == [second["job"]]


async def test_a_launch_that_is_made_again_before_it_began_takes_its_place(
    runner: KubernetesRunner, again: KubernetesRunner, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec
) -> None:
    kubelet.schedules = False
    await runner.launch(phase)
    handle = await again.launch(replace(phase, token="token-of-the-second-launch"))
    assert [each["metadata"]["name"] for each in there(cluster, JOBS)] == [handle["job"]]
    assert "token-of-the-second-launch" in json.dumps(there(cluster, SECRETS))
    kubelet.schedules = True
    await running(again, handle)


async def test_two_servers_in_one_namespace_leave_each_other_alone(
    runner: KubernetesRunner, cluster: PaperCluster, settings: KubernetesRunnerSettings, phase: PhaseSpec
) -> None:
    other = KubernetesRunner(replace(settings, instance="staging"), clock=LateClock(), log=log)
    first = await runner.launch(phase)
    second = await other.launch(phase)
    assert first["job"] != second["job"]
    assert len(there(cluster, JOBS)) == 2
    assert (await runner.poll(first)).running
    await other.close()


async def test_a_stopped_job_that_nobody_forgot_is_collected(
    late: KubernetesRunner, clock: LateClock, kubelet: Kubelet, cluster: PaperCluster, phase: PhaseSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "COLLECT_SECONDS", 0.02)
    handle = await late.launch(phase)
    await running(late, handle)
    clock.late = timedelta(seconds=4000)
    await asyncio.sleep(0.1)
    assert there(cluster, JOBS), "one that runs is left alone, however old it is"
    await late.cancel(handle, force=False)

    async def is_collected() -> bool:
        return not there(cluster, JOBS)

    await until(is_collected)
