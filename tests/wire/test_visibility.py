"""Who sees what: 404 for what one may not read, 403 for what one may read and not do, and no sensitive value for a reader."""

from __future__ import annotations

from contextlib import closing

import httpx
import pytest

from tests.support import wire
from tests.support.endpoints import WRITING, Endpoint, World
from tests.support.server import Server
from tests.support.wire import Person, data, document, ref, refused

READS = (
    "organizations/default/workspaces/{name}",
    "workspaces/{workspace}",
    "workspaces/{workspace}/vars",
    "workspaces/{workspace}/all-vars",
    "workspaces/{workspace}/vars/{variable}",
    "workspaces/{workspace}/varsets",
    "varsets/{varset}",
    "varsets/{varset}/relationships/vars",
    "varsets/{varset}/relationships/vars/{shared}",
    "workspaces/{workspace}/runs",
    "workspaces/{workspace}/configuration-versions",
    "workspaces/{workspace}/state-versions",
    "workspaces/{workspace}/current-state-version",
    "workspaces/{workspace}/current-state-version-outputs",
    "workspaces/{workspace}/tag-bindings",
    "workspaces/{workspace}/effective-tag-bindings",
    "workspaces/{workspace}/relationships/tags",
    "workspaces/{workspace}/relationships/tag-bindings",
    "workspaces/{workspace}/relationships/remote-state-consumers",
    "configuration-versions/{configuration}",
    "configuration-versions/{configuration}/ingress-attributes",
    "runs/{run}",
    "runs/{run}/run-events",
    "run-events/{event}",
    "runs/{run}/plan",
    "runs/{run}/apply",
    "plans/{plan}",
    "applies/{apply}",
    "state-versions/{state}",
    "state-versions/{state}/outputs",
    "projects/{project}",
)
"""What the level read opens."""

WRITERS_READS = (
    "configuration-versions/{configuration}/download",
    "state-versions/{state}/download",
    "state-version-outputs/{output}",
    "plans/{plan}/json-output",
    "runs/{run}/plan/json-output",
)
"""What reading alone does not open."""

OWN = ("authentication-tokens", "organizations/default/workspaces", "organizations/default/projects", "users/{user}/authentication-tokens")
"""Where everybody may create something."""


@pytest.mark.parametrize("path", [*READS, *WRITERS_READS])
def test_a_stranger_gets_404_as_for_what_is_not_there(api: httpx.Client, alice: Person, world: World, path: str) -> None:
    assert api.get(world.fill(path)).status_code in (200, 204, 302, 307), "the admin cannot read it"
    invisible = refused(alice.api.get(world.fill(path)), 404)
    unknown = path
    for placeholder, prefix in {
        "workspace": "ws",
        "run": "run",
        "plan": "plan",
        "apply": "apply",
        "event": "re",
        "state": "sv",
        "output": "wsout",
        "project": "prj",
        "configuration": "cv",
        "varset": "varset",
        "shared": "var",
        "name": "x",
    }.items():
        unknown = unknown.replace(f"{{{placeholder}}}", f"{prefix}-{wire.UNKNOWN}")
    assert refused(alice.api.get(world.fill(unknown)), 404)[0]["detail"] == invisible[0]["detail"], "the answer tells that it exists"


@pytest.mark.parametrize("path", READS)
def test_a_reader_reads(auditor: Person, world: World, path: str) -> None:
    response = auditor.api.get(world.fill(path))
    assert response.status_code == 200, response.text
    assert world.sensitive not in response.text


@pytest.mark.parametrize("path", WRITERS_READS)
def test_a_reader_gets_403_for_what_needs_more(auditor: Person, world: World, path: str) -> None:
    errors = refused(auditor.api.get(world.fill(path)), 403)
    assert errors[0]["code"] == "level_too_low"


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
def test_a_stranger_changes_nothing_and_learns_nothing(alice: Person, world: World, endpoint: Endpoint) -> None:
    if endpoint.path in OWN[:3] and endpoint.method == "POST":
        return
    statuses = (403, 404) if endpoint.path == OWN[3] else (404, 422) if endpoint.path == "runs" else (404,)
    if endpoint.path.startswith("admin/"):
        statuses = (403,)
    refused(alice.api.request(endpoint.method, world.path(endpoint), json=world.filled(endpoint.good)), *statuses)


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
def test_a_reader_gets_403_for_every_change(auditor: Person, world: World, endpoint: Endpoint) -> None:
    if endpoint.path in OWN[:3] and endpoint.method == "POST":
        return
    refused(auditor.api.request(endpoint.method, world.path(endpoint), json=world.filled(endpoint.good)), 403)


