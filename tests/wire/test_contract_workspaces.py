"""The contract's workspaces and variables, and the clients' paths beside them."""

from __future__ import annotations

import httpx
import pytest

from tests.support import wire
from tests.support.wire import attributes, data, document, ref, refused

TRUE_FOR_ADMINS = (
    "can-update", "can-destroy", "can-queue-run", "can-read-run", "can-read-variable", "can-update-variable",
    "can-read-state-versions", "can-read-state-outputs", "can-create-state-versions", "can-queue-apply", "can-lock", "can-unlock",
    "can-force-unlock", "can-read-settings", "can-manage-tags", "can-force-delete", "can-queue-destroy",
)  # fmt: skip


def test_create_with_the_contracts_own_attributes(api: httpx.Client) -> None:
    sent = document(
        "workspaces",
        name=wire.fresh("contract"),
        auto_apply=False,
        execution_mode="remote",
        terraform_version="1.9.8",
        resource_cpu="1",
        resource_memory="2Gi",
        labels={"env": "dev", "team": "platform"},
        vcs_working_directory="terraform/",
    )
    made = data(api.post(f"{wire.ORG}/workspaces", json=sent), 201)
    shown = made["attributes"]
    assert made["type"] == "workspaces"
    assert made["id"].startswith("ws-")
    assert shown["name"] == sent["data"]["attributes"]["name"]
    assert shown["labels"] == {"env": "dev", "team": "platform"}
    assert (shown["resource-cpu"], shown["resource-memory"], shown["terraform-version"]) == ("1", "2Gi", "1.9.8")
    assert shown["working-directory"] == shown["vcs-working-directory"] == "terraform"
    assert (shown["locked"], shown["auto-apply"], shown["execution-mode"]) == (False, False, "remote")
    assert {name: shown["permissions"][name] for name in TRUE_FOR_ADMINS} == dict.fromkeys(TRUE_FOR_ADMINS, True)
    assert made["links"]["self-html"] == f"/app/default/workspaces/{shown['name']}" or made["links"]["self-html"].endswith(shown["name"])
    assert made["relationships"]["organization"]["data"] == ref("organizations", "default")


def test_by_name_and_by_id_are_one(api: httpx.Client) -> None:
    made = wire.make_workspace(api)
    name = made["attributes"]["name"]
    by_id = data(api.get(f"workspaces/{made['id']}"))
    assert data(api.get(f"{wire.ORG}/workspaces/{name}")) == by_id
    assert made["id"] in {one["id"] for one in data(api.get(f"{wire.ORG}/workspaces", params={"search[name]": name}))}
    first = attributes(api.patch(f"workspaces/{made['id']}", json=document("workspaces", description="by id")))
    second = attributes(api.patch(f"{wire.ORG}/workspaces/{name}", json=document("workspaces", auto_apply=True)))
    assert (first["description"], first["auto-apply"], second["description"], second["auto-apply"]) == ("by id", False, "by id", True)


@pytest.mark.parametrize("how", ["DELETE id", "DELETE name", "safe id", "safe name"])
def test_a_workspace_goes_by_each_way(api: httpx.Client, how: str) -> None:
    made = wire.make_workspace(api)
    name = made["attributes"]["name"]
    path = f"workspaces/{made['id']}" if how.endswith("id") else f"{wire.ORG}/workspaces/{name}"
    answer = api.delete(path) if how.startswith("DELETE") else api.post(f"{path}/actions/safe-delete")
    assert answer.status_code == 204, answer.text
    assert answer.content == b""
    refused(api.get(f"workspaces/{made['id']}"), 404)
    refused(api.get(f"{wire.ORG}/workspaces/{name}"), 404)
    refused(api.delete(f"workspaces/{made['id']}"), 404)


def test_a_workspace_that_manages_resources_is_not_deleted_safely(api: httpx.Client) -> None:
    made = wire.make_workspace(api)["id"]
    wire.lock(api, made)
    wire.put_state(api, made, wire.state())
    refused(api.post(f"workspaces/{made}/actions/safe-delete"), 409, says="resource|lock")
    assert api.post(f"workspaces/{made}/actions/unlock").status_code == 200
    refused(api.post(f"workspaces/{made}/actions/safe-delete"), 409, says="resource")
    assert api.delete(f"workspaces/{made}").status_code == 204


