"""Ids inside documents: unknown, of another type, of another workspace, of somebody else."""

from __future__ import annotations

import httpx
import pytest

from tests.support import wire
from tests.support.endpoints import World
from tests.support.wire import Person, data, document, ref, refused


@pytest.mark.parametrize("ident", ["ws-" + wire.UNKNOWN, "run-" + wire.UNKNOWN, "x", "", "ws-\u2603", "ws-" + "1" * 5000])
def test_a_run_in_an_unknown_workspace_is_422(api: httpx.Client, ident: str) -> None:
    refused(api.post("runs", json=document("runs", {"workspace": ref("workspaces", ident)})), 422, pointer="/data/relationships/workspace*")


def test_a_run_named_with_another_kind_of_thing_is_422(api: httpx.Client, world: World) -> None:
    for ident in (world.project, world.run, world.user):
        sent = document("runs", {"workspace": ref("workspaces", ident)})
        refused(api.post("runs", json=sent), 422, pointer="/data/relationships/workspace")


def test_a_run_takes_no_configuration_of_another_workspace(api: httpx.Client, world: World) -> None:
    mine = wire.make_workspace(api)["id"]
    wire.make_configuration(api, mine)
    theirs = world.configuration
    answers = []
    for ident in (theirs, "cv-" + wire.UNKNOWN, world.workspace, "x"):
        sent = document("runs", {"workspace": ref("workspaces", mine), "configuration-version": ref("configuration-versions", ident)})
        errors = refused(api.post("runs", json=sent), 422, pointer="/data/relationships/configuration-version")
        answers.append([error["detail"] for error in errors])
    assert all(answer == answers[0] for answer in answers), "the answer tells whether the configuration version exists"
    assert data(api.get(f"workspaces/{mine}/runs")) == []


def test_a_run_of_a_configuration_that_was_not_uploaded_is_422(api: httpx.Client) -> None:
    workspace = wire.make_workspace(api)["id"]
    refused(api.post("runs", json=document("runs", {"workspace": ref("workspaces", workspace)})), 422, says="no configuration")
    waiting = data(api.post(f"workspaces/{workspace}/configuration-versions", json=document("configuration-versions")), 201)["id"]
    named = {"workspace": ref("workspaces", workspace), "configuration-version": ref("configuration-versions", waiting)}
    refused(api.post("runs", json=document("runs", named)), 422, pointer="/data/relationships/configuration-version", says="pending")


def test_a_run_in_a_workspace_of_somebody_else_tells_nothing(alice: Person, world: World) -> None:
    """Each id in a document is answered as if the thing did not exist, when the one who asks may not see it."""
    answers = []
    for workspace, configuration in (
        ("ws-" + wire.UNKNOWN, world.configuration),
        (world.workspace, world.configuration),
        (world.workspace, "cv-" + wire.UNKNOWN),
        (world.other, world.configuration),
    ):
        related = {"workspace": ref("workspaces", workspace), "configuration-version": ref("configuration-versions", configuration)}
        errors = refused(alice.api.post("runs", json=document("runs", related)), 404, 422)
        answers.append([(error["status"], error["detail"]) for error in errors])
    without = [(error["status"], error["detail"]) for error in refused(
        alice.api.post("runs", json=document("runs", {"workspace": ref("workspaces", world.other)})), 404, 422
    )]  # fmt: skip
    assert all(answer == without for answer in answers), f"{answers} {without}"


def test_a_project_that_is_none_or_somebody_elses_is_422(api: httpx.Client, alice: Person, world: World) -> None:
    for client, ident in ((api, "prj-" + wire.UNKNOWN), (api, world.workspace), (api, "x"), (alice.api, world.project)):
        sent = document("workspaces", {"project": ref("projects", ident)}, name=wire.fresh("placed"))
        refused(client.post(f"{wire.ORG}/workspaces", json=sent), 422, pointer="/data/relationships/project*")


def test_moving_workspaces_names_what_is_wrong(api: httpx.Client, alice: Person, world: World) -> None:
    own = wire.make_workspace(alice.api)["id"]
    for ident in ("ws-" + wire.UNKNOWN, world.project, "x"):
        refused(api.post(f"projects/{world.project}/relationships/workspaces", json={"data": [ref("workspaces", ident)]}), 404, 422)
    refused(alice.api.post(f"projects/{world.project}/relationships/workspaces", json={"data": [ref("workspaces", own)]}), 404)


def test_state_is_shared_only_with_workspaces_that_are_seen(alice: Person, api: httpx.Client, world: World) -> None:
    own = wire.make_workspace(alice.api)["id"]
    path = f"workspaces/{own}/relationships/remote-state-consumers"
    unseen = refused(alice.api.post(path, json={"data": [ref("workspaces", world.workspace)]}), 422)
    unknown = refused(alice.api.post(path, json={"data": [ref("workspaces", "ws-" + wire.UNKNOWN)]}), 422)
    assert unseen[0]["detail"].replace(world.workspace, "") == unknown[0]["detail"].replace("ws-" + wire.UNKNOWN, "")
    assert data(alice.api.get(path)) == []


