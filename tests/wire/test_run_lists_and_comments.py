"""Lists of runs narrowed, comments, and what hangs on a run, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.wire import data, document, fresh, make_configuration, make_person, make_run, make_workspace, ref, refused, run_at


@pytest.fixture(scope="module")
def lists(api: httpx.Client) -> Iterator[dict[str, Any]]:
    """A locked workspace in which some runs wait, and one beside them has ended."""
    name = fresh("listed")
    workspace = make_workspace(api, name=name)["id"]
    configuration = make_configuration(api, workspace)
    wire.lock(api, workspace)
    made = {
        "plain": make_run(api, workspace, configuration, message=f"{name} plain 100%"),
        "destroy": make_run(api, workspace, configuration, is_destroy=True),
        "refresh": make_run(api, workspace, configuration, refresh_only=True),
        "empty": make_run(api, workspace, configuration, allow_empty_apply=True),
    }
    made["plan_only"] = make_run(api, workspace, configuration, plan_only=True)
    run_at(api, made["plan_only"], "planned_and_finished")
    yield {"workspace": workspace, "name": name, **made}
    for run in ("plain", "destroy", "refresh", "empty"):
        api.post(f"runs/{made[run]}/actions/discard")


ALL = "plan_only,plan_and_apply,save_plan,refresh_only,destroy,empty_apply"
WAITING = {"plain", "destroy", "refresh", "empty"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, WAITING),
        ({"filter[operation]": ALL}, WAITING | {"plan_only"}),
        ({"filter[operation]": "plan_only"}, {"plan_only"}),
        ({"filter[operation]": "plan_and_apply"}, {"plain", "empty"}),
        ({"filter[operation]": "destroy,refresh_only"}, {"destroy", "refresh"}),
        ({"filter[operation]": "empty_apply"}, {"empty"}),
        ({"filter[operation]": "banana"}, set()),
        ({"filter[operation]": "banana,destroy"}, {"destroy"}),
        ({"filter[status]": "pending"}, WAITING),
        ({"filter[status]": "applied,banana"}, set()),
        ({"filter[status_group]": "discardable"}, WAITING),
        ({"filter[status_group]": "non_final", "filter[operation]": ALL}, WAITING),
        ({"filter[status_group]": "final", "filter[operation]": ALL}, {"plan_only"}),
        ({"filter[status_group]": "banana"}, set()),
        ({"filter[source]": "tfe-api"}, WAITING),
        ({"filter[source]": "tfe-ui"}, set()),
        ({"filter[timeframe]": "year"}, WAITING),
        ({"filter[timeframe]": "1999"}, set()),
        ({"filter[timeframe]": "banana"}, set()),
        ({"filter[agent_pool_names]": "any"}, set()),
        ({"search[basic]": "plain 100%"}, {"plain"}),
        ({"search[basic]": "plain 100_"}, set()),
        ({"search[user]": "ADMIN"}, WAITING),
        ({"search[user]": "nobody of this name"}, set()),
        ({"search[commit]": "abc123"}, set()),
    ],
)
def test_a_list_is_narrowed(api: httpx.Client, lists: dict[str, Any], query: dict[str, str], found: set[str]) -> None:
    for path, more in (
        (f"workspaces/{lists['workspace']}/runs", {}),
        ("organizations/default/runs", {"filter[workspace_names]": lists["name"]}),
        ("runs", {"workspace_id": lists["workspace"]}),
    ):
        answer = data(api.get(path, params={**query, **more}))
        assert {one["id"] for one in answer} == {lists[each] for each in found}, path


def test_the_list_of_all_runs_knows_one_organization_and_hides_workspaces(api: httpx.Client) -> None:
    refused(api.get("runs", params={"organization_name": "other"}), 404)
    for ident in ("ws-2uPXtbAVfmCkwGsT", "", "a\0b"):
        refused(api.get("runs", params={"workspace_id": ident}), 404)


def test_a_comment_stands_in_the_history_with_who_made_it(api: httpx.Client, lists: dict[str, Any]) -> None:
    run = lists["plain"]
    made = data(api.post(f"runs/{run}/comments", json=document("comments", body="looks wrong to me")), 201)
    assert (made["type"], made["id"][:4], made["attributes"]["body"]) == ("comments", "wsc-", "looks wrong to me")
    assert [one["id"] for one in data(api.get(f"runs/{run}/comments"))] == [made["id"]]
    assert data(api.get(f"comments/{made['id']}"))["id"] == made["id"]
    answer = api.get(f"runs/{run}/run-events", params={"include": "actor,comment"})
    event = next(one for one in data(answer) if one["attributes"]["action"] == "comment-added")
    assert event["id"] == made["relationships"]["run-event"]["data"]["id"]
    assert event["relationships"]["comment"]["data"]["id"] == made["id"]
    included = {one["type"]: one["id"] for one in answer.json()["included"]}
    assert included == {"comments": made["id"], "users": event["relationships"]["actor"]["data"]["id"]}
    assert data(api.get(f"runs/{run}"))["relationships"]["comments"]["data"] == [ref("comments", made["id"])]


def test_a_comment_given_with_an_action_is_one_too(api: httpx.Client) -> None:
    workspace = make_workspace(api)["id"]
    configuration = make_configuration(api, workspace)
    wire.lock(api, workspace)
    run = make_run(api, workspace, configuration)
    assert api.post(f"runs/{run}/actions/discard", json={"comment": "not today"}).status_code == 202
    (comment,) = data(api.get(f"runs/{run}/comments"))
    assert comment["attributes"]["body"] == "not today"
    errors = refused(api.post(f"runs/{run}/actions/discard"), 409)
    assert errors[0]["title"] == "transition not allowed"


@pytest.mark.parametrize(("body", "says"), [("", "needs a text"), ("  \n", "needs a text"), ("x" * 4097, "at most 4096")])
def test_a_comment_without_text_or_with_too_much_is_refused(api: httpx.Client, lists: dict[str, Any], body: str, says: str) -> None:
    answer = api.post(f"runs/{lists['plain']}/comments", json=document("comments", body=body))
    refused(answer, 422, pointer="/data/attributes/body", says=says)


def test_a_reader_reads_comments_and_makes_none(api: httpx.Client, server: Server, lists: dict[str, Any]) -> None:
    auditor = make_person(server, "commenter", "audit")
    with closing(auditor.api) as reader:
        data(reader.get(f"runs/{lists['plain']}/comments"))
        refused(reader.post(f"runs/{lists['plain']}/comments", json=document("comments", body="mine")), 403)
    with closing(make_person(server, "stranger").api) as stranger:
        refused(stranger.get(f"runs/{lists['plain']}/comments"), 404)


def test_a_run_leads_to_its_configuration_and_its_plan_to_the_providers_schemas(api: httpx.Client, lists: dict[str, Any]) -> None:
    run = data(api.get(f"runs/{lists['plan_only']}"))
    configuration = run["relationships"]["configuration-version"]["data"]["id"]
    assert data(api.get(f"runs/{run['id']}/configuration-version"))["id"] == configuration
    assert api.get(f"runs/{run['id']}/configuration-version/download").status_code == 302
    plan = run["relationships"]["plan"]["data"]["id"]
    for path in (f"plans/{plan}/json-schema", f"runs/{run['id']}/plan/json-schema"):
        assert "provider_schemas" in api.get(path).json()
    waiting = data(api.get(f"runs/{lists['plain']}"))["relationships"]["plan"]["data"]["id"]
    assert api.get(f"plans/{waiting}/json-schema").status_code == 204
    assert run["relationships"]["input-state-version"]["data"] is None


def test_a_run_is_tried_again(api: httpx.Client, lists: dict[str, Any]) -> None:
    refused(api.post(f"runs/{lists['plain']}/actions/retry"), 409)
    made = data(api.post(f"runs/{lists['plan_only']}/actions/retry"), 201)
    assert (made["attributes"]["trigger-reason"], made["attributes"]["plan-only"]) == ("retry", True)
    run_at(api, made["id"], "planned_and_finished")
