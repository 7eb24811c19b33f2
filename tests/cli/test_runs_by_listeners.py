"""terraform against a real server whose runs are carried out by real listeners."""

from __future__ import annotations

import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import NewWorkspace
from tests.cli.test_crashes import applied_slowly, planned_slowly, usable, whole
from tests.support import ROOT, sandboxes
from tests.support.gate import Gate
from tests.support.listeners import make_pool, make_token
from tests.support.listening import NewListener, Program
from tests.support.server import Server, working_in
from tests.support.tf import resources
from tests.support.waiting import until
from tests.support.workspace import Workspace

ONE = 'resource "terraform_data" "one" {}\n'
LOOK_AROUND = """
resource "terraform_data" "curious" {{
  provisioner "local-exec" {{
    command = <<-EOT
      key=$(cat {data}/key.pem 2>/dev/null | wc -c)
      entries=$(ls {data} 2>/dev/null | wc -l)
      phases=$(cat {data}/phases/* 2>/dev/null | wc -c)
      heard=$(kill -0 {pid} 2>/dev/null && echo yes)
      environment=$(cat /proc/{pid}/environ 2>/dev/null | wc -c)
      echo "found: $key $entries $phases $heard $environment."
    EOT
  }}
}}
"""
"""What a run might want to know of its listener."""


def by_pool(workspace: Workspace, pool: str) -> Workspace:
    """Have the workspace's runs carried out by this pool."""
    workspace.update(execution_mode="agent", agent_pool_id=pool)
    return workspace


def programs(listener: Program) -> list[psutil.Process]:
    """What works in the listener's directory, beside the listener itself."""
    return working_in(listener.data)


def test_a_plan_and_an_apply_are_carried_out_elsewhere(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener
) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(ONE + 'output "greeting" {\n  value = "hello"\n}\n'), pool)
    done = workspace.tf.run("apply", "-auto-approve")
    assert "Apply complete! Resources: 1 added" in done.text
    assert 'greeting = "hello"' in done.text
    assert workspace.run_of(done)["attributes"]["status"] == "applied"
    assert resources(workspace.state()) == {"one": "good"}
    assert f"took a phase                   phase=apply run={workspace.run_of(done)['id']} workspace={workspace.name}" in listener.news
    until(lambda: not listener.in_hand, "everything to be let go of")
    assert list((listener.data / "runs").iterdir()) == []
    assert programs(listener) == []


def test_a_run_waits_for_a_listener(server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener) -> None:
    workspace = by_pool(new_workspace(ONE), pool)
    with workspace.tf.background("plan") as command:
        workspace.run_that("plan_queued")
        new_listener("one").start(make_token(server.api, pool))
        done = command.end()
    assert "Plan: 1 to add" in done.text


def test_a_cancel_reaches_terraform(server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(applied_slowly(gate)), pool)
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        assert server.api.post(f"runs/{run['id']}/actions/cancel").status_code == 202
        listener.says("is interrupted")
    gate.open()
    assert workspace.end_of(run["id"]) == "canceled"
    until(lambda: not listener.in_hand, "everything to be let go of")
    usable(workspace)


def test_an_apply_goes_on_while_the_server_is_away(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate, database_url: str
) -> None:
    server = new_server(database_url=database_url).start()
    pool = str(make_pool(server.api)["id"])
    listener = new_listener("one", server=server).start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(applied_slowly(gate), on=server), pool)
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        server.kill()
    listener.says("the server does not answer")
    gate.open()
    server.start()
    assert workspace.end_of(run["id"]) == "applied"
    assert resources(workspace.state()) == {"quick": "good", "slow": "good", "last": "good"}
    assert whole(workspace.raw_log(run, "apply"))
    usable(workspace)
    until(lambda: not listener.in_hand, "everything to be let go of")


@pytest.mark.parametrize("phase", ["plan", "apply"])
def test_a_listener_that_was_killed_finds_its_runs_again(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate, phase: str
) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(planned_slowly(gate) if phase == "plan" else applied_slowly(gate)), pool)
    with workspace.tf.background("apply", "-auto-approve") as command:
        gate.wait()
        run = workspace.run_that("planning" if phase == "plan" else "applying")
        listener.kill()
        listener.start()
        assert "has a phase in hand still" in listener.news
        gate.open()
        done = command.end()
    assert "Apply complete!" in done.text
    assert workspace.end_of(run["id"]) == "applied"
    assert workspace.raw_log(run, phase).count(b"Terraform v") == 1
    assert whole(workspace.raw_log(run, phase))
    until(lambda: not listener.in_hand, "everything to be let go of")


def test_a_machine_that_dies_during_a_plan_has_it_made_again(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate
) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(planned_slowly(gate)), pool)
    with workspace.tf.background("plan") as command:
        gate.wait()
        run = workspace.run_that("planning")
        listener.kill()
        for process in programs(listener):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        gate.close()
        listener.start()
        gate.open()
        assert "Plan: 1 to add" in command.end().text
    assert "Trying once more." in workspace.log(run, "plan")


