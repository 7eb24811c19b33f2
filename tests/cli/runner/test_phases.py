"""Whole phases with the real terraform, against a server that speaks the phase protocol and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.runner.conftest import RunnerProgram
from tests.cli.runner.phase_server import TOKEN, PhaseServer, archive
from tests.support.sandboxes import pipe

THREE = """
resource "terraform_data" "a" {
  count = 3
  input = count.index
}
"""
CLOUD_OVERRIDE = """
terraform {
  cloud {
    organization = "elsewhere"
    workspaces {
      name = "other"
    }
  }
}
"""


def slow(ready: Path, release: Path) -> str:
    """One resource that is done at once, and one whose provisioner says it runs and then waits for a file."""
    return f"""
resource "terraform_data" "quick" {{
}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {{
    command = "echo >{ready}; while [ ! -e {release} ]; do sleep 0.05; done"
  }}
}}
"""


def plan(runner: RunnerProgram, configuration: str, **material: object) -> dict[str, Any]:
    runner.server.configuration = archive({"main.tf": configuration})
    runner.server.begin("plan", **material)
    report = runner.carry_out()
    assert report["status"] == "finished", runner.server.text
    return report


def apply(runner: RunnerProgram, **material: object) -> dict[str, Any]:
    runner.server.begin("apply", **material)
    return runner.carry_out()


def resources(state: bytes | None) -> dict[str, str]:
    """Name of each instance in a state, with its status."""
    found: dict[str, str] = {}
    for resource in json.loads(state or b'{"resources": []}')["resources"]:
        for instance in resource["instances"]:
            found[f"{resource['name']}{instance.get('index_key', '')}"] = instance.get("status", "good")
    return found


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


@pytest.mark.parametrize("structured", [False, True])
def test_a_configuration_that_prints_without_end_fills_its_log_and_nothing_else(
    runner: RunnerProgram, server: PhaseServer, structured: bool
) -> None:
    flood = (
        'resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "yes it goes on and on | head -c 20000000"\n  }\n}\n'
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


def changed_state(state: bytes, **members: object) -> bytes:
    return json.dumps({**json.loads(state), **members}).encode()


@pytest.mark.parametrize("change", [{"serial": 99}, {"lineage": "another"}, None])
def test_a_plan_made_from_another_state_is_not_applied(
    runner: RunnerProgram, server: PhaseServer, change: dict[str, object] | None
) -> None:
    plan(runner, THREE)
    apply(runner)
    plan(runner, THREE.replace("3", "4"))
    assert server.state is not None
    server.state = changed_state(server.state, **change) if change else None
    report = apply(runner)
    assert report["status"] == "errored"
    assert "plan again" in report["message"]
    assert server.states == []


def test_a_plan_file_with_other_bytes_is_not_applied(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(runner, THREE)
    report = apply(runner, **{"plan-digest": hashlib.sha256(b"approved").hexdigest()})
    assert report["status"] == "errored"
    assert "not the one that was approved" in server.text
    assert server.states == []


@pytest.mark.parametrize(
    "name", ["zzz_override.tf", "zzzz_terrapod_override.tf", "é_override.tf", "\U0010ffff_override.tf", "zzzzz_override.tf"]
)
def test_a_users_override_file_does_not_bring_its_backend_back(runner: RunnerProgram, server: PhaseServer, name: str) -> None:
    server.configuration = archive({"main.tf": THREE, name: CLOUD_OVERRIDE})
    assert runner.carry_out()["additions"] == 3, server.text


def test_an_override_of_the_runners_name_that_is_a_link_is_not_written_through(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    files = {"main.tf": THREE, "other.txt": "untouched"}
    server.configuration = archive(files, {"zzzz_terrapod_override.tf": "other.txt"})
    report = runner.carry_out()
    # The link is a (broken) override of the user's: terraform says so, and what it points at was not our backend.
    assert report["status"] == "errored"
    assert "untouched" in server.text


def test_a_provider_in_the_archive_is_not_installed(runner: RunnerProgram, server: PhaseServer) -> None:
    place = "terraform.d/plugins/example.invalid/x/evil/1.0.0/linux_amd64/terraform-provider-evil_v1.0.0"
    wants = 'terraform {\n  required_providers {\n    evil = { source = "example.invalid/x/evil" }\n  }\n}\n'
    server.configuration = archive({"main.tf": wants + 'provider "evil" {}\n', place: "#!/bin/sh\ntouch /tmp/evil\n"})
    assert runner.carry_out()["status"] == "errored"
    assert "example.invalid" in server.text


@pytest.mark.parametrize("directory", ["../..", "/", "../config2", "link", "missing", "empty"])
def test_a_working_directory_outside_or_without_configuration_is_refused(
    runner: RunnerProgram, server: PhaseServer, directory: str
) -> None:
    server.configuration = archive({"main.tf": THREE, "empty/README.md": ""}, {"link": "missing"})
    server.begin("plan", **{"working-directory": directory})
    report = runner.carry_out()
    assert report["status"] == "errored"
    assert f"The working directory `{directory}`" in server.text


def test_a_working_directory_reaches_modules_and_links_beside_it(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = archive(
        {
            "modules/m/main.tf": THREE,
            "common.tf": "locals {\n  n = 1\n}\n",
            "envs/prod/main.tf": 'module "m" {\n  source = "../../modules/m"\n}\n',
        },
        {"envs/prod/common.tf": "../../common.tf"},
    )
    server.begin("plan", **{"working-directory": "envs/prod"})
    assert runner.carry_out()["additions"] == 3, server.text


def test_state_in_the_archive_is_not_taken_for_the_workspaces(runner: RunnerProgram, server: PhaseServer) -> None:
    plan(runner, THREE)
    apply(runner)
    assert server.state is not None
    stray, server.state = server.state.decode(), None
    backend = json.dumps({"version": 3, "backend": {"type": "s3", "config": {}, "hash": 1}})
    server.configuration = archive({"main.tf": THREE, "terraform.tfstate": stray, ".terraform/terraform.tfstate": backend})
    server.begin("plan", **{"state-transport": "file"})
    assert runner.carry_out()["additions"] == 3, server.text


def test_a_state_that_the_server_has_but_does_not_send_ends_the_phase(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = archive({"main.tf": THREE})
    server.begin("plan", state={"serial": 3, "lineage": "x"})
    assert runner.carry_out()["status"] == "errored"
    assert "did not send it" in server.text


def test_an_archive_that_is_none_ends_the_phase(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = b"no archive at all"
    assert runner.carry_out()["status"] == "errored"
    assert "not a whole tar.gz archive" in server.text


def test_a_bomb_is_refused_before_it_fills_the_disk(runner: RunnerProgram, server: PhaseServer) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("zeros")
        member.size = 64 << 20
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    server.configuration = buffer.getvalue()
    assert runner.carry_out()["status"] == "errored"
    assert "unpacks to more than" in server.text


def test_variables_reach_the_configuration_with_their_kind_and_beat_its_own_files(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = archive(
        {
            "main.tf": """