def test_a_rollback_to_a_state_of_another_workspace_is_refused(api: httpx.Client, world: World) -> None:
    mine = wire.make_workspace(api)["id"]
    wire.lock(api, mine)
    details = []
    for ident in (world.state, "sv-" + wire.UNKNOWN, world.run, "x"):
        sent = document("state-versions", {"rollback-state-version": ref("state-versions", ident)})
        errors = refused(api.patch(f"workspaces/{mine}/state-versions", json=sent), 404, 422)
        details.append([error["detail"] for error in errors])
    assert all(detail == details[0] for detail in details), details


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"execution_mode": "agent"}, "/data/attributes/agent-pool-id"),
        ({"execution_mode": "agent", "agent_pool_id": "apool-" + wire.UNKNOWN}, "/data/attributes/agent-pool-id"),
        ({"agent_pool_id": "apool-" + wire.UNKNOWN}, "/data/attributes/agent-pool-id"),
        ({"vcs_repo_url": "https://example.com/x"}, "/data/relationships/vcs-connection"),
        ({"vcs_repo": {"identifier": "a/b"}}, "/data/attributes/vcs-repo/oauth-token-id"),
        ({"trigger_prefixes": ["../x"]}, "/data/attributes/trigger-prefixes"),
        ({"terraform_version": "newest please"}, "/data/attributes/terraform-version"),
        ({"execution_backend": "pulumi"}, "/data/attributes/execution-backend"),
        ({"working_directory": "/etc"}, "/data/attributes/working-directory"),
        ({"working_directory": "a/../../b"}, "/data/attributes/working-directory"),
        ({"resource_cpu": "lots"}, "/data/attributes/resource-cpu"),
        ({"description": "x" * 5000}, "/data/attributes/description"),
        ({"labels": {"": "x"}}, "/data/attributes/labels*"),
        ({"labels": {"env": 7}}, "/data/attributes/labels*"),
        ({"name": ""}, "/data/attributes/name"),
        ({"name": "a/b"}, "/data/attributes/name"),
        ({"name": "x" * 91}, "/data/attributes/name"),
        ({"name": "with\u0000zero"}, "/data/attributes/name"),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_422_and_never_stored(
    api: httpx.Client, world: World, settings: dict[str, object], pointer: str
) -> None:
    refused(
        api.post(f"{wire.ORG}/workspaces", json=document("workspaces", **({"name": wire.fresh("no")} | settings))), 422, pointer=pointer
    )
    before = data(api.get(f"workspaces/{world.other}"))
    refused(api.patch(f"workspaces/{world.other}", json=document("workspaces", **settings)), 422, pointer=pointer)
    assert data(api.get(f"workspaces/{world.other}")) == before


def test_a_pool_or_connection_in_the_relationships_is_422(api: httpx.Client) -> None:
    for name, says in (("vcs-connection", "no such VCS connection"), ("agent-pool", "no such agent pool")):
        mode = {"execution_mode": "agent"} if name == "agent-pool" else {"vcs_repo_url": "https://example.com/a/b"}
        sent = document("workspaces", {name: ref(f"{name}s", "x-" + wire.UNKNOWN)}, name=wire.fresh("no"), **mode)
        refused(api.post(f"{wire.ORG}/workspaces", json=sent), 422, pointer=f"/data/relationships/{name}", says=says)


def test_a_name_that_is_taken_is_422(api: httpx.Client, alice: Person, world: World) -> None:
    for client in (api, alice.api):
        refused(
            client.post(f"{wire.ORG}/workspaces", json=document("workspaces", name=world.name)),
            422,
            pointer="/data/attributes/name",
            says="taken",
        )
    refused(api.patch(f"workspaces/{world.other}", json=document("workspaces", name=world.name)), 422, pointer="/data/attributes/name")


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"is_destroy": True, "refresh_only": True}, "/data/attributes/refresh-only"),
        ({"refresh_only": True, "refresh": False}, "/data/attributes/refresh"),
        ({"target_addrs": ["-destroy"]}, "/data/attributes/target-addrs"),
        ({"replace_addrs": [""]}, "/data/attributes/replace-addrs"),
        ({"variables": [{"key": "a b", "value": "1"}]}, "/data/attributes/variables"),
        ({"variables": [{"key": "a"}]}, "/data/attributes/variables*"),
        ({"policy_paths": ["x"]}, "/data/attributes/policy-paths"),
        ({"message": "x" * 5000}, "/data/attributes/message"),
        ({"terraform_version": "newest please"}, "/data/attributes/terraform-version"),
    ],
)
def test_a_run_that_contradicts_itself_is_422(api: httpx.Client, world: World, attributes: dict[str, object], pointer: str) -> None:
    sent = document("runs", {"workspace": ref("workspaces", world.workspace)}, **attributes)
    refused(api.post("runs", json=sent), 422, pointer=pointer)


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"key": ""}, "/data/attributes/key"),
        ({"key": "with blank"}, "/data/attributes/key"),
        ({"key": "a=b", "category": "env"}, "/data/attributes/key"),
        ({"category": "policy-set"}, "/data/attributes/category"),
        ({"key": "PATH", "category": "env"}, "/data/attributes/key"),
        ({"key": "LD_PRELOAD", "category": "env"}, "/data/attributes/key"),
        ({"key": "TERRAPOD_X", "category": "env"}, "/data/attributes/key"),
        ({"key": "TF_CLI_CONFIG_FILE", "category": "env"}, "/data/attributes/key"),
        ({"key": "hidden"}, "/data/attributes/key"),
    ],
)
def test_a_variable_that_cannot_be_is_422(api: httpx.Client, world: World, attributes: dict[str, object], pointer: str) -> None:
    sent = document("vars", **({"key": wire.fresh("v").replace("-", "_"), "value": "x", "category": "terraform"} | attributes))
    refused(api.post(f"workspaces/{world.workspace}/vars", json=sent), 422, pointer=pointer)


@pytest.mark.parametrize("moment", ["yesterday", "2001-01-01T00:00:00Z", "2001-01-01", "9999-12-31T23:59:59Z", "2098-01-01T00:00:00"])
def test_a_token_that_would_never_or_not_live_is_422(api: httpx.Client, moment: str) -> None:
    sent = document("authentication-tokens", description="x", expired_at=moment)
    refused(api.post("authentication-tokens", json=sent), 422, pointer="/data/attributes/expired-at")
