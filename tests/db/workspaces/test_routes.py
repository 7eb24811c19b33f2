"""The routes of these rooms in process, over HTTP as clients speak it."""

from __future__ import annotations

from typing import Any

import pytest

from terrapod_core.audit import Refusals
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.jsonapi import Includes
from terrapod_core.organizations import DEFAULT_PROJECT_ID, Organizations, resources as organization_resources, routes as organizations
from terrapod_core.projects import resources as project_resources, routes as projects
from terrapod_core.variables import routes as variables
from terrapod_core.web import TerrapodQuart, Web
from terrapod_core.web.failures import Failures
from terrapod_core.workspaces import label_routes, queries, resources as workspace_resources, routes as workspaces
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House

ORG = "/api/v2/organizations/default"


class Client:
    """Sends requests as Alice, unless told otherwise."""

    def __init__(self, app: TerrapodQuart) -> None:
        self._client = app.test_client()

    async def __call__(self, method: str, path: str, document: object = None, *, actor: Actor | None = ALICE) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {actor.name}"} if actor else {}
        body: dict[str, Any] = {} if document is None else {"json": document}
        response = await self._client.open(path, method=method, headers=headers, **body)
        raw = await response.get_data(as_text=False)
        return response.status_code, (await response.get_json(force=True)) if raw else None

    async def made(self, name: str = "net", **attributes: object) -> str:
        """The id of a new workspace."""
        status, document = await self("POST", f"{ORG}/workspaces", {"data": {"attributes": {"name": name, **attributes}}})
        assert status == 201
        return str(document["data"]["id"])


@pytest.fixture
def client(house: House) -> Client:
    known = {actor.name: actor for actor in (ALICE, BOB, ROOT, AUDITOR)}
    authz, includes = Authorizer(), Includes()
    count = queries.InProjects(authz)

    async def authenticate(token: str) -> Actor | None:
        return known.get(token)

    app = TerrapodQuart("test")
    web = Web(house.settings, house.db, includes, authenticate)
    Failures(app, Refusals(house.db))
    organization_resources.includes(includes)
    project_resources.includes(includes, authz, count)
    workspace_resources.includes(includes, authz, house.db.clock)
    for blueprint in (
        organizations.routes(Organizations(), web),
        projects.routes(house.projects, web),
        workspaces.routes(house.workspaces, web),
        label_routes.label_routes(house.workspaces, web),
        variables.routes(house.variables, web),
    ):
        app.register_blueprint(blueprint, url_prefix="/api/v2")
    return Client(app)


