"""Pull requests of forks: anybody may open one, so that they get nothing that anybody could not have."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.followed import Followed, Follower
from tests.support.forge import MAIN_TF, Repository
from tests.support.listeners import make_pool
from tests.support.tf import dotted
from tests.support.waiting import until
from tests.support.wire import data, document, fresh, make_person, refused

ANOTHER = {"main.tf": MAIN_TF.replace("rex", "felix")}
IN_VARIABLE, IN_ENVIRONMENT, IN_STATE = (f"planted-in-{place}-31415" for place in ("a-variable", "the-environment", "a-state"))
WITH_STATE = {"main.tf": f'resource "terraform_data" "pet" {{\n  input = "{IN_STATE}"\n}}\noutput "kept" {{\n  value = "{IN_STATE}"\n}}\n'}
CURIOUS = {
    "main.tf": """
        variable "pet" {
          default = "none"
        }
        resource "terraform_data" "pet" {
          input = base64encode(var.pet)
        }
        output "environment" {
          value = filebase64("/proc/self/environ")
        }
    """
}
"""What somebody would propose who wants to know: the plan shows it in a form that no masking finds."""


def plant(workspace: Follower) -> None:
    """Let the workspace have secrets in variables."""
    for key, category, value in (("pet", "terraform", IN_VARIABLE), ("AWS_SECRET_ACCESS_KEY", "env", IN_ENVIRONMENT)):
        sent = document("vars", key=key, category=category, value=value, sensitive=True)
        data(workspace.site.server.api.post(f"workspaces/{workspace.id}/vars", json=sent), 201)


def seen_by(workspace: Follower, run: dict[str, Any]) -> str:
    """All that a run tells: its log and its plan as JSON, what is in base64 in clear too."""
    api = workspace.site.server.api
    answer = api.get(f"plans/{run['relationships']['plan']['data']['id']}/json-output", follow_redirects=True)
    assert answer.status_code == 200, answer.text
    planned = json.loads(answer.text)["planned_values"]
    hidden = [each["value"] for each in planned.get("outputs", {}).values()]
    hidden += [each["values"]["input"] for each in planned["root_module"].get("resources", ())]
    clear = [base64.b64decode(each, validate=False).decode(errors="replace") for each in hidden]
    return "\n".join([log(workspace, run), answer.text, *clear])


def log(workspace: Follower, run: dict[str, Any]) -> str:
    """The plan's log."""
    server = workspace.site.server
    url = wire.attributes(server.api.get(f"runs/{run['id']}/plan"))["log-read-url"]
    with httpx.Client(verify=server.trust, trust_env=False) as client:
        return client.get(url, params={"offset": 0, "limit": 1 << 20}).text


def until_others_are_told(workspace: Follower) -> None:
    """Wait until a pull request that came later was planned and told: whatever was to come of the ones before has come."""
    _, sha = workspace.open_pull(fresh("ours"), {"main.tf": MAIN_TF.replace("rex", fresh("pet"))})
    workspace.run_of(sha, "planned_and_finished")
    until(lambda: workspace.statuses(sha)[-1:] == [workspace.site.kind.words["success"]], "our own to be told")


def told(workspace: Follower, fork: Repository, sha: str) -> list[str]:
    """What a fork's commit was told, wherever the forge keeps it."""
    both = [*workspace.repo.statuses, *fork.statuses]
    return [text for at, context, _, text, _ in both if at == sha and context == f"terrapod/{workspace.name}"]


def waiting(workspace: Follower, sha: str) -> dict[str, Any]:
    """The change of a commit that waits for approval."""
    return workspace.until_change(sha, "waiting")


def test_they_are_ignored_unless_the_workspace_says_otherwise(site: Followed) -> None:
    workspace = site.workspace(site.repository())
    pull, fork, sha = workspace.open_pull_of_fork(ANOTHER)
    change = workspace.until_change(sha, "skipped")
    assert change["attributes"]["is-fork"] is True
    assert "fork-pull-requests" in change["attributes"]["reason"]
    until_others_are_told(workspace)
    assert told(workspace, fork, sha) == []
    assert pull.comments == {}
    assert change["relationships"]["run"]["data"] is None


