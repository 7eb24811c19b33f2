"""Runs that wait, give up waiting, or are stopped in the middle."""

from __future__ import annotations

from tests.cli.conftest import NewWorkspace
from tests.support.gate import Gate
from tests.support.tf import resources
from tests.support.waiting import until
from tests.support.workspace import Workspace

ONE = 'resource "terraform_data" "one" {}\n'


def slow(gate: Gate) -> str:
    """One resource that is done at once, and one whose provisioner stops at the gate."""
    return f"""
resource "terraform_data" "quick" {{}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {{
    command = "{gate.command}"
  }}
}}
"""


def waits_for(workspace: Workspace, code: str) -> str:
    """Wait until the newest run says that it waits for `code`; what else it says about that."""

    def look() -> str | None:
        run = workspace.newest_run()
        waiting = run["attributes"]["waiting-on"] if run is not None else None
        return str(waiting["detail"]) if waiting and waiting["code"] == code else None

    return until(look, f"a run of {workspace.name} that waits for {code}")


def test_an_apply_waits_for_a_persons_lock_and_says_so(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(ONE)
    workspace.lock()
    with workspace.tf.terminal("apply", "-auto-approve") as terminal:
        terminal.expect("Waiting for the manually locked workspace to be unlocked...")
        assert "admin" in waits_for(workspace, "workspace_locked")
        workspace.unlock()
        done = terminal.end()
    assert done.code == 0, done.text
    assert "Apply complete! Resources: 1 added" in done.text


def test_an_apply_that_waits_too_long_gives_up(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(ONE)
    workspace.lock()
    # Between two of terraform's looks at the run, which come every second: one that it interrupts it takes for a failure.
    done = workspace.tf.run("apply", "-auto-approve", "-lock-timeout=1500ms", check=False)
    assert "Lock timeout exceeded" in done.text
    assert "The remote operation was successfully cancelled." in done.text
    assert workspace.end_of(workspace.run_of(done)["id"]) == "canceled"
    workspace.unlock()
    assert workspace.tf.run("plan", "-detailed-exitcode", check=False).code == 2


def test_a_second_apply_waits_for_the_first_and_a_plan_does_not(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(ONE)
    with workspace.tf.terminal("apply") as first:
        first.expect("Only 'yes' will be accepted to approve.")
        with workspace.tf.terminal("apply", "-auto-approve") as second:
            waits_for(workspace, "queued_behind")
            assert "Plan: 1 to add" in workspace.tf.run("plan").text
            first.answer("yes")
            assert first.end().code == 0
            done = second.end()
    assert done.code == 0, done.text
    assert "No changes." in done.text


def test_ctrl_c_during_an_apply_stops_terraform_and_keeps_the_state(new_workspace: NewWorkspace, gate: Gate) -> None:
    workspace = new_workspace(slow(gate))
    with workspace.tf.terminal("apply", "-auto-approve") as terminal:
        gate.wait()
        terminal.interrupt()
        done = terminal.end()
    assert "The remote operation was successfully cancelled." in done.text
    run = workspace.run_of(done)
    assert workspace.end_of(run["id"]) == "canceled"
    assert workspace.log(run, "apply").count("Interrupt received.") == 1
    assert resources(workspace.state()) == {"quick": "good", "slow": "tainted"}
    assert not workspace.attributes["locked"]
    workspace.tf.write(ONE)
    assert "Resources: 1 added, 0 changed, 2 destroyed" in workspace.tf.run("apply", "-auto-approve").text


def test_ctrl_c_during_a_plan_cancels_it_when_it_is_answered_with_yes(new_workspace: NewWorkspace, gate: Gate) -> None:
    workspace = new_workspace(f'resource "terraform_data" "one" {{\n  input = {gate.plan}\n}}\n')
    with workspace.tf.terminal("apply") as terminal:
        gate.wait()
        terminal.interrupt()
        terminal.expect("Do you want to cancel the remote operation?")
        terminal.answer("yes")
        gate.open()  # terraform itself ends a plan only between two steps
        done = terminal.end()
    assert "The remote operation was successfully cancelled." in done.text
    assert workspace.end_of(workspace.run_of(done)["id"]) == "canceled"
    assert workspace.state()["resources"] == []
    assert not workspace.attributes["locked"]