def test_stopping_waits_for_what_runs_and_takes_nothing_more(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate
) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(applied_slowly(gate)), pool)
    other = by_pool(new_workspace(ONE), pool)
    with workspace.tf.background("apply", "-auto-approve") as command:
        gate.wait()
        listener.signal(signal.SIGTERM)
        listener.says("stopping: nothing more is taken")
        with other.tf.background("plan") as waiting:
            run = other.run_that("plan_queued")
            gate.open()
            assert "Apply complete!" in command.end().text
            assert listener.wait() == 0
            assert other.run(run["id"])["attributes"]["status"] == "plan_queued"
            listener.start()
            assert "Plan: 1 to add" in waiting.end().text


def test_a_revoked_listener_kills_what_it_runs(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate
) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(applied_slowly(gate)), pool)
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        assert server.api.post(f"listeners/{listener.identity['listener-id']}/actions/revoke").status_code == 200
        assert listener.wait() == 3
    assert programs(listener) == []
    assert workspace.end_of(run["id"]) == "errored"


def test_two_listeners_share_the_runs_of_a_pool(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, gate: Gate
) -> None:
    token = make_token(server.api, pool, uses=2)
    listeners = [new_listener(name).start(token, "--capacity", "1") for name in ("one", "two")]
    slow = by_pool(new_workspace(applied_slowly(gate)), pool)
    quick = by_pool(new_workspace(ONE), pool)
    with slow.tf.background("apply", "-auto-approve") as command:
        gate.wait()
        assert "Apply complete!" in quick.tf.run("apply", "-auto-approve").text
        busy = [each for each in listeners if slow.name in each.news]
        other = [each for each in listeners if quick.name in each.news]
        gate.open()
        assert "Apply complete!" in command.end().text
    assert len(other) == 1
    assert other[0] not in busy[-1:] or len(busy) == 2


def test_in_the_sandbox_a_run_finds_nothing_of_its_listener(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener
) -> None:
    sandboxes.order()
    kept = new_listener("kept", settings={"RUNNER__LOCAL__ISOLATION": "auto"}).start(make_token(server.api, pool))
    workspace = by_pool(new_workspace(LOOK_AROUND.format(data=kept.data, pid=kept.pid)), pool)
    assert "found: 0 0 0 0." in workspace.tf.run("apply", "-auto-approve").text
    assert kept.stop() == 0
    # The same questions have answers where that was accepted.
    open_one = new_listener("open").start(make_token(server.api, pool))
    workspace.tf.write(LOOK_AROUND.format(data=open_one.data, pid=open_one.pid).replace("curious", "again"))
    found = re.search(r"found: (\d+) (\d+) (\d+) yes", workspace.tf.run("apply", "-auto-approve").text)
    assert found is not None
    assert all(int(each) > 0 for each in found.groups())


def test_a_certificate_that_expired_long_ago_is_renewed_in_the_middle_of_things(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, new_listener: NewListener
) -> None:
    server = new_server().start()
    pool = str(make_pool(server.api)["id"])
    listener = new_listener("one", server=server).start(make_token(server.api, pool))
    before = listener.identity
    listener.kill()
    with closing(sqlite3.connect(server.data / "terrapod.db", timeout=30)) as database, database:
        changed = database.execute("UPDATE listener_certificates SET expires_at = '2020-01-01 00:00:00.000000'")
        assert changed.rowcount == 1
    listener.start()
    assert "the certificate was renewed" in listener.news
    assert listener.identity["key-id"] != before["key-id"]
    assert listener.identity["listener-id"] == before["listener-id"]
    workspace = by_pool(new_workspace(ONE, on=server), pool)
    assert "Plan: 1 to add" in workspace.tf.run("plan").text


def test_what_is_left_of_runs_that_nobody_remembers_is_removed(server: Server, pool: str, new_listener: NewListener) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    listener.kill()
    for name in ("run-left", "run-undelivered"):
        (listener.data / "runs" / name / "config").mkdir(parents=True)
    (listener.data / "runs" / "run-undelivered" / "undelivered.tfstate").write_text("{}")
    listener.start()
    left = sorted(str(path.relative_to(listener.data / "runs")) for path in (listener.data / "runs").rglob("*"))
    assert left == ["run-undelivered", "run-undelivered/undelivered.tfstate"]
    assert "a state that could not be handed in is kept in" in listener.news


def test_a_listener_has_jobs_made_in_its_own_cluster(
    server: Server, pool: str, new_workspace: NewWorkspace, new_listener: NewListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightkube", reason="the plugin for Kubernetes is not installed")
    from tests.cli.test_runs_on_kubernetes import Cluster
    from tests.support.kubelet import JOBS, PODS

    monkeypatch.chdir(ROOT)
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster", server.url)
    try:
        settings = {"BACKEND": "kubernetes", "URL": "http://terrapod.test", "KUBERNETES__IMAGE": "registry.example.com/runner:1"}
        settings["KUBERNETES__KUBECONFIG"] = str(cluster.kubeconfig)
        listener = new_listener("one", settings={f"RUNNER__{name}": value for name, value in settings.items()})
        listener.start(make_token(server.api, pool))
        workspace = by_pool(new_workspace(ONE), pool)
        assert "Apply complete! Resources: 1 added" in workspace.tf.run("apply", "-auto-approve").text
        until(lambda: not listener.in_hand and not cluster.names(JOBS) + cluster.names(PODS), "everything to be let go of")
        assert listener.stop() == 0
    finally:
        cluster.close()