def test_a_lock_shows_who_holds_it_and_goes_back(api: httpx.Client) -> None:
    made = wire.make_workspace(api)["id"]
    me = data(api.get("account/details"))["id"]
    locked = data(api.post(f"workspaces/{made}/actions/lock", json={"reason": "mine for now"}))
    assert (locked["attributes"]["locked"], locked["attributes"]["locked-reason"]) == (True, "mine for now")
    assert locked["relationships"]["locked-by"]["data"] == ref("users", me)
    refused(api.post(f"workspaces/{made}/actions/lock", json={}), 409)
    unlocked = data(api.post(f"workspaces/{made}/actions/unlock"))
    assert unlocked["attributes"]["locked"] is False
    assert unlocked["relationships"]["locked-by"]["data"] is None
    refused(api.post(f"workspaces/{made}/actions/unlock"), 409)
    # go-tfe's lock: a document whose type is empty.
    again = {"data": {"type": "", "attributes": {"reason": "as terraform"}}}
    assert attributes(api.post(f"workspaces/{made}/actions/lock", json=again))["locked-reason"] == "as terraform"
    assert attributes(api.post(f"workspaces/{made}/actions/force-unlock"))["locked"] is False


def test_labels_tags_and_bindings_are_one_table(api: httpx.Client) -> None:
    made = wire.make_workspace(api, labels={"env": "dev"})["id"]
    bound = {"data": [{"type": "tag-bindings", "attributes": {"key": "team", "value": "red"}}]}
    assert api.patch(f"workspaces/{made}/tag-bindings", json=bound).status_code == 200
    assert (
        api.post(f"workspaces/{made}/relationships/tags", json={"data": [{"type": "tags", "attributes": {"name": "flat"}}]}).status_code
        == 204
    )
    shown = attributes(api.get(f"workspaces/{made}"))
    assert {key: value or "" for key, value in shown["labels"].items()} == {"env": "dev", "team": "red", "flat": ""}
    assert set(shown["tag-names"]) >= {"flat"}
    bindings = {one["attributes"]["key"]: one["attributes"]["value"] or "" for one in data(api.get(f"workspaces/{made}/tag-bindings"))}
    assert bindings == {"env": "dev", "team": "red", "flat": ""}
    assert (
        api.request(
            "DELETE", f"workspaces/{made}/relationships/tags", json={"data": [{"type": "tags", "attributes": {"name": "flat"}}]}
        ).status_code
        == 204
    )
    assert attributes(api.patch(f"workspaces/{made}", json=document("workspaces", labels={"only": "this"})))["labels"] == {"only": "this"}
    assert [one["attributes"]["key"] for one in data(api.get(f"workspaces/{made}/tag-bindings"))] == ["only"]


def test_lists_are_filtered_by_name_tags_and_project(api: httpx.Client) -> None:
    word = wire.fresh("filtered")
    project = data(api.post(f"{wire.ORG}/projects", json=document("projects", name=wire.fresh("prj"))), 201)["id"]
    first = wire.make_workspace(api, name=f"{word}-one", labels={word: "a"})["id"]
    second = data(
        api.post(
            f"{wire.ORG}/workspaces",
            json=document("workspaces", {"project": ref("projects", project)}, name=f"{word}-two", labels={word: "b"}),
        ),
        201,
    )["id"]

    def listed(**parameters: str) -> set[str]:
        return {one["id"] for one in data(api.get(f"{wire.ORG}/workspaces", params=parameters))}

    assert listed(**{"search[name]": word}) == {first, second}
    assert listed(**{"search[name]": f"{word}-two"}) == {second}
    assert listed(**{"search[wildcard-name]": f"{word}-o*"}) == {first}
    assert listed(**{"search[tags]": word}) == {first, second}
    assert listed(**{"filter[tagged][0][key]": word}) == {first, second}
    assert listed(**{"filter[tagged][0][key]": word, "filter[tagged][0][value]": "b"}) == {second}
    assert listed(**{"filter[project][id]": project}) == {second}
    names = [one["attributes"]["name"] for one in data(api.get(f"{wire.ORG}/workspaces", params={"search[name]": word, "sort": "-name"}))]
    assert names == [f"{word}-two", f"{word}-one"]