def test_the_world_is_as_it_was(api: httpx.Client, world: World) -> None:
    """After all that was refused above."""
    workspace = data(api.get(f"workspaces/{world.workspace}"))
    assert (workspace["attributes"]["name"], workspace["attributes"]["locked"]) == (world.name, True)
    assert wire.attributes(api.get(f"runs/{world.run}"))["status"] == "pending"
    assert data(api.get(f"workspaces/{world.workspace}/current-state-version"))["id"] == world.state
    assert [one["id"] for one in data(api.get(f"workspaces/{world.workspace}/vars"))] == [world.variable]


def test_lists_hold_only_what_one_sees(api: httpx.Client, alice: Person, auditor: Person, world: World) -> None:
    own = wire.make_workspace(alice.api)
    for path, ident in (("organizations/default/workspaces", world.workspace), ("organizations/default/projects", world.project)):
        seen = {one["id"] for one in data(alice.api.get(path, params={"page[size]": 100}))}
        assert ident not in seen
        names = {"search[name]": world.name} if "workspaces" in path else {}
        assert ident in {one["id"] for one in data(auditor.api.get(path, params={"page[size]": 100, **names}))}
    assert own["id"] in {one["id"] for one in data(alice.api.get("organizations/default/workspaces", params={"page[size]": 100}))}
    assert data(alice.api.get("organizations/default/runs")) == []
    assert data(alice.api.get("organizations/default/runs/queue")) == []
    assert data(alice.api.get(f"users/{world.user}/authentication-tokens")) == []
    assert world.token not in {one["id"] for one in data(alice.api.get("authentication-tokens"))}


@pytest.mark.parametrize(
    "search",
    [{"search[name]": "ws"}, {"filter[tagged][0][key]": "env"}, {"filter[project][id]": "{project}"}, {"sort": "name"}, {"q": "ws"}],
)
def test_no_filter_shows_what_one_may_not_see(alice: Person, world: World, search: dict[str, str]) -> None:
    found = data(alice.api.get("organizations/default/workspaces", params={key: world.fill(value) for key, value in search.items()}))
    assert world.workspace not in {one["id"] for one in found}


def test_who_sees_a_workspace_sees_its_project_and_nothing_else_in_it(alice: Person, api: httpx.Client) -> None:
    """A project of the admin's, with a workspace of the admin's and one of alice's in it."""
    project = data(api.post(f"{wire.ORG}/projects", json=document("projects", name=wire.fresh("shared"))), 201)["id"]
    own, others = wire.make_workspace(alice.api)["id"], wire.make_workspace(api)["id"]
    refused(alice.api.get(f"projects/{project}"), 404)
    moved = {"data": [ref("workspaces", own), ref("workspaces", others)]}
    assert api.post(f"projects/{project}/relationships/workspaces", json=moved).status_code == 204
    shown = alice.api.get(f"workspaces/{own}", params={"include": "project,organization,current_run,locked_by"}).json()
    (included,) = [one for one in shown["included"] if one["id"] == project]
    assert included["attributes"]["workspace-count"] == 1
    assert project in [one["id"] for one in data(alice.api.get(f"{wire.ORG}/projects"))]
    refused(alice.api.patch(f"projects/{project}", json=document("projects", description="mine")), 403)
    listed = data(alice.api.get(f"{wire.ORG}/workspaces", params={"filter[project][id]": project}))
    assert [one["id"] for one in listed] == [own]


def test_others_see_a_name_and_no_address(server: Server, alice: Person, world: World) -> None:
    shown = data(alice.api.get(f"users/{world.user}"))
    assert shown["attributes"]["username"]
    assert "email" not in shown["attributes"]
    assert server.email not in alice.api.get(f"users/{world.user}").text or shown["attributes"]["username"] == server.email
    assert wire.attributes(alice.api.get("account/details"))["email"] == alice.email


def test_only_admins_run_remotely_without_isolation(alice: Person) -> None:
    own = wire.make_workspace(alice.api)["id"]
    related = {"workspace": ref("workspaces", own)}
    answers = [
        alice.api.post(f"workspaces/{own}/configuration-versions", json=document("configuration-versions", auto_queue_runs=False)),
    ]
    if answers[0].status_code == 201:
        uploaded = wire.put(data(answers[0], 201)["attributes"]["upload-url"], wire.archive({"main.tf": wire.QUICK}))
        assert uploaded.status_code == 200
        answers = [
            alice.api.post("runs", json=document("runs", related)),
            alice.api.post("runs", json=document("runs", related, plan_only=True)),
        ]
    for answer in answers:
        errors = refused(answer, 403, says="admin")
        assert errors[0]["code"] == "runner_not_isolated"
    assert data(alice.api.get(f"workspaces/{own}/runs")) == []


