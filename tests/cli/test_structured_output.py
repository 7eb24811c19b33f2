"""Structured run output: what a person sees at the terminal is what they would see without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support.gate import Gate
from tests.support.server import Server, running
from tests.support.tf import Done, Terraform, cloud, resources
from tests.support.wire import fresh
from tests.support.workspace import Workspace, data

VARIED = """
variable "password" {
  default   = "swordfish-planted"
  sensitive = true
}
resource "terraform_data" "plain" {
  input = { name = "it", list = ["one", "two"], text = "with \\"quotes\\" and\\nlines" }
}
resource "terraform_data" "secret" {
  input = { open = "to all", password = var.password, several = [var.password] }
}
resource "terraform_data" "many" {
  for_each = toset(["x y", "z"])
  input    = each.key
  provisioner "local-exec" {
    command = "echo told by ${each.key} { \\"json\\": 1 }"
  }
}
output "greeting" {
  value = "hello ${terraform_data.plain.output.name}"
}
output "password" {
  value     = var.password
  sensitive = true
}
"""
BROKEN = 'resource "terraform_data" "bad" {\n  input = file("nowhere.txt")\n}\n'
FAILING = """
resource "terraform_data" "good" {}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.good]
  provisioner "local-exec" {
    command = "echo before the end; exit 7"
  }
}
"""


@pytest.fixture(scope="module")
def enterprise(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tells the version of a release."""
    with running(tmp_path_factory.mktemp("enterprise"), settings={**engines, "TFE_VERSION": "v202501-1"}) as server:
        yield server


@pytest.fixture
def pair(enterprise: Server, new_workspace: NewWorkspace) -> tuple[Workspace, Workspace]:
    """Two workspaces that differ in nothing but the form of their output: plain, and structured."""
    plain, structured = new_workspace(on=enterprise), new_workspace(on=enterprise)
    plain.update(structured_run_output_enabled=False)
    assert structured.attributes["structured-run-output-enabled"] is True
    return plain, structured


def seen(done: Done, workspace: Workspace) -> list[str]:
    """The lines that a person sees, without what is different each time; what goes on side by side is told in any order."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.output + "\n" + done.errors).replace("\r", "").replace(workspace.name, "WORKSPACE")
    text = re.sub(r"\brun-\w{16}\b", "RUN", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", re.sub(r"after \d+s", "after Ns", text))
    # The two places where terraform's own renderers do not agree with each other.
    text = text.replace(": (local-exec)", " (local-exec)").replace("<sensitive>", "(sensitive value)")
    # And one where a reader is shown less: the provider repeats the value in an attribute without a mark, and plain output prints it.
    text = re.sub('"(swordfish|other)-planted"', '"***"', text)
    return sorted(line.rstrip() for line in text.splitlines() if line.strip())


def compare(pair: tuple[Workspace, Workspace], configuration: str, *command: str, code: int = 0) -> tuple[Done, Done]:
    """Run a command in both, and see the same."""
    found = []
    for workspace in pair:
        workspace.tf.write(configuration)
        found.append(workspace.tf.run(*command, check=False))
        assert found[-1].code == code, found[-1].text
    plain, structured = found
    assert seen(structured, pair[1]) == seen(plain, pair[0])
    return plain, structured


def test_a_person_sees_the_same_with_it_and_without(pair: tuple[Workspace, Workspace]) -> None:
    compare(pair, VARIED, "plan")
    compare(pair, VARIED, "plan", "-detailed-exitcode", code=2)
    _, applied = compare(pair, VARIED, "apply", "-auto-approve")
    assert 'greeting = "hello it"' in applied.text
    assert "swordfish-planted" not in applied.text
    compare(pair, VARIED, "plan", "-detailed-exitcode")
    _, changing = compare(pair, VARIED.replace("swordfish", "other").replace('"two"', '"three"'), "plan")
    assert "Plan: 0 to add, 2 to change, 0 to destroy." in changing.text
    assert "~ password = (sensitive value)" in changing.text
    compare(pair, VARIED.replace("swordfish", "other"), "apply", "-auto-approve")
    compare(pair, "", "apply", "-auto-approve")
    compare(pair, VARIED, "apply", "-auto-approve", "-replace=terraform_data.nothing")
    compare(pair, VARIED, "destroy", "-auto-approve")


def test_a_log_is_a_json_object_a_line_after_its_head_and_the_plan_says_so(pair: tuple[Workspace, Workspace]) -> None:
    for workspace, structured in zip(pair, (False, True), strict=True):
        workspace.tf.write(VARIED)
        run = workspace.run_of(workspace.tf.run("apply", "-auto-approve"))
        plan = data(workspace.server.api.get(f"runs/{run['id']}/plan"))["attributes"]
        assert plan["structured-run-output-enabled"] is structured
        assert (
            plan["resource-additions"] == data(workspace.server.api.get(f"runs/{run['id']}/apply"))["attributes"]["resource-additions"] == 4
        )
        for phase in ("plan", "apply"):
            head, *lines = _after_head(workspace.raw_log(run, phase))
            assert head.startswith("Terraform v1.")
            if structured:
                assert {"version", "change_summary", "outputs"} <= {json.loads(line)["type"] for line in lines}
            else:
                assert not any(line.startswith("{") for line in lines)
        redacted = workspace.server.api.get(f"plans/{run['relationships']['plan']['data']['id']}/json-output-redacted").text
        assert "swordfish-planted" not in redacted
        assert "terraform_data" in json.loads(redacted)["provider_schemas"]["terraform.io/builtin/terraform"]["resource_schemas"]


def _after_head(log: bytes) -> list[str]:
    text = log.decode().strip("\x02\x03")
    first, second, third, *rest = text.splitlines()
    assert second.startswith("on linux_")
    assert third == "Initializing plugins and modules..."
    return [first, *rest]


def test_errors_are_told_in_the_same_words(pair: tuple[Workspace, Workspace]) -> None:
    _, broken = compare(pair, BROKEN, "plan", code=1)
    assert 'no file exists at "nowhere.txt"' in broken.text
    both = compare(pair, FAILING, "apply", "-auto-approve", code=1)
    for workspace, failed in zip(pair, both, strict=True):
        assert "exit status 7" in failed.text
        assert resources(workspace.state()) == {"good": "good", "bad": "tainted"}
        run = workspace.run_of(failed)
        assert data(workspace.server.api.get(f"runs/{run['id']}/apply"))["attributes"]["resource-additions"] == 1


def test_an_apply_asks_and_is_cancelled_as_ever(pair: tuple[Workspace, Workspace], gate: Gate) -> None:
    workspace = pair[1]
    workspace.tf.write(f"""
