"""Runs that read the state of other workspaces, as terraform itself does it: `data "terraform_remote_state"`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support.server import Server, running
from tests.support.workspace import Workspace

PRODUCED = """
output "address" {
  value = "10.0.0.7"
}
output "secret" {
  value     = "sesame-open-sesame"
  sensitive = true
}
"""

READING = """
data "terraform_remote_state" "network" {
  backend = "remote"
  config = {
    hostname     = "HOST"
    organization = "default"
    workspaces   = { name = "NAME" }
  }
}
resource "terraform_data" "seen" {
  input = data.terraform_remote_state.network.outputs.address
}
output "length" {
  value = nonsensitive(length(data.terraform_remote_state.network.outputs.secret))
}
"""

TOKEN = re.compile(r"terrapod-engine-[\w-]+")


def producer(new_workspace: NewWorkspace, on: Server | None = None) -> Workspace:
    """A workspace with outputs."""
    workspace = new_workspace(PRODUCED, mode="local", on=on)
    workspace.tf.run("apply", "-auto-approve")
    return workspace


def consumer(new_workspace: NewWorkspace, of: Workspace, *, host: str | None = None, more: str = "") -> Workspace:
    """One whose remote runs read them."""
    reading = READING.replace("HOST", host or of.server.host).replace("NAME", of.name)
    return new_workspace(reading + more, on=of.server)


def share(producer: Workspace, *consumers: Workspace) -> None:
    """List them among those whose runs may read its state."""
    sent = {"data": [{"type": "workspaces", "id": each.id} for each in consumers]}
    answer = producer.server.api.patch(f"workspaces/{producer.id}/relationships/remote-state-consumers", json=sent)
    assert answer.is_success, answer.text


def seen(workspace: Workspace) -> Any:
    """What the apply wrote into its own state."""
    (found,) = [each for each in workspace.state()["resources"] if each["type"] == "terraform_data"]
    return found["instances"][0]["attributes"]["input"]["value"]


def test_a_run_reads_the_state_of_a_workspace_that_lists_it(new_workspace: NewWorkspace) -> None:
    network = producer(new_workspace)
    reader = consumer(new_workspace, network)
    share(network, reader)
    done = reader.tf.run("apply", "-auto-approve")
    assert seen(reader) == "10.0.0.7"
    assert reader.state()["outputs"]["length"]["value"] == len("sesame-open-sesame")
    run = reader.run_of(done)
    for text in (done.text, reader.log(run, "plan"), reader.log(run, "apply")):
        assert "sesame-open-sesame" not in text
        assert not TOKEN.search(text)


def test_a_run_reads_no_state_of_a_workspace_that_does_not_list_it(new_workspace: NewWorkspace) -> None:
    network = producer(new_workspace)
    other = new_workspace()
    share(network, other)
    reader = consumer(new_workspace, network)
    done = reader.tf.run("plan", check=False)
    assert done.code == 1
    assert f"Error creating workspace {network.name}: resource not found" in done.text
    assert "10.0.0.7" not in done.text
    share(network, other, reader)
    assert "10.0.0.7" in reader.tf.run("plan").text


def test_a_run_reads_the_state_of_a_workspace_that_shares_with_all_and_its_own(new_workspace: NewWorkspace) -> None:
    network = producer(new_workspace)
    network.update(global_remote_state=True)
    reader = consumer(new_workspace, network)
    reader.tf.run("apply", "-auto-approve")
    assert seen(reader) == "10.0.0.7"
    (block,) = re.findall(r"^data.*?^}", READING.replace("HOST", reader.server.host).replace("NAME", reader.name), re.MULTILINE | re.DOTALL)
    reader.tf.write(block + '\noutput "before" {\n  value = data.terraform_remote_state.network.outputs.length\n}\n')
    assert f'before = "{len("sesame-open-sesame")}"'.replace('"', "") in reader.tf.run("plan").text


@pytest.fixture(scope="module")
def tls_server(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a certificate that no public authority has signed."""
    with running(tmp_path_factory.mktemp("tls"), dev_tls=True, settings=engines) as server:
        yield server


def test_over_tls_the_run_trusts_the_certificate_its_runner_trusts(new_workspace: NewWorkspace, tls_server: Server) -> None:
    network = producer(new_workspace, tls_server)
    reader = consumer(new_workspace, network)
    share(network, reader)
    assert "10.0.0.7" in reader.tf.run("plan").text


TELLING = """
resource "terraform_data" "told" {
  provisioner "local-exec" {
    command = "grep -h token $TF_CLI_CONFIG_FILE; env | sort | grep -i -e token -e credential || echo nothing of that name"
  }
}
"""


def test_a_log_never_shows_the_token_and_no_program_inherits_it(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TELLING)
    done = workspace.tf.run("apply", "-auto-approve")
    log = workspace.log(workspace.run_of(done), "apply")
    assert 'token = "***"' in log, "the program has looked into the engine's configuration"
    assert "nothing of that name" in log
    assert not TOKEN.search(log)


def test_the_engine_s_token_is_over_with_its_phase(new_workspace: NewWorkspace, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    workspace = new_workspace(f"""
resource "terraform_data" "thief" {{
  provisioner "local-exec" {{
    command = "cat $TF_CLI_CONFIG_FILE > {kept}"
  }}
}}
""")
    workspace.tf.run("apply", "-auto-approve")
    found = TOKEN.search(kept.read_text())
    assert found is not None
    with workspace.server.client(found[0]) as thief:
        assert thief.get(f"workspaces/{workspace.id}").status_code == 401
        assert thief.get("account/details").status_code == 401