def test_without_secrets_there_are_none_in_reach(isolated_site: Followed) -> None:
    workspace = isolated_site.workspace(
        isolated_site.repository(WITH_STATE), fork_pull_requests="no-secrets", auto_apply=True, queue_all_runs=True
    )
    workspace.run_of(workspace.repo.sha(), "applied")
    plant(workspace)
    pull, _, sha = workspace.open_pull_of_fork(CURIOUS)
    run = workspace.run_of(sha, "planned_and_finished")
    found = seen_by(workspace, run)
    assert "TF_" in found, "the plan's environment is not there to be searched"
    assert [secret for secret in (IN_VARIABLE, IN_ENVIRONMENT, IN_STATE) if secret in found] == []
    assert (run["attributes"]["plan-only"], run["attributes"]["trusted"]) == (True, False)
    until(lambda: "1 to add, 0 to change" in "".join(pull.comments.values()), "the comment: without a state everything is new")


READS_STATE = """
data "terraform_remote_state" "other" {
  backend = "remote"
  config = {
    hostname     = "HOST"
    organization = "default"
    workspaces   = { name = "NAME" }
  }
}
output "stolen" {
  value = base64encode(jsonencode(data.terraform_remote_state.other.outputs))
}
"""


def test_without_secrets_no_state_can_be_asked_for(isolated_site: Followed) -> None:
    """Not another workspace's, though it is for all of them, and not the workspace's own."""
    other = isolated_site.workspace(isolated_site.repository(WITH_STATE), auto_apply=True, queue_all_runs=True, global_remote_state=True)
    other.run_of(other.repo.sha(), "applied")
    workspace = isolated_site.workspace(isolated_site.repository(), fork_pull_requests="no-secrets")
    text = READS_STATE.replace("HOST", dotted(isolated_site.server)).replace("NAME", other.name)
    _, ours = workspace.open_pull("reads", {"main.tf": text})
    assert workspace.run_of(ours, "errored", "planned_and_finished")["attributes"]["status"] == "errored"
    _, _, sha = workspace.open_pull_of_fork({"main.tf": text})
    run = workspace.run_of(sha, "errored", "planned_and_finished")
    assert run["attributes"]["status"] == "errored"
    assert IN_STATE not in log(workspace, run)
    workspace.update(queue_all_runs=True)
    trusted = workspace.run_of(workspace.repo.push({"main.tf": text}, "Read it"), "planned", "errored")
    assert trusted["attributes"]["status"] == "planned", log(workspace, trusted)


def test_without_secrets_no_private_module_can_be_had(isolated_site: Followed) -> None:
    server = isolated_site.server
    module = fresh("module")
    wire.make_module(server.api, module)
    path = f"{wire.ORG}/registry-modules/private/default/{module}/aws"
    made = data(server.api.post(f"{path}/versions", json=document("registry-module-versions", version="1.0.0")), 201)
    with httpx.Client(verify=server.trust, trust_env=False) as client:
        archive = wire.archive({"main.tf": f'output "said" {{\n  value = "{IN_STATE}"\n}}\n'})
        assert client.put(made["links"]["upload"], content=archive).status_code == 200
    until(lambda: data(server.api.get(f"{path}/1.0.0"))["attributes"]["status"] == "ok", "the module to be published")
    workspace = isolated_site.workspace(isolated_site.repository(), fork_pull_requests="no-secrets")
    uses = {"main.tf": f'module "net" {{\n  source  = "{dotted(server)}/default/{module}/aws"\n  version = "1.0.0"\n}}\n'}
    _, ours = workspace.open_pull("uses", uses)
    run = workspace.run_of(ours, "planned_and_finished", "errored")
    assert run["attributes"]["status"] == "planned_and_finished", log(workspace, run)
    _, _, sha = workspace.open_pull_of_fork(uses)
    run = workspace.run_of(sha, "errored", "planned_and_finished")
    assert run["attributes"]["status"] == "errored"
    assert IN_STATE not in log(workspace, run)


@pytest.fixture(scope="module")
def people(site: Followed) -> Iterator[dict[str, Any]]:
    """One of each level on workspaces with the label `forks`."""
    with ExitStack() as closing:
        found = {}
        for level in ("read", "plan", "write"):
            found[level] = person = make_person(site.server, fresh(level))
            closing.callback(person.api.close)
            role = document("roles", name=fresh(level), workspace_permission=level, allow_labels={"forks": "yes"})
            name = data(site.server.api.post("roles", json=role), 201)["attributes"]["name"]
            given = document("role-assignments", provider_name="local", email=person.email, roles=[name])
            data(site.server.api.put("role-assignments", json=given))
        yield found


