"""Phases that are cancelled, or lose their terraform or their server, in the middle of things."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.cli.runner.conftest import RunnerProgram
from tests.cli.runner.phase_server import PhaseServer
from tests.cli.runner.steps import THREE, apply, plan, resources, slow
from tests.support.sandboxes import pipe


@pytest.mark.parametrize("transport", ["http", "file"])
def test_an_engine_that_is_killed_leaves_a_report_that_the_state_may_lack_something(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path, transport: str
) -> None:
    ready = pipe(tmp_path / "ready")
    plan(runner, slow(ready, tmp_path / "never"), **{"state-transport": transport})
    server.begin("apply", **{"state-transport": transport})
    process = runner.start()
    ready.read_text()
    below = psutil.Process(process.pid).children(recursive=True)
    [engine] = [one for one in below if one.cmdline()[1:2] == ["apply"]]
    engine.kill()
    assert runner.finish(process) == 0, runner.said
    assert server.report is not None
    assert server.report["status"] == "errored"
    assert server.report["exit-code"] in (-9, 128 + 9)  # the sandbox's own status is the second
    assert (server.report["state-incomplete"], server.report["additions"]) == (True, 1)


@pytest.mark.parametrize("how", ["answer", "signal"])
def test_a_cancelled_apply_stops_terraform_and_keeps_its_state(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path, how: str
) -> None:
    ready = pipe(tmp_path / "ready")
    command = slow(ready, tmp_path / "never")
    plan(runner, command)
    server.begin("apply")
    process = runner.start()
    ready.read_text()  # blocks until the provisioner runs
    if how == "answer":
        server.cancel = "interrupt"
    else:
        process.send_signal(signal.SIGTERM)
    assert runner.finish(process) == 0, runner.said

    assert server.report is not None
    assert (server.report["status"], server.report["exit-code"]) == ("canceled", 1), server.text
    assert (server.report["state-incomplete"], server.report["additions"]) == (False, 1)
    assert resources(server.state) == {"quick": "good", "slow": "tainted"}
    assert server.text.count("Interrupt received") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_cancel_leaves_no_grandchild_of_terraform_alive(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path, number: signal.Signals
) -> None:
    held = pipe(tmp_path / "held")
    command = f"exec 9>{held}; echo running >&9; sleep 1000; true"
    plan(runner, f'resource "terraform_data" "a" {{\n  provisioner "local-exec" {{\n    command = "{command}"\n  }}\n}}\n')
    server.begin("apply")
    process = runner.start()
    with held.open() as stream:
        assert stream.readline() == "running\n"
        process.send_signal(number)
        assert runner.finish(process) == 0, runner.said
        assert stream.read() == ""  # the end comes when nobody holds the other side any more
    assert server.report is not None
    assert server.report["status"] == "canceled"


def test_a_server_that_goes_away_during_an_apply_only_delays_it(runner: RunnerProgram, server: PhaseServer, tmp_path: Path) -> None:
    ready = pipe(tmp_path / "ready")
    done = pipe(tmp_path / "done")
    command = slow(ready, tmp_path / "release")
    last = f"""
resource "terraform_data" "last" {{
  depends_on = [terraform_data.slow]
  provisioner "local-exec" {{
    command = "echo said while the server was away; echo > {done}"
  }}
}}
"""
    plan(runner, command + last)
    server.begin("apply")
    process = runner.start()
    ready.read_text()
    server.go_away()
    (tmp_path / "release").touch()
    done.read_text()
    server.come_back()
    assert runner.finish(process) == 0, runner.said

    assert server.report is not None
    assert server.report["status"] == "finished", server.text
    assert len(resources(server.state)) == 3
    assert server.text.count("said while the server was away") == 2  # the command, and its output
    assert server.text.count("Apply complete!") == 1
    assert server.report["log-size"] == len(server.log)


def test_a_log_goes_on_where_the_server_says_when_an_answer_was_lost(runner: RunnerProgram, server: PhaseServer) -> None:
    server.lose_answers = 2
    report = plan(runner, THREE)
    assert server.text.count("Terraform v") == 1
    assert server.text.count("Plan:") == 1
    assert report["log-size"] == len(server.log)


def test_a_lost_lease_stops_terraform_deposits_its_state_and_reports_nothing(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    ready = pipe(tmp_path / "ready")
    plan(runner, slow(ready, tmp_path / "never"))
    server.begin("apply")
    process = runner.start()
    ready.read_text()
    server.lost = True
    assert runner.finish(process) == 3, runner.said
    assert resources(server.state) == {"quick": "good", "slow": "tainted"}
    assert server.report is None


def test_a_phase_the_server_does_not_know_any_more_leaves_its_state_in_a_file(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    ready = pipe(tmp_path / "ready")
    plan(runner, slow(ready, tmp_path / "never"))
    server.begin("apply")
    process = runner.start()
    ready.read_text()
    server.gone = True
    assert runner.finish(process) == 3, runner.said
    assert [path.name for path in runner.work_dir.iterdir()] == ["undelivered.tfstate"]
    assert "quick" in resources((runner.work_dir / "undelivered.tfstate").read_bytes())


def test_a_state_the_server_refuses_is_kept_and_the_run_says_where(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(runner, THREE)
    server.refuse_state = (422, "the lineage is another")
    report = apply(runner)
    assert report["status"] == "errored"
    assert "the lineage is another" in report["message"]
    assert report["state-incomplete"] is True
    assert "undelivered.tfstate" in report["message"]
    assert len(resources((runner.work_dir / "undelivered.tfstate").read_bytes())) == 3
