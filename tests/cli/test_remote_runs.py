"""Plans and applies that the server carries out, as terraform shows them."""

from __future__ import annotations

import json

from tests.cli.conftest import NewWorkspace
from tests.support.gate import Gate
from tests.support.tf import resources
from tests.support.waiting import until
from tests.support.wire import fresh

TWO = """
resource "terraform_data" "a" {
  input = "first"
}
resource "terraform_data" "b" {
  input = "second"
}
output "both" {
  value = "${terraform_data.a.output} and ${terraform_data.b.output}"
}
"""


def test_a_plan_streams_its_log_and_holds_nothing(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    done = workspace.tf.run("plan", "-input=false")
    assert "Plan: 2 to add, 0 to change, 0 to destroy." in done.text
    assert done.text.count("terraform_data.a will be created") == 1
    run = workspace.run_of(done)
    assert f"https://{workspace.server.host}/app/default/{workspace.name}/runs/{run['id']}" in done.text
    assert (run["attributes"]["status"], run["attributes"]["plan-only"]) == ("planned_and_finished", True)
    assert not workspace.attributes["locked"]
    log = workspace.raw_log(run, "plan")
    assert log.startswith(b"\x02")
    assert log.endswith(b"\x03")
    assert log.count(b"\x02") + log.count(b"\x03") == 2


def test_an_exit_code_tells_of_changes_when_it_is_asked_for(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    assert workspace.tf.run("plan", "-detailed-exitcode", check=False).code == 2
    applied = workspace.tf.run("apply", "-auto-approve")
    assert "Apply complete! Resources: 2 added, 0 changed, 0 destroyed." in applied.text
    assert 'both = "first and second"' in applied.text
    run = workspace.run_of(applied)
    assert (run["attributes"]["status"], run["attributes"]["auto-apply"]) == ("applied", True)
    assert resources(workspace.state()) == {"a": "good", "b": "good"}

    assert workspace.tf.run("plan", "-detailed-exitcode").code == 0
    nothing = workspace.tf.run("apply", "-auto-approve")
    assert "No changes." in nothing.text
    assert workspace.run_of(nothing)["attributes"]["status"] == "planned_and_finished"
    assert not workspace.attributes["locked"]


def test_the_log_of_an_apply_reaches_the_terminal_whole(new_workspace: NewWorkspace) -> None:
    command = 'for i in $(seq 1 2000); do echo "line $i of a long story"; done'
    workspace = new_workspace(f"""
resource "terraform_data" "a" {{
  provisioner "local-exec" {{
    command = {json.dumps(command)}
  }}
}}
""")
    done = workspace.tf.run("apply", "-auto-approve")
    told = [line for line in done.output.splitlines() if "of a long story" in line and "seq" not in line]
    assert [line.split("line ")[1].split(" ")[0] for line in told] == [str(number) for number in range(1, 2001)]
    assert "terraform_data.a: Creating..." in done.text  # nothing but the three lines of the head was swallowed
    assert workspace.log(workspace.run_of(done), "apply").count("of a long story") >= 2000


def test_a_saved_plan_is_shown_and_applied_and_only_once(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    planned = workspace.tf.run("plan", "-out=saved.plan")
    assert workspace.run_of(planned)["attributes"]["status"] == "planned_and_saved"
    attributes = workspace.attributes
    assert (attributes["locked"], workspace.show()["relationships"]["current-run"]["data"]) == (False, None)

    assert "Plan: 2 to add" in workspace.tf.run("show", "saved.plan").text
    shown = json.loads(workspace.tf.run("show", "-json", "saved.plan").output)
    assert {change["address"] for change in shown["resource_changes"]} == {"terraform_data.a", "terraform_data.b"}

    assert "Apply complete! Resources: 2 added" in workspace.tf.run("apply", "saved.plan").text
    assert workspace.run_of(planned)["attributes"]["status"] == "applied"
    assert workspace.tf.run("apply", "saved.plan", check=False).code == 1
    again = workspace.server.api.post(f"runs/{workspace.run_of(planned)['id']}/actions/apply", json={})
    assert again.status_code == 409
    assert resources(workspace.state()) == {"a": "good", "b": "good"}


def test_a_saved_plan_of_a_state_that_has_moved_on_changes_nothing(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    workspace.tf.run("plan", "-out=saved.plan")
    workspace.tf.write(TWO.replace('"first"', '"another"'))
    workspace.tf.run("apply", "-auto-approve")
    before = workspace.state()
    stale = workspace.tf.run("apply", "saved.plan", check=False)
    assert stale.code == 1
    assert workspace.state() == before


def test_an_apply_asks_and_a_yes_applies(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    with workspace.tf.terminal("apply") as terminal:
        terminal.expect("Plan: 2 to add")
        terminal.answer("yes")
        done = terminal.end()
    assert done.code == 0, done.text
    assert "Apply complete! Resources: 2 added, 0 changed, 0 destroyed." in done.text
    run = workspace.run_of(done)
    assert run["attributes"]["status"] == "applied"
    assert run["relationships"]["confirmed-by"]["data"]["type"] == "users"


def test_an_apply_asks_and_a_no_discards_while_plans_run_beside(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    with workspace.tf.terminal("apply") as terminal:
        terminal.expect("Only 'yes' will be accepted to approve.")
        held = workspace.run_that("planned")
        assert workspace.attributes["locked"]
        beside = workspace.tf.run("plan", "-detailed-exitcode", check=False)
        assert beside.code == 2, beside.text
        assert workspace.run(held["id"])["attributes"]["status"] == "planned"
        terminal.answer("no")
        done = terminal.end()
    assert done.code == 1
    assert "Apply discarded." in done.text
    assert workspace.end_of(held["id"]) == "discarded"
    assert not workspace.attributes["locked"]
    assert workspace.state()["resources"] == []


def test_a_run_that_is_confirmed_elsewhere_goes_on_at_the_terminal(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    with workspace.tf.terminal("apply") as terminal:
        terminal.expect("Only 'yes' will be accepted to approve.")
        run = workspace.run_that("planned")
        assert workspace.server.api.post(f"runs/{run['id']}/actions/confirm", json={"comment": "fine"}).status_code == 202
        done = terminal.end()
    assert done.code == 0, done.text
    assert "Apply complete! Resources: 2 added" in done.text


def test_destroy_and_refresh_are_runs_too(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    workspace.tf.run("apply", "-auto-approve")
    refreshed = workspace.tf.run("refresh")
    assert workspace.run_of(refreshed)["attributes"]["refresh-only"] is True
    assert resources(workspace.state()) == {"a": "good", "b": "good"}
    with workspace.tf.terminal("destroy") as terminal:
        terminal.expect("Plan: 0 to add, 0 to change, 2 to destroy.")
        terminal.answer("yes")
        done = terminal.end()
    assert done.code == 0, done.text
    run = workspace.run_of(done)
    assert (run["attributes"]["status"], run["attributes"]["is-destroy"]) == ("applied", True)
    assert workspace.state()["resources"] == []


def test_a_failing_plan_ends_with_one_and_its_error_on_the_terminal(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace('resource "terraform_data" "a" {\n  input = file("nowhere.txt")\n}\n')
    done = workspace.tf.run("plan", check=False)
    assert done.code == 1
    assert "Invalid function argument" in done.text
    assert 'no file exists at "nowhere.txt"' in done.text
    run = workspace.run_of(done)
    assert run["attributes"]["status"] == "errored"
    assert "Invalid function argument" in workspace.log(run, "plan")
    assert not workspace.attributes["locked"]


def test_a_failing_apply_ends_with_one_and_keeps_what_was_done(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace("""
resource "terraform_data" "good" {}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.good]
  provisioner "local-exec" {
    command = "exit 7"
  }
}
""")
    done = workspace.tf.run("apply", "-auto-approve", check=False)
    assert done.code == 1
    assert "exit status 7" in done.text
    assert workspace.run_of(done)["attributes"]["status"] == "errored"
    assert resources(workspace.state()) == {"good": "good", "bad": "tainted"}
    assert not workspace.attributes["locked"]


def test_a_terraform_that_looks_late_still_shows_why_an_apply_failed(new_workspace: NewWorkspace, gate: Gate) -> None:
    workspace = new_workspace(f"""
resource "terraform_data" "bad" {{
  input = {gate.plan}
  provisioner "local-exec" {{
    command = "echo as bad as can be; exit 7"
  }}
}}
""")
    with workspace.tf.background("apply", "-auto-approve") as command:
        gate.wait()
        run = workspace.run_that("planning")
        with command.stopped():
            gate.open()
            until(lambda: "as bad as can be" in workspace.log(run, "apply"), "the apply to fail")
        done = command.end()
    assert done.code == 1
    assert "exit status 7" in done.text
    assert workspace.end_of(run["id"]) == "errored"


def test_targets_and_replacements_reach_the_run(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    done = workspace.tf.run("apply", "-auto-approve", "-target=terraform_data.a")
    assert "Resource targeting is in effect" in done.text
    assert resources(workspace.state()) == {"a": "good"}
    workspace.tf.run("apply", "-auto-approve")
    replaced = workspace.tf.run("plan", "-replace=terraform_data.b")
    assert "terraform_data.b will be replaced, as requested" in replaced.text
    assert "Plan: 1 to add, 0 to change, 1 to destroy." in replaced.text
    assert workspace.run_of(replaced)["attributes"]["replace-addrs"] == ["terraform_data.b"]


def test_a_working_directory_runs_with_the_tree_around_it(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace()
    tf, name = workspace.tf, fresh("tree")
    module = 'resource "terraform_data" "in_module" {}\n'
    root = tf.directory.parent / name
    (root / "modules" / "m").mkdir(parents=True)
    (root / "modules" / "m" / "main.tf").write_text(module)
    (root / "envs").mkdir()
    tf.write('module "m" {\n  source = "../../modules/m"\n}\n')
    tf.directory = tf.directory.rename(root / "envs" / "prod")
    tf.run("init", "-input=false")
    workspace.update(working_directory="envs/prod")
    done = tf.run("plan")
    assert "module.m.terraform_data.in_module will be created" in done.text

    workspace.update(working_directory="prod/envs")
    refused = tf.run("plan", check=False)
    assert refused.code == 1


def test_the_json_of_a_plan_is_whole_for_its_admin_and_hides_what_is_sensitive(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace("""
resource "terraform_data" "a" {
  input = sensitive("nobody may read this")
}
""")
    run = workspace.run_of(workspace.tf.run("plan"))
    plan = run["relationships"]["plan"]["data"]["id"]
    whole = workspace.server.api.get(f"plans/{plan}/json-output", follow_redirects=True)
    assert whole.json()["resource_changes"][0]["change"]["actions"] == ["create"]
    assert "nobody may read this" in whole.text
    redacted = workspace.server.api.get(f"plans/{plan}/json-output-redacted")
    assert redacted.json()["resource_changes"][0]["address"] == "terraform_data.a"
    assert redacted.json()["plan_format_version"].startswith("1.")
    assert "nobody may read this" not in redacted.text


def test_configuration_is_generated_for_what_is_imported(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace('import {\n  to = terraform_data.found\n  id = "known"\n}\n')
    done = workspace.tf.run("plan", "-generate-config-out=generated.tf")
    assert "Plan: 1 to import, 0 to add, 0 to change, 0 to destroy." in done.text
    assert 'resource "terraform_data" "found"' in (workspace.tf.directory / "generated.tf").read_text()
    assert "1 imported" in workspace.tf.run("apply", "-auto-approve").text
    assert workspace.state()["resources"][0]["instances"][0]["attributes"]["id"] == "known"


def test_a_destroy_needs_nothing_but_the_cloud_block(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO)
    workspace.update(execution_mode="local")
    workspace.tf.run("apply", "-auto-approve")
    workspace.update(execution_mode="remote")
    (workspace.tf.directory / "main.tf").unlink()
    done = workspace.tf.run("destroy", "-auto-approve")
    assert "Apply complete! Resources: 0 added, 0 changed, 2 destroyed." in done.text
    assert workspace.state()["resources"] == []