resource "terraform_data" "quick" {{}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {{
    command = "{gate.command}"
  }}
}}
""")
    with workspace.tf.terminal("apply") as terminal:
        terminal.expect("Plan: 2 to add, 0 to change, 0 to destroy.")
        terminal.answer("yes")
        gate.wait()
        terminal.interrupt()
        terminal.answer("yes")
        done = terminal.end()
    assert "The remote operation was successfully cancelled." in done.text
    run = workspace.run_of(done)
    assert workspace.end_of(run["id"]) == "canceled"
    assert workspace.log(run, "apply").count("Interrupt received.") == 1
    assert resources(workspace.state()) == {"quick": "good", "slow": "tainted"}


def test_saved_plans_and_generated_configuration_work_with_it(pair: tuple[Workspace, Workspace]) -> None:
    for workspace in pair:
        workspace.tf.write(VARIED)
        workspace.tf.run("plan", "-out=saved.plan")
        assert "Plan: 4 to add" in workspace.tf.run("show", "saved.plan").text
        assert "Apply complete! Resources: 4 added" in workspace.tf.run("apply", "saved.plan").text
        workspace.tf.write('import {\n  to = terraform_data.found\n  id = "known"\n}\n', "import.tf")
        done = workspace.tf.run("plan", "-generate-config-out=generated.tf")
        assert done.text.count("Plan: 1 to import, 0 to add, 0 to change, 0 to destroy.") == 1
        assert 'resource "terraform_data" "found"' in (workspace.tf.directory / "generated.tf").read_text()


def test_configuration_that_was_generated_by_a_failed_plan_is_handed_over_to_be_mended(
    enterprise: Server, new_workspace: NewWorkspace
) -> None:
    workspace = new_workspace(on=enterprise)
    workspace.tf.write("""
import {
  to = terraform_data.found
  id = "known"
}
resource "terraform_data" "first" {
  input = "first"
}
resource "terraform_data" "refused" {
  lifecycle {
    precondition {
      condition     = terraform_data.first.input == "never"
      error_message = "nothing may be found"
    }
  }
}
""")
    done = workspace.tf.run("plan", "-generate-config-out=generated.tf", check=False)
    assert done.code == 1
    assert "nothing may be found" in done.text
    assert 'resource "terraform_data" "found"' in (workspace.tf.directory / "generated.tf").read_text()
    assert workspace.run_of(done)["attributes"]["status"] == "errored"


def test_a_secret_of_the_workspace_is_masked_whatever_json_makes_of_it(enterprise: Server, new_workspace: NewWorkspace) -> None:
    secret = 'quo"ted\\and <tagged> & mörked'
    workspace = new_workspace(
        """
variable "token" {}
output "token" {
  value = nonsensitive(var.token)
}
output "inside" {
  value = { list = ["before ${nonsensitive(var.token)} after"] }
}
""",
        on=enterprise,
    )
    workspace.set_variable("token", secret, sensitive=True)
    done = workspace.tf.run("apply", "-auto-approve")
    assert '"before *** after"' in done.text
    run = workspace.run_of(done)
    for phase in ("plan", "apply"):
        for line in _after_head(workspace.raw_log(run, phase))[1:]:
            assert "tagged" not in line
    redacted = workspace.server.api.get(f"plans/{run['relationships']['plan']['data']['id']}/json-output-redacted").json()
    assert redacted["output_changes"]["token"]["after"] == "***"


def test_a_newer_terraform_renders_it_too(terraform_115: Path, engines: dict[str, str], tmp_path: Path) -> None:
    settings = {"RUNNER__ENGINES_DIR": str(terraform_115.parent), "TFE_VERSION": "v202501-1"}
    with running(tmp_path / "server", settings=settings) as server:
        name = fresh()
        tf = Terraform(terraform_115, tmp_path / "work", server)
        tf.write(cloud(server, f'name = "{name}"') + VARIED)
        tf.run("init", "-input=false")
        planned = tf.run("plan")
        assert planned.text.count("Plan: 4 to add, 0 to change, 0 to destroy.") == 1
        assert planned.text.count("password = (sensitive value)") == 2
        applied = tf.run("apply", "-auto-approve")
        assert applied.text.count("Apply complete! Resources: 4 added, 0 changed, 0 destroyed.") == 1
        assert "No changes." in tf.run("plan").text