variable "text" {}
variable "map" {}
variable "env" {}
variable "TFC_RUN_ID" {}
output "all" { value = jsonencode([var.text, var.map, var.env, var.TFC_RUN_ID]) }
""",
            "zzzz.auto.tfvars": 'text = "from the archive"\n',
        }
    )
    variables = [
        {"key": "text", "value": 'a "quote", ${not.interpolated}\nand a line', "hcl": False, "sensitive": False},
        {"key": "map", "value": "{\n  a = 1 # one\n}", "hcl": True, "sensitive": False},
    ]
    server.begin("plan", variables=variables, environment=[{"key": "TF_VAR_env", "value": "yes", "sensitive": False}])
    runner.carry_out()
    planned = json.loads(server.stored["plan-json"])["planned_values"]["outputs"]["all"]["value"]
    assert json.loads(planned) == ['a "quote", ${not.interpolated}\nand a line', {"a": 1}, "yes", "run-1"], server.text


def test_sensitive_values_are_masked_in_the_log(runner: RunnerProgram, server: PhaseServer) -> None:
    server.configuration = archive({"main.tf": 'resource "terraform_data" "a" {\n  input = "it is hunter2hunter2"\n}\n'})
    server.begin("plan", environment=[{"key": "PASSWORD", "value": "hunter2hunter2", "sensitive": True}])
    runner.carry_out()
    assert "hunter2hunter2" not in server.text
    assert '"it is ***"' in server.text


@pytest.mark.parametrize("isolation", ["none"], indirect=True)  # what they see, they copy into files
def test_the_engine_gets_nothing_of_the_runners_own(runner: RunnerProgram, server: PhaseServer, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    spy = f"""
resource "terraform_data" "spy" {{
  provisioner "local-exec" {{
    command = "cd {tmp_path}; env >env; cat /proc/*/cmdline >argv; cp -r {runner.work_dir} {copy}; ls -l /proc/self/fd >fd"
  }}
}}
"""
    passed = [
        {"key": "AWS_REGION", "value": "eu-west-1", "sensitive": False},
        {"key": "LD_PRELOAD", "value": "/x.so", "sensitive": False},
    ]
    plan(runner, spy, environment=passed)
    assert apply(runner, environment=passed)["status"] == "finished", server.text
    environment = (tmp_path / "env").read_text()
    assert "AWS_REGION=eu-west-1\n" in environment
    assert "LD_PRELOAD" not in environment
    assert "LD_PRELOAD is the runner's own" in server.text
    assert "SERVERS_OWN_SECRET" not in environment
    files = [path.read_bytes() for path in copy.rglob("*") if path.is_file()]
    assert len(files) > 3
    for seen in (environment.encode(), (tmp_path / "argv").read_bytes(), *files):
        assert TOKEN.encode() not in seen
    assert "socket:" not in (tmp_path / "fd").read_text()


@pytest.mark.parametrize("isolation", ["none"], indirect=True)  # what they see, they copy into files
def test_the_engines_token_reaches_the_commands_that_carry_out_the_configuration_and_no_other(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    seen, engines, real = tmp_path / "seen", tmp_path / "engines", shutil.which("terraform")
    engines.mkdir()
    script = engines / "terraform"
    script.write_text(f"""#!/bin/sh
{{ echo "COMMAND $*"; env; cat "$TF_CLI_CONFIG_FILE"; }} >>{seen}
exec {real} "$@"
""")
    script.chmod(0o755)
    token = "terrapod-engine-abracadabra"
    access = {"token": token, "urls": ["https://tfe.example.com"]}
    theirs = [{"key": "TF_TOKEN_tfe_example_com", "value": "somebody-else", "sensitive": False}]
    server.configuration = archive({"main.tf": 'output "o" {\n  value = "it is terrapod-engine-abracadabra"\n}\n'})
    server.begin("plan", **{"engine-access": access, "environment": theirs})
    assert runner.carry_out(**{"engines-dir": str(engines)})["status"] == "finished", server.text
    held = {part.split(maxsplit=1)[0]: token in part for part in seen.read_text().split("COMMAND ")[1:]}
    assert held == {"version": False, "init": True, "plan": True, "show": False, "providers": False}
    assert "somebody-else" not in seen.read_text()
    assert "TF_TOKEN_tfe_example_com is the runner's own" in server.text
    assert "it is ***" in server.text
    assert token not in server.text


def test_a_version_nobody_has_ends_the_phase_and_says_where_it_was_looked_for(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    server.configuration = archive({"main.tf": THREE})
    server.begin("plan", engine={"tool": "terraform", "version": "~> 0.1.2"})
    report = runner.carry_out(**{"engines-dir": str(tmp_path)})
    assert report["status"] == "errored"
    assert "~> 0.1.2" in report["message"]
    assert str(tmp_path) in report["message"]
    assert "PATH" in report["message"]
    assert server.text.count("\n") > 3  # the three lines come first here too


@pytest.mark.parametrize("isolation", ["sandbox"], indirect=True)
def test_a_plan_json_and_a_plan_that_an_engines_process_writes_later_are_never_taken(
    runner: RunnerProgram, server: PhaseServer, tmp_path: Path
) -> None:
    """The engine is a script that leaves a process behind, which writes over every plan that it finds."""
    engines, real = tmp_path / "engines", shutil.which("terraform")
    engines.mkdir()
    engines.chmod(0o755)
    script = engines / "terraform"
    script.write_text(f"""#!/bin/sh
