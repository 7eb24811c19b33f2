"""Whole phases with the real terraform, against a server that speaks the phase protocol and nothing else."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.runner.conftest import RunnerProgram
from tests.cli.runner.phase_server import PhaseServer, archive
from tests.cli.runner.steps import THREE, apply, plan, resources


def test_a_plan_hands_over_everything_the_server_keeps_of_it(runner: RunnerProgram, server: PhaseServer) -> None:
    report = plan(runner, THREE)

    assert (report["has-changes"], report["additions"], report["exit-code"]) == (True, 3, 2)
    assert server.plan_file is not None
    assert zipfile.is_zipfile(io.BytesIO(server.plan_file))
    assert len(json.loads(server.stored["plan-json"])["resource_changes"]) == 3
    assert "terraform.io/builtin/terraform" in json.loads(server.stored["provider-schemas"])["provider_schemas"]
    assert server.started is not None
    assert server.started["tool"] == "terraform"
    assert report["log-size"] == len(server.log)


@pytest.mark.parametrize("transport", ["http", "file"])
def test_an_apply_does_the_plan_and_its_state_is_at_the_server_before_the_report(
    runner: RunnerProgram, server: PhaseServer, transport: str
) -> None:
    plan(runner, THREE, **{"state-transport": transport})
    report = apply(runner, **{"state-transport": transport})

    assert (report["status"], report["additions"], report["exit-code"]) == ("finished", 3, 0), server.text
    assert len(resources(server.state)) == 3
    assert server.calls.index("PUT state") < server.calls.index("POST report")
    assert list(runner.work_dir.iterdir()) == []


def test_the_log_starts_with_the_three_lines_the_cli_swallows_of_an_apply(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(runner, THREE)
    assert server.started is not None
    header = f"Terraform v{server.started['version']}\non {server.started['platform']}\nInitializing plugins and modules...\n"
    assert server.text.startswith(header)
    apply(runner)
    assert server.text.startswith(header)
    assert "Apply complete! Resources: 3 added" in server.text


def test_a_plan_of_what_exists_has_no_changes(runner: RunnerProgram) -> None:
    plan(runner, THREE)
    apply(runner)
    report = plan(runner, THREE)
    assert (report["has-changes"], report["additions"], report["exit-code"]) == (False, 0, 0)


def test_a_changed_output_alone_is_a_change(runner: RunnerProgram) -> None:
    report = plan(runner, 'output "n" {\n  value = 1\n}\n')
    assert (report["has-changes"], report["additions"]) == (True, 0)


def test_a_destroy_plan_destroys(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(runner, THREE)
    apply(runner)
    report = plan(runner, THREE, operation={"destroy": True})
    assert report["destructions"] == 3
    report = apply(runner, operation={"destroy": True})
    assert (report["status"], report["destructions"]) == ("finished", 3)
    assert resources(server.state) == {}


def test_targets_and_replacements_reach_terraform_as_one_word_each(runner: RunnerProgram) -> None:
    keyed = 'resource "terraform_data" "k" {\n  for_each = toset(["x y", "z"])\n}\n'
    assert plan(runner, keyed, operation={"targets": ['terraform_data.k["x y"]']})["additions"] == 1
    plan(runner, keyed)
    apply(runner)
    report = plan(runner, keyed, operation={"replaces": ['terraform_data.k["x y"]']})
    assert (report["additions"], report["destructions"]) == (1, 1)


def test_a_failing_plan_ends_errored_with_the_reason_in_the_log(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = archive({"main.tf": 'resource "terraform_data" "a" {\n  input = nothing.there\n}\n'})
    report = runner.carry_out()
    assert (report["status"], report["exit-code"]) == ("errored", 1)
    assert "nothing" in server.text
    assert "Error:" in server.text
    assert server.plan_file is None


def test_a_failing_init_shows_its_output_and_nothing_is_planned(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = archive({"main.tf": 'module "m" {\n  source = "./missing"\n}\n'})
    report = runner.carry_out()
    assert report["status"] == "errored"
    assert "Unreadable module directory" in server.text
    assert server.plan_file is None


def test_a_failing_apply_keeps_the_state_of_what_was_done(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(
        runner,
        """
resource "terraform_data" "good" {
}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.good]
  provisioner "local-exec" {
    command = "exit 7"
  }
}
""",
    )
    report = apply(runner)
    assert (report["status"], report["exit-code"], report["additions"]) == ("errored", 1, 1)
    assert report["state-incomplete"] is False
    assert resources(server.state) == {"good": "good", "bad": "tainted"}


@pytest.mark.parametrize("structured", [False, True])
def test_a_configuration_that_prints_without_end_fills_its_log_and_nothing_else(
    runner: RunnerProgram, server: PhaseServer, structured: bool
) -> None:
    flood = (
        'resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "yes it goes on and on | head -c 1000000"\n  }\n}\n'
    )
    plan(runner, flood)
    report = apply(runner, limits={"log-bytes": 100_000}, **{"structured-output": structured})
    assert (report["status"], report["additions"]) == ("finished", 1)
    assert resources(server.state) == {"a": "good"}
    *lines, last = server.text.splitlines()
    assert last == "[The log ends here: it reached 100000 bytes. The rest is not kept; the run goes on.]"
    assert 99_000 < len(server.log) < 100_000 + 200
    if structured:
        assert all(json.loads(line)["@message"] for line in lines[3:])


def test_a_line_that_is_too_long_is_cut_and_the_run_goes_on(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(runner, 'output "long" {\n  value = join("", [for i in range(1000) : format("%0100d", i)])\n}\n')
    assert max(map(len, server.text.splitlines())) < (64 << 10) + 200
    assert "[the line was longer than 65536 bytes; the rest is left out]" in server.text
    report = apply(runner, **{"structured-output": True})
    assert report["status"] == "finished"
    lines = [json.loads(line) for line in server.text.splitlines()[3:]]
    assert lines[-1]["outputs"]["long"]["value"].endswith("the rest is left out]")


def test_an_engine_that_is_not_there_is_named_with_what_is_and_what_to_do(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    server.configuration = archive({"main.tf": THREE})
    server.begin("plan", engine={"tool": "terraform", "version": "~> 0.99"})
    report = runner.carry_out(**{"engines-dir": str(tmp_path / "engines")})
    assert report["status"] == "errored"
    for part in (
        "No terraform for version `~> 0.99`",
        str(tmp_path / "engines"),
        "Found instead: terraform 1.",
        "ask for a version that is there",
    ):
        assert part in server.text


def test_generated_configuration_is_reported(runner: RunnerProgram) -> None:
    imported = 'import {\n  to = terraform_data.a\n  id = "known"\n}\n'
    report = plan(runner, imported, operation={"generate-config": True})
    assert (report["generated-configuration"], report["imports"]) == (True, 1)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (
            [("OLD", 140_000)],
            "The environment variable OLD is too large: it has 140005 bytes with its name, and Linux passes at most 131072.",
        ),
        ([(f"V{number}", 100_000) for number in range(70)], "The environment variables are too large together"),
    ],
    ids=["one", "all"],
)
def test_an_environment_that_linux_does_not_pass_on_ends_the_run_with_a_sentence(
    runner: RunnerProgram, server: PhaseServer, environment: list[tuple[str, int]], says: str
) -> None:
    server.configuration = archive({"main.tf": THREE})
    server.begin("plan", environment=[{"key": key, "value": "x" * size, "sensitive": False} for key, size in environment])
    report = runner.carry_out()
    assert report["status"] == "errored"
    assert says in report["message"]
    assert says in server.text