@pytest.mark.parametrize("path", ["", "/entitlement-set", "/workspaces", "/workspaces/net", "/projects", "/tags", "/nothing/at/all"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_another_organization_is_not_there_for_any_method(client: Client, method: str, path: str) -> None:
    status, document = await client(method, f"/api/v2/organizations/other{path}", {"data": {}} if method != "GET" else None)
    assert (status, document["errors"][0]["status"]) == (404, "404")
    assert (await client(method, f"/api/v2/organizations/other{path}", actor=None))[0] == 401


async def test_the_organization_and_what_it_is_entitled_to(client: Client) -> None:
    _, listed = await client("GET", "/api/v2/organizations")
    assert [one["id"] for one in listed["data"]] == ["default"]
    _, shown = await client("GET", f"{ORG}?include=default_project")
    assert [one["id"] for one in shown["included"]] == [DEFAULT_PROJECT_ID]
    _, entitled = await client("GET", f"{ORG}/entitlement-set")
    assert (entitled["data"]["type"], entitled["data"]["attributes"]["operations"]) == ("entitlement-sets", True)
    assert (await client("DELETE", ORG))[0] == 405


async def test_terraform_init_with_tags_finds_what_it_looks_for(client: Client) -> None:
    status, _ = await client("GET", f"{ORG}/workspaces/beta")
    assert status == 404
    bindings = [{"type": "tag-bindings", "attributes": {"key": "app", "value": "web"}}]
    document = {"data": {"type": "workspaces", "attributes": {"name": "beta"}, "relationships": {"tag-bindings": {"data": bindings}}}}
    status, made = await client("POST", f"{ORG}/workspaces", document)
    assert status == 201
    workspace = f"/api/v2/workspaces/{made['data']['id']}"
    status, _ = await client("PATCH", workspace, {"data": {"type": "workspaces", "attributes": {"terraform-version": "1.11.4"}}})
    assert status == 200
    _, bound = await client("GET", f"{workspace}/tag-bindings")
    assert [one["attributes"]["key"] + "=" + one["attributes"]["value"] for one in bound["data"]] == ["app=web"]
    asked = "TagBindings={+app+web}&filter[tagged][0][key]=app&filter[tagged][0][value]=web&search[tags]=app"
    _, found = await client("GET", f"{ORG}/workspaces?{asked}")
    assert [one["attributes"]["name"] for one in found["data"]] == ["beta"]
    assert found["meta"]["pagination"]["total-count"] == 1


async def test_tags_are_added_and_removed_without_ids(client: Client) -> None:
    workspace = f"/api/v2/workspaces/{await client.made()}"
    tags = {"data": [{"type": "tags", "attributes": {"name": "a"}}, {"type": "tags", "attributes": {"name": "b"}}]}
    assert await client("POST", f"{workspace}/relationships/tags", tags) == (204, None)
    _, listed = await client("GET", f"{workspace}/relationships/tags?page[size]=1")
    assert listed["meta"]["pagination"]["total-count"] == 2
    assert (await client("DELETE", f"{workspace}/relationships/tags", {"data": [{"type": "tags", "id": listed["data"][0]["id"]}]}))[
        0
    ] == 204
    _, everywhere = await client("GET", f"{ORG}/tags")
    assert [(one["attributes"]["name"], one["attributes"]["instance-count"]) for one in everywhere["data"]] == [("b", 1)]
    _, added = await client("PATCH", f"{workspace}/tag-bindings", {"data": [{"attributes": {"key": "b", "value": "1"}}]})
    assert [one["attributes"]["value"] for one in added["data"]] == ["1"]
    for method in ("POST", "PATCH"):
        assert (await client(method, f"{workspace}/relationships/tag-bindings", {"data": [{"attributes": {"key": "c"}}]}))[0] == 204
    for path in ("effective-tag-bindings", "relationships/tag-bindings"):
        _, bound = await client("GET", f"{workspace}/{path}")
        assert [one["attributes"]["key"] for one in bound["data"]] == ["c"]


@pytest.mark.parametrize("body", [{"data": {"type": "", "attributes": {"reason": "why"}}}, {"reason": "why"}], ids=["json-api", "plain"])
async def test_a_lock_takes_its_reason_in_either_form(client: Client, body: object) -> None:
    workspace = f"/api/v2/workspaces/{await client.made()}"
    status, locked = await client("POST", f"{workspace}/actions/lock", body)
    assert (status, locked["data"]["attributes"]["locked"], locked["data"]["attributes"]["locked-reason"]) == (200, True, "why")
    assert locked["data"]["relationships"]["locked-by"]["data"] == {"type": "users", "id": ALICE.id}
    assert (await client("POST", f"{workspace}/actions/lock"))[0] == 409
    status, refused = await client("POST", f"{workspace}/actions/unlock", actor=ROOT)
    assert (status, "is locked by User alice" in refused["errors"][0]["detail"]) == (409, True)
    assert (await client("POST", f"{workspace}/actions/force-unlock", actor=ROOT))[0] == 200
    assert (await client("POST", f"{workspace}/actions/unlock"))[0] == 409


@pytest.mark.parametrize("path", ["/api/v2/workspaces/{id}", f"{ORG}/workspaces/net"], ids=["by-id", "by-name"])
async def test_a_workspace_is_shown_changed_and_deleted_by_id_and_by_name(client: Client, path: str) -> None:
    ident = await client.made("net")
    path = path.format(id=ident)
    status, shown = await client("GET", f"{path}?include=organization,project,current_run.plan,nonsense")
    assert (status, shown["data"]["id"]) == (200, ident)
    assert {one["type"] for one in shown["included"]} == {"organizations", "projects"}
    _, changed = await client("PATCH", path, {"data": {"attributes": {"auto_apply": True}}})
    assert changed["data"]["attributes"]["auto-apply"] is True
    assert (await client("GET", path, actor=BOB))[0] == 404
    assert (await client("PATCH", path, {"data": {"attributes": {}}}, actor=AUDITOR))[0] == 403
    assert (await client("DELETE", path))[0] == 204
    assert (await client("GET", path))[0] == 404


@pytest.mark.parametrize("path", ["/api/v2/workspaces/{id}", f"{ORG}/workspaces/net"], ids=["by-id", "by-name"])
async def test_safe_delete_minds_a_lock(client: Client, path: str) -> None:
    ident = await client.made("net")
    path = path.format(id=ident)
    await client("POST", f"/api/v2/workspaces/{ident}/actions/lock")
    status, refused = await client("POST", f"{path}/actions/safe-delete")
    assert (status, "locked" in refused["errors"][0]["detail"]) == (409, True)
    await client("POST", f"/api/v2/workspaces/{ident}/actions/unlock")
    assert (await client("POST", f"{path}/actions/safe-delete"))[0] == 204


async def test_what_is_wrong_is_pointed_at(client: Client) -> None:
    document = {"data": {"attributes": {"name": "a b", "auto-apply": True, "auto-destroy-at": "2027-01-01T00:00:00Z"}}}
    status, refused = await client("POST", f"{ORG}/workspaces", document)
    assert (status, {one["source"]["pointer"] for one in refused["errors"]}) == (
        422,
        {"/data/attributes/name", "/data/attributes/auto-destroy-at"},
    )


async def test_projects_are_found_by_name_and_made_when_there_is_none(client: Client) -> None:
    _, none = await client("GET", f"{ORG}/projects?filter[names]=NewProj")
    assert none["data"] == []
    status, made = await client("POST", f"{ORG}/projects", {"data": {"type": "projects", "attributes": {"name": "NewProj"}}})
    assert status == 201
    project = f"/api/v2/projects/{made['data']['id']}"
    ident = await client.made()
    assert (await client("POST", f"{project}/relationships/workspaces", {"data": [{"type": "workspaces", "id": ident}]}))[0] == 204
    _, shown = await client("GET", project)
    assert shown["data"]["attributes"]["workspace-count"] == 1
    assert (await client("DELETE", project))[0] == 409
    _, renamed = await client("PATCH", project, {"data": {"attributes": {"name": "Other"}}})
    assert renamed["data"]["attributes"]["name"] == "Other"


async def test_remote_state_consumers_are_a_relationship(client: Client) -> None:
    provider, consumer = await client.made("net"), await client.made("app")
    path = f"/api/v2/workspaces/{provider}/relationships/remote-state-consumers"
    named = {"data": [{"type": "workspaces", "id": consumer}]}
    for method, after in (("POST", [consumer]), ("DELETE", []), ("PATCH", [consumer])):
        assert (await client(method, path, named))[0] == 204
        _, listed = await client("GET", path)
        assert [one["id"] for one in listed["data"]] == after


async def test_variables_have_a_new_path_and_an_old_one(client: Client) -> None:
    ident = await client.made()
    attributes = {"key": "AWS_REGION", "value": "eu-west-1", "category": "env", "sensitive": True}
    status, made = await client("POST", f"/api/v2/workspaces/{ident}/vars", {"data": {"type": "vars", "attributes": attributes}})
    assert (status, made["data"]["attributes"]["value"]) == (201, None)
    path = f"/api/v2/workspaces/{ident}/vars/{made['data']['id']}"
    assert made["data"]["links"]["self"] == path
    named = "filter[organization][name]=default&filter[workspace][name]=net"
    for listing in (f"/api/v2/workspaces/{ident}/vars", f"/api/v2/workspaces/{ident}/all-vars", f"/api/v2/vars?{named}"):
        _, listed = await client("GET", listing)
        assert [(one["attributes"]["key"], one["attributes"]["value"]) for one in listed["data"]] == [("AWS_REGION", None)]
    assert (await client("GET", "/api/v2/vars"))[0] == 400
    related = {"workspace": {"data": {"type": "workspaces", "id": ident}}}
    old = {"data": {"attributes": {"key": "x", "category": "terraform", "value": None}, "relationships": related}}
    status, second = await client("POST", "/api/v2/vars", old)
    assert (status, second["data"]["attributes"]["value"]) == (201, "")
    assert (await client("PATCH", f"/api/v2/vars/{second['data']['id']}", {"data": {"attributes": {"value": "y"}}}))[0] == 200
    assert (await client("DELETE", f"/api/v2/vars/{second['data']['id']}"))[0] == 204
    assert (await client("PATCH", path, {"data": {"attributes": {"value": "eu-north-1"}}}))[0] == 200
    assert (await client("GET", path))[0] == 200
    assert (await client("DELETE", path))[0] == 204
    assert (await client("GET", path))[0] == 404