def test_somebody_with_write_approves_one_commit(site: Followed, people: dict[str, Any]) -> None:
    workspace = site.workspace(site.repository(), fork_pull_requests="approval", labels={"forks": "yes"})
    plant(workspace)
    pull, fork, sha = workspace.open_pull_of_fork(CURIOUS)
    path = f"vcs-changes/{waiting(workspace, sha)['id']}/actions/approve"
    until(lambda: "Waits for approval: it comes from a fork" in "".join(pull.comments.values()), "people to be told that it waits")
    if site.kind.name != "gitlab":  # which takes no status of a commit that is on none of a project's own branches
        assert told(workspace, fork, sha) == ["Waits for approval: it comes from a fork"]
    for level in ("read", "plan"):
        refused(people[level].api.post(path, json={}), 403)
    assert workspace.change(sha)["attributes"]["status"] == "waiting"  # type: ignore[index]
    shown = data(people["write"].api.post(path, json={"comment": "looks good"}))
    assert shown["relationships"]["approved-by"]["data"]["id"] == people["write"].id
    run = workspace.run_of(sha, "planned_and_finished")
    found = seen_by(workspace, run)
    assert IN_VARIABLE in found
    assert IN_ENVIRONMENT in found
    refused(people["write"].api.post(path, json={}), 409)
    asked = {"filter[action]": "vcs-change.approve", "filter[actor]": people["write"].id}
    entries = data(site.server.api.get("admin/audit-log", params=asked))
    assert [sha in json.dumps(each["attributes"]) for each in entries] == [True]
    newer = fork.push({"main.tf": MAIN_TF}, "Another one", "theirs")
    waiting(workspace, newer)
    assert workspace.change(newer)["relationships"]["run"]["data"] is None  # type: ignore[index]


def test_an_approval_that_comes_too_late_is_refused(site: Followed, people: dict[str, Any]) -> None:
    workspace = site.workspace(site.repository(), fork_pull_requests="approval", labels={"forks": "yes"})
    pull, fork, sha = workspace.open_pull_of_fork(ANOTHER)
    first = waiting(workspace, sha)["id"]
    newer = fork.push({"main.tf": MAIN_TF}, "Another one", "theirs")
    second = waiting(workspace, newer)["id"]
    workspace.until_change(sha, "superseded")
    refused(people["write"].api.post(f"vcs-changes/{first}/actions/approve", json={}), 409, says="superseded")
    pull.open = False
    workspace.until_change(newer, "superseded")
    refused(people["write"].api.post(f"vcs-changes/{second}/actions/approve", json={}), 409)
    pull.open = True
    waiting(workspace, newer)
    data(people["write"].api.post(f"vcs-changes/{second}/actions/approve", json={}))
    workspace.run_of(newer, "planned_and_finished")


def test_a_commit_of_a_repository_that_is_followed_no_longer_cannot_be_approved(site: Followed, people: dict[str, Any]) -> None:
    workspace = site.workspace(site.repository(), fork_pull_requests="approval", labels={"forks": "yes"})
    _, _, sha = workspace.open_pull_of_fork(ANOTHER)
    approve = f"vcs-changes/{waiting(workspace, sha)['id']}/actions/approve"
    former = workspace.repo.path
    workspace.update(vcs_repo={"identifier": site.repository().path})
    refused(people["write"].api.post(approve, json={}), 409, says="does not follow this commit's repository any more")
    workspace.update(vcs_repo={"identifier": former})
    data(people["write"].api.post(approve, json={}))


def test_where_nothing_isolates_runs_they_wait_for_approval(site: Followed) -> None:
    workspace = site.workspace(site.repository(), fork_pull_requests="no-secrets")
    _, _, sha = workspace.open_pull_of_fork(ANOTHER)
    assert waiting(workspace, sha)["relationships"]["run"]["data"] is None


def test_what_an_agent_carries_out_waits_for_approval(isolated_site: Followed) -> None:
    """What is in reach on an agent's machine, the server does not know."""
    pool = make_pool(isolated_site.server.api)["id"]
    workspace = isolated_site.workspace(
        isolated_site.repository(), fork_pull_requests="no-secrets", execution_mode="agent", agent_pool_id=pool
    )
    _, _, sha = workspace.open_pull_of_fork(ANOTHER)
    assert waiting(workspace, sha)["relationships"]["run"]["data"] is None
