"""The contract's configuration versions, runs, plans and applies, by its own paths and by the clients'; terraform is real."""

from __future__ import annotations

import json

import httpx

from tests.support import wire
from tests.support.server import Server
from tests.support.wire import attributes, data, document, log_of, make_configuration, make_run, make_workspace, put, ref, refused, run_at

STX, ETX = "\x02", "\x03"


def test_a_configuration_version_gives_a_link_and_takes_an_archive(api: httpx.Client, server: Server) -> None:
    workspace = make_workspace(api)["id"]
    sent = document("configuration-versions", auto_queue_runs=True)
    sent["data"]["attributes"]["auto-queue-runs"] = False
    made = data(api.post(f"workspaces/{workspace}/configuration-versions", json=sent), 201)
    assert (made["type"], made["id"][:3], made["attributes"]["status"]) == ("configuration-versions", "cv-", "pending")
    url = made["attributes"]["upload-url"]
    assert url.startswith(f"{server.url}/c/")
    content = wire.archive({"main.tf": wire.QUICK})
    assert put(url, content).status_code == 200
    shown = attributes(api.get(f"configuration-versions/{made['id']}"))
    assert (shown["status"], shown.get("upload-url")) == ("uploaded", None)
    assert [one["id"] for one in data(api.get(f"workspaces/{workspace}/configuration-versions"))] == [made["id"]]
    answer = api.get(f"configuration-versions/{made['id']}/download")
    assert answer.status_code == 302
    assert httpx.get(answer.headers["location"], trust_env=False).content == content