def test_includes_bring_the_related_things(api: httpx.Client) -> None:
    made = wire.make_workspace(api)["id"]
    wire.lock(api, made)
    wire.put_state(api, made, wire.state())
    includes = "organization,project,locked_by,current_state_version,current-run.plan,nothing"
    document = api.get(f"workspaces/{made}", params={"include": includes}).json()
    kinds = {one["type"] for one in document["included"]}
    assert {"organizations", "projects", "users", "state-versions"} <= kinds


# -- variables


def test_variables_of_both_categories(api: httpx.Client) -> None:
    workspace = wire.make_workspace(api)["id"]
    path = f"workspaces/{workspace}/vars"
    region = document("vars", key="AWS_REGION", value="eu-west-1", category="env", sensitive=False, description="AWS region for provider")
    made = data(api.post(path, json=region), 201)
    assert (made["type"], made["id"][:4]) == ("vars", "var-")
    assert {name: made["attributes"][name] for name in ("key", "value", "category", "sensitive", "hcl", "description")} == {
        "key": "AWS_REGION",
        "value": "eu-west-1",
        "category": "env",
        "sensitive": False,
        "hcl": False,
        "description": "AWS region for provider",
    }
    # The two categories are two spaces of keys.
    data(api.post(path, json=document("vars", key="AWS_REGION", value="[1]", category="terraform", hcl=True)), 201)
    refused(api.post(path, json=region), 422, pointer="/data/attributes/key", says="taken")
    assert len(data(api.get(path))) == 2
    own = [variable["id"] for variable in data(api.get(path))]
    assert [variable["id"] for variable in data(api.get(path.replace("/vars", "/all-vars"))) if variable["id"] in own] == own
    changed = attributes(api.patch(f"{path}/{made['id']}", json=document("vars", value="us-east-1")))
    assert (changed["value"], changed["description"]) == ("us-east-1", "AWS region for provider")
    assert api.delete(f"{path}/{made['id']}").status_code == 204
    refused(api.get(f"{path}/{made['id']}"), 404)


def test_a_sensitive_value_is_written_and_never_read(api: httpx.Client) -> None:
    workspace = wire.make_workspace(api)["id"]
    path = f"workspaces/{workspace}/vars"
    secret = "xyzzy-never-read-back"
    answer = api.post(path, json=document("vars", key="secret", value=secret, category="terraform", sensitive=True))
    made = data(answer, 201)
    assert made["attributes"]["value"] is None
    changed = api.patch(f"{path}/{made['id']}", json=document("vars", value=secret + "-2", description="new"))
    for response in (answer, changed, api.get(path), api.get(f"{path}/{made['id']}"), api.get(f"workspaces/{workspace}/all-vars")):
        assert secret not in response.text


# -- projects


def test_projects_hold_workspaces(api: httpx.Client) -> None:
    name = wire.fresh("project")
    made = data(api.post(f"{wire.ORG}/projects", json=document("projects", name=name, description="mine")), 201)
    assert (made["type"], made["id"][:4], made["attributes"]["name"]) == ("projects", "prj-", name)
    workspace = wire.make_workspace(api)
    assert workspace["relationships"]["project"]["data"]["id"] != made["id"]
    assert (
        api.post(f"projects/{made['id']}/relationships/workspaces", json={"data": [ref("workspaces", workspace["id"])]}).status_code == 204
    )
    assert data(api.get(f"workspaces/{workspace['id']}"))["relationships"]["project"]["data"]["id"] == made["id"]
    refused(api.delete(f"projects/{made['id']}"), 409, says="workspaces")
    assert api.delete(f"workspaces/{workspace['id']}").status_code == 204
    assert attributes(api.patch(f"projects/{made['id']}", json=document("projects", description="")))["name"] == name
    assert made["id"] in {one["id"] for one in data(api.get(f"{wire.ORG}/projects", params={"filter[names]": name}))}
    assert api.delete(f"projects/{made['id']}").status_code == 204
    refused(api.get(f"projects/{made['id']}"), 404)