def test_everybody_keeps_state_and_variables_of_their_own(alice: Person) -> None:
    """What needs no remote run works for every user."""
    own = wire.make_workspace(alice.api, execution_mode="local")["id"]
    wire.lock(alice.api, own)
    wire.put_state(alice.api, own, wire.state())
    assert alice.api.post(f"workspaces/{own}/actions/unlock").status_code == 200
    made = data(alice.api.post(f"workspaces/{own}/vars", json=document("vars", key="mine", value="v", category="env")), 201)
    assert alice.api.delete(f"workspaces/{own}/vars/{made['id']}").status_code == 204
    assert alice.api.delete(f"workspaces/{own}").status_code == 204


def test_nobody_sees_a_sensitive_value_again(api: httpx.Client, auditor: Person, world: World) -> None:
    """Not even its admin; the one exception is the output of a state, for those who may download that."""
    places = [*READS, "organizations/default/workspaces", "organizations/default/runs"]
    includes = {"include": "current_run,current_run.plan,current_state_version,outputs,vars,current_run.configuration_version"}
    for client in (api, auditor.api):
        for path in places:
            if client is api and path == "state-versions/{state}/outputs":
                continue
            for parameters in ({}, includes):
                assert world.sensitive not in client.get(world.fill(path), params=parameters).text, path
    hidden = {one["attributes"]["name"]: one["attributes"] for one in data(auditor.api.get(f"state-versions/{world.state}/outputs"))}[
        "hidden"
    ]
    assert (hidden["sensitive"], hidden["value"]) == (True, None)
    assert wire.attributes(api.get(f"state-version-outputs/{world.output}"))["value"] == world.sensitive


def test_a_sensitive_variable_stays_sensitive(api: httpx.Client, world: World) -> None:
    path = f"workspaces/{world.workspace}/vars/{world.variable}"
    refused(api.patch(path, json=document("vars", sensitive=False)), 422, pointer="/data/attributes/sensitive")
    refused(api.patch(path, json=document("vars", sensitive=False, value="seen")), 422, pointer="/data/attributes/sensitive")
    assert wire.attributes(api.patch(path, json=document("vars", sensitive=True)))["value"] is None


def test_anothers_lock_is_not_mine_to_give_back(api: httpx.Client, alice: Person) -> None:
    own = wire.make_workspace(alice.api)["id"]
    wire.lock(alice.api, own)
    refused(api.post(f"workspaces/{own}/actions/unlock"), 409, says="locked by User")
    refused(api.post(f"workspaces/{own}/actions/lock", json={}), 409, says="locked by User")
    refused(alice.api.post(f"workspaces/{own}/actions/lock", json={}), 409)
    assert api.post(f"workspaces/{own}/actions/force-unlock").status_code == 200
    refused(alice.api.post(f"workspaces/{own}/actions/unlock"), 409, says="not locked")


def test_a_disabled_user_is_refused_everywhere(server: Server) -> None:
    from tests.support.waiting import until

    person = wire.make_person(server, "leaver")
    with closing(person.api):
        assert person.api.get("account/details").status_code == 200
        wire.terrapod(server, "users", "disable", person.email)
        until(lambda: person.api.get("account/details").status_code == 401, "the disabled user to be refused", seconds=10)
        refused(person.api.get("organizations/default/workspaces"), 401)


def test_a_token_ends_with_the_one_it_was_made_with(server: Server, alice: Person) -> None:
    from tests.support.waiting import until

    parent = data(alice.api.post("authentication-tokens", json=document("authentication-tokens", description="parent")), 201)
    with server.client(parent["attributes"]["token"]) as first:
        child = data(first.post("authentication-tokens", json=document("authentication-tokens", description="child")), 201)
        assert child["attributes"]["expired-at"] <= parent["attributes"]["expired-at"]
        longer = document("authentication-tokens", expired_at="2027-12-31T00:00:00Z")
        refused(first.post("authentication-tokens", json=longer), 422, pointer="/data/attributes/expired-at")
    with server.client(child["attributes"]["token"]) as second:
        assert second.get("account/details").status_code == 200
        assert alice.api.delete(f"authentication-tokens/{parent['id']}").status_code == 204
        until(lambda: second.get("account/details").status_code == 401, "the child to end with its parent", seconds=10)