def test_a_run_is_planned_confirmed_and_applied_by_the_contracts_paths(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    configuration = make_configuration(api, workspace)
    sent = document(
        "runs",
        {"workspace": ref("workspaces", workspace)},
        message="Triggered from API",
        is_destroy=False,
        auto_apply=False,
        plan_only=False,
    )
    made = data(api.post("runs", json=sent), 201)
    assert (made["type"], made["id"][:4], made["attributes"]["message"]) == ("runs", "run-", "Triggered from API")
    assert made["relationships"]["configuration-version"]["data"]["id"] == configuration
    planned = run_at(api, made["id"], "planned")
    assert planned["attributes"]["actions"] == {
        "is-cancelable": False,
        "is-confirmable": True,
        "is-discardable": True,
        "is-force-cancelable": False,
    }
    assert (planned["attributes"]["has-changes"], planned["attributes"]["permissions"]["can-apply"]) == (True, True)
    assert planned["attributes"]["waiting-on"]["code"] == "approval"

    _both_plans(api, made["id"], planned["relationships"]["plan"]["data"]["id"])
    assert data(api.get(f"workspaces/{workspace}"))["relationships"]["locked-by"]["data"] == ref("runs", made["id"])
    assert api.post(f"runs/{made['id']}/actions/confirm", json={"comment": "go on"}).status_code == 202
    applied = run_at(api, made["id"], "applied")
    refused(api.post(f"runs/{made['id']}/actions/confirm"), 409)

    by_run = attributes(api.get(f"runs/{made['id']}/apply"))
    assert (by_run["status"], by_run["resource-additions"]) == ("finished", 1)
    assert attributes(api.get(f"applies/{applied['relationships']['apply']['data']['id']}"))["status"] == "finished"
    assert "Apply complete!" in log_of(api, made["id"], "apply")
    said = {
        one["attributes"]["name"]: one["attributes"]["value"]
        for one in data(api.get(f"workspaces/{workspace}/current-state-version-outputs"))
    }
    assert said == {"said": "hello", "hidden": None}
    assert data(api.get(f"workspaces/{workspace}"))["attributes"]["locked"] is False
    assert [one["id"] for one in data(api.get(f"workspaces/{workspace}/runs"))] == [made["id"]]
    assert made["id"] in {one["id"] for one in data(api.get(f"{wire.ORG}/runs", params={"page[size]": 100}))}
    events = [one["attributes"]["action"] for one in data(api.get(f"runs/{made['id']}/run-events"))]
    assert {"created", "confirmed"} <= set(events)


def _both_plans(api: httpx.Client, run: str, plan: str) -> None:
    """The plan by run and by id: the same thing, its log and its two JSON forms."""
    by_run, by_id = data(api.get(f"runs/{run}/plan")), data(api.get(f"plans/{plan}"))
    assert by_run["id"] == by_id["id"] == plan
    shown = by_id["attributes"]
    assert (shown["status"], shown["has-changes"], shown["resource-additions"], shown["resource-destructions"]) == ("finished", True, 1, 0)
    log = log_of(api, run)
    assert (log[0], log[-1]) == (STX, ETX)
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in log
    assert wire.JSON not in log
    whole = api.get(f"plans/{plan}/json-output", follow_redirects=True).json()
    assert [change["address"] for change in whole["resource_changes"]] == ["terraform_data.one"]
    assert api.get(f"runs/{run}/plan/json-output", follow_redirects=True).json() == whole
    redacted = api.get(f"plans/{plan}/json-output-redacted", follow_redirects=True)
    assert "plan_format_version" in redacted.json()
    assert "provider_schemas" in redacted.json()
    assert "xyzzy-hidden-output" not in redacted.text


def test_a_log_is_read_in_pieces_from_anywhere(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    make_configuration(api, workspace, speculative=True)
    run = make_run(api, workspace, _latest(api, workspace))
    run_at(api, run, "planned_and_finished")
    url = attributes(api.get(f"runs/{run}/plan"))["log-read-url"]
    whole = httpx.get(url, params={"offset": 0, "limit": 1 << 20}, trust_env=False).content
    assert len(whole) > 100
    for offset, limit in ((0, 1), (1, 10), (len(whole) - 5, 100), (len(whole), 10), (len(whole) + 1000, 10), (7, 0)):
        answer = httpx.get(url, params={"offset": offset, "limit": limit}, trust_env=False)
        assert (answer.status_code, answer.content) == (200, whole[offset : offset + limit]), (offset, limit)
    for wrong in ({"offset": "-1"}, {"offset": "x"}, {"limit": "-5"}, {"limit": "1.5"}, {"offset": "9" * 40}, {"offset": ""}):
        refused(httpx.get(url, params=wrong, trust_env=False), 400)
    refused(httpx.put(url, content=b"x", trust_env=False), 404, 405)


def _latest(api: httpx.Client, workspace: str) -> str:
    ident: str = data(api.get(f"workspaces/{workspace}/configuration-versions"))[0]["id"]
    return ident


def test_a_speculative_configuration_makes_runs_that_only_plan(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    configuration = make_configuration(api, workspace, speculative=True)
    wire.lock(api, workspace)  # a lock is no hindrance to it
    run = make_run(api, workspace, configuration)
    finished = run_at(api, run, "planned_and_finished")
    assert finished["attributes"]["plan-only"] is True
    assert finished["attributes"]["actions"]["is-confirmable"] is False
    for action in ("apply", "confirm", "discard", "cancel", "force-cancel"):
        errors = refused(api.post(f"runs/{run}/actions/{action}"), 409)
        assert errors[0]["title"] == "transition not allowed"
    assert attributes(api.get(f"runs/{run}/apply"))["status"] == "unreachable"


def test_runs_wait_in_order_and_say_why_and_can_be_discarded_and_cancelled(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    configuration = make_configuration(api, workspace)
    wire.lock(api, workspace)
    first, second, third = (make_run(api, workspace, configuration) for _ in range(3))
    shown = [attributes(api.get(f"runs/{one}")) for one in (first, second, third)]
    assert [one["status"] for one in shown] == ["pending"] * 3
    assert [one["waiting-on"]["code"] for one in shown] == ["workspace_locked", *(one["waiting-on"]["code"] for one in shown[1:])]
    assert {one["waiting-on"]["code"] for one in shown[1:]} <= {"queued_behind", "workspace_locked"}
    assert all(one["waiting-on"]["detail"] for one in shown)
    assert api.post(f"runs/{second}/actions/discard", json={"comment": "not now"}).status_code == 202
    assert api.post(f"runs/{third}/actions/cancel", json={}).status_code == 202
    assert [attributes(api.get(f"runs/{one}"))["status"] for one in (first, second, third)] == ["pending", "discarded", "canceled"]
    for run in (second, third):
        assert attributes(api.get(f"runs/{run}/plan"))["status"] in ("canceled", "unreachable")
        assert attributes(api.get(f"runs/{run}/apply"))["status"] in ("canceled", "unreachable")
        refused(api.post(f"runs/{run}/actions/discard"), 409)
        refused(api.post(f"runs/{run}/actions/cancel"), 409)
    assert api.post(f"workspaces/{workspace}/actions/unlock").status_code == 200
    run_at(api, first, "planned")
    assert api.post(f"runs/{first}/actions/discard").status_code == 202
    assert attributes(api.get(f"runs/{first}"))["status"] == "discarded"
    assert data(api.get(f"workspaces/{workspace}"))["attributes"]["locked"] is False


def test_variables_of_every_kind_reach_terraform(api: httpx.Client) -> None:
    workspace = make_workspace(api, auto_apply=True)["id"]
    kinds = (
        document("vars", key="plain", value='a "quoted" ${text}', category="terraform"),
        document("vars", key="parsed", value='["x", "y"]', category="terraform", hcl=True),
        document("vars", key="hidden", value="xyzzy-sensitive", category="terraform", sensitive=True),
        document("vars", key="TF_VAR_env", value="from the environment", category="env"),
        document("vars", key="overridden", value="by the workspace", category="terraform"),
    )
    for sent in kinds:
        data(api.post(f"workspaces/{workspace}/vars", json=sent), 201)
    declared = "".join(
        f'variable "{name}" {{ type = {kind} }}\n'
        for name, kind in {"plain": "string", "parsed": "list(string)", "hidden": "string", "env": "string", "overridden": "string"}.items()
    )
    outputs = "".join(
        f'output "{name}" {{\n  value = {value}\n}}\n'
        for name, value in {
            "plain": "var.plain",
            "parsed": "var.parsed",
            "hash": "sha256(var.hidden)",
            "env": "var.env",
            "overridden": "var.overridden",
        }.items()
    )
    make_configuration(api, workspace, {"main.tf": declared + outputs})
    run = make_run(api, workspace, variables=[{"key": "overridden", "value": '"by the run"'}])
    run_at(api, run, "applied")
    found = {
        one["attributes"]["name"]: one["attributes"]["value"]
        for one in data(api.get(f"workspaces/{workspace}/current-state-version-outputs"))
    }
    assert found["plain"] == 'a "quoted" ${text}'
    assert found["parsed"] == ["x", "y"]
    assert found["env"] == "from the environment"
    assert found["overridden"] == "by the run"
    assert len(found["hash"]) == 64
    assert "xyzzy-sensitive" not in log_of(api, run) + log_of(api, run, "apply")


def test_a_plan_that_fails_says_why_and_frees_the_workspace(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    make_configuration(api, workspace, {"main.tf": 'output "broken" {\n  value = var.nowhere\n}\n'})
    run = make_run(api, workspace)
    run_at(api, run, "errored")
    log = log_of(api, run)
    assert "Reference to undeclared input variable" in log
    assert (log[0], log[-1]) == (STX, ETX)
    assert attributes(api.get(f"runs/{run}/plan"))["status"] == "errored"
    assert attributes(api.get(f"runs/{run}/apply"))["status"] == "unreachable"
    assert data(api.get(f"workspaces/{workspace}"))["attributes"]["locked"] is False


def test_a_working_directory_is_honoured(api: httpx.Client) -> None:
    workspace = make_workspace(api, vcs_working_directory="deep/inside", auto_apply=True)["id"]
    make_configuration(
        api, workspace, {"main.tf": "this is no configuration", "deep/inside/main.tf": 'output "where" {\n  value = "inside"\n}\n'}
    )
    run_at(api, make_run(api, workspace), "applied")
    outputs = data(api.get(f"workspaces/{workspace}/current-state-version-outputs"))
    assert [one["attributes"]["value"] for one in outputs] == ["inside"]


def test_an_upload_queues_its_run_when_it_should(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    wire.lock(api, workspace)
    make_configuration(api, workspace, auto_queue_runs=True)
    from tests.support.waiting import until

    queued = until(lambda: data(api.get(f"workspaces/{workspace}/runs")), "the run of the upload")
    assert [one["attributes"]["status"] for one in queued] == ["pending"]
    assert api.post(f"runs/{queued[0]['id']}/actions/discard").status_code == 202


def test_run_json_survives_a_round_trip_of_includes(api: httpx.Client, world: object) -> None:
    """`include` with the names that real clients send."""
    run = world.run  # type: ignore[attr-defined]
    includes = "plan,apply,created_by,cost_estimate,configuration_version,configuration_version.ingress_attributes,workspace,task_stages"
    document = json.loads(api.get(f"runs/{run}", params={"include": includes}).content)
    assert {"plans", "applies", "users", "configuration-versions", "workspaces"} <= {one["type"] for one in document["included"]}
