"""What a phase is given: archives, states, plans and variables that are not what they should be, and what terraform sees of it all."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.cli.runner.conftest import RunnerProgram
from tests.cli.runner.phase_server import TOKEN, PhaseServer, archive
from tests.cli.runner.steps import THREE, apply, plan

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