forge() {{
    while true; do
        for place in . .. ../phase ../engine /workspace /workspace/phase /workspace/engine; do
            echo '{{"forged": true}}' >$place/plan.json
            [ "$1" = show ] && echo forged >$place/saved.tfplan
        done
    done
}}
case $1 in plan | show) forge $1 >/dev/null 2>&1 & ;; esac
exec {real} "$@"
""")
    script.chmod(0o755)
    server.configuration = archive({"main.tf": THREE})
    server.begin("plan")
    assert runner.carry_out(**{"engines-dir": str(engines)})["additions"] == 3, server.text
    assert len(json.loads(server.stored["plan-json"])["resource_changes"]) == 3
    assert zipfile.is_zipfile(io.BytesIO(server.plan_file or b""))


def test_a_plan_that_is_a_link_to_a_file_of_ours_is_not_taken(runner: RunnerProgram, server: PhaseServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key of the server")
    engines, real = tmp_path / "engines", shutil.which("terraform")
    engines.mkdir()
    engines.chmod(0o755)
    script = engines / "terraform"
    replace = f'for word; do case $word in -out=*) ln -sf {secret} "${{word#-out=}}" ;; esac; done'
    script.write_text(f'#!/bin/sh\n{real} "$@"\ncode=$?\n{replace}\nexit $code\n')
    script.chmod(0o755)
    server.configuration = archive({"main.tf": THREE})
    server.begin("plan")
    report = runner.carry_out(**{"engines-dir": str(engines)})
    assert report["status"] == "errored"
    assert "cannot be taken" in report["message"]
    assert server.plan_file is None


def test_generated_configuration_is_reported(runner: RunnerProgram) -> None:
    imported = 'import {\n  to = terraform_data.a\n  id = "known"\n}\n'
    report = plan(runner, imported, operation={"generate-config": True})
    assert (report["generated-configuration"], report["imports"]) == (True, 1)
