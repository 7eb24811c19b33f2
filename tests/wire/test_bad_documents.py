"""Documents that are none, or not the right one, against every endpoint that reads one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.endpoints import ACTIONS, BODILESS, DOCUMENTS, RELATIONSHIPS, Body, Endpoint, World
from tests.support.wire import data, refused

DEEP = b'{"data":' + b"[" * 100 + b"]" * 100 + b"}"

NO_DOCUMENT = {
    "nothing at all": b"",
    "blanks": b" \n",
    "half an object": b'{"data": {"type": "x", "attributes": {"na',
    "no JSON": b"name=x",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "a text": b'"x"',
    "an empty object": b"{}",
    "another object": b'{"errors": []}',
    "two documents": b'{"data": {}} {"data": {}}',
    "not UTF-8": b'{"data": {"attributes": {"name": "\xff\xfe"}}}',
    "half a surrogate pair": b'{"data": {"attributes": {"name": "\\ud800"}}}',
    "NaN": b'{"data": {"attributes": {"name": NaN}}}',
    "data that is a text": b'{"data": "x"}',
    "data that is a number": b'{"data": 1}',
    "nested a hundred deep": DEEP,
    "a number no machine holds": b'{"data": {"attributes": {"serial": 1e999}}}',
    "a number beyond 64 bits": b'{"data": {"attributes": {"serial": 36893488147419103232}}}',
}
NO_OBJECT = {"data that is null": b'{"data": null}', "data that is a list": b'{"data": []}'}
WRONG_PARTS = {
    "attributes that are a list": ({"attributes": []}, "/data/attributes"),
    "attributes that are a text": ({"attributes": "x"}, "/data/attributes"),
    "relationships that are a list": ({"relationships": []}, "/data/relationships"),
    "relationships that are a text": ({"relationships": "x"}, "/data/relationships"),
}


@pytest.mark.parametrize("body", NO_DOCUMENT.values(), ids=NO_DOCUMENT.keys())
@pytest.mark.parametrize("endpoint", [*DOCUMENTS, *RELATIONSHIPS], ids=str)
def test_a_body_that_is_no_document_is_400(api: httpx.Client, world: World, endpoint: Endpoint, body: bytes) -> None:
    refused(api.request(endpoint.method, world.path(endpoint), content=body), 400, 422)
    if endpoint.body is Body.DOCUMENT:
        refused(api.request(endpoint.method, world.path(endpoint), content=body), 400)


@pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
@pytest.mark.parametrize("endpoint", DOCUMENTS, ids=str)
def test_a_document_without_an_object_is_400(api: httpx.Client, world: World, endpoint: Endpoint, body: bytes) -> None:
    refused(api.request(endpoint.method, world.path(endpoint), content=body), 400, pointer="/data")


@pytest.mark.parametrize(("part", "pointer"), WRONG_PARTS.values(), ids=WRONG_PARTS.keys())
@pytest.mark.parametrize("endpoint", DOCUMENTS, ids=str)
def test_members_of_the_wrong_kind_are_422(api: httpx.Client, world: World, endpoint: Endpoint, part: dict[str, Any], pointer: str) -> None:
    sent = {"data": {**world.filled(endpoint.good)["data"], **part}}
    refused(api.request(endpoint.method, world.path(endpoint), json=sent), 422, pointer=pointer)


def wrong_values() -> Iterator[tuple[Endpoint, str, Any]]:
    """Every attribute of every good document, with a value of each kind that it does not take."""
    kinds: dict[type, Any] = {bool: True, int: 7, float: 1.5, str: "text", list: [{}], dict: {"a": {"b": []}}}
    for endpoint in DOCUMENTS:
        for name, good in endpoint.attributes().items():
            yield from ((endpoint, name, wrong) for kind, wrong in kinds.items() if kind is not type(good))


@pytest.mark.parametrize(
    ("endpoint", "name", "wrong"), [pytest.param(*case, id=f"{case[0]} {case[1]} {json.dumps(case[2])}") for case in wrong_values()]
)
def test_an_attribute_of_the_wrong_type_is_422_and_pointed_to(
    api: httpx.Client, world: World, endpoint: Endpoint, name: str, wrong: Any
) -> None:
    sent = world.filled(endpoint.good)
    sent["data"]["attributes"][name] = wrong
    refused(api.request(endpoint.method, world.path(endpoint), json=sent), 422, pointer=f"/data/attributes/{name}*")


@pytest.mark.parametrize(
    ("method", "path", "member"),
    [
        ("POST", "organizations/default/workspaces", "name"),
        ("POST", "organizations/default/projects", "name"),
        ("POST", "workspaces/{workspace}/vars", "key"),
        ("POST", "workspaces/{workspace}/vars", "category"),
        ("POST", "workspaces/{workspace}/state-versions", "serial"),
        ("POST", "workspaces/{workspace}/state-versions", "md5"),
    ],
)
def test_a_missing_member_is_422_and_named(api: httpx.Client, world: World, method: str, path: str, member: str) -> None:
    endpoint = next(one for one in DOCUMENTS if (one.method, one.path) == (method, path))
    sent = world.filled(endpoint.good)
    del sent["data"]["attributes"][member]
    refused(api.request(method, world.path(endpoint), json=sent), 422, pointer=f"/data/attributes/{member}", says=member)
    sent["data"]["attributes"][member] = None
    refused(api.request(method, world.path(endpoint), json=sent), 422, pointer=f"/data/attributes/{member}")


NO_REFS = {
    "a text": "x",
    "a number": 7,
    "a list of texts": ["x"],
    "a list of nulls": [None],
    "an empty identifier": [{}],
    "an id that is a number": [{"type": "workspaces", "id": 7}],
    "a type that is a number": [{"type": 7, "id": "x"}],
    "attributes that are a list": [{"type": "workspaces", "attributes": []}],
}


@pytest.mark.parametrize("identifiers", NO_REFS.values(), ids=NO_REFS.keys())
@pytest.mark.parametrize("endpoint", RELATIONSHIPS, ids=str)
def test_identifiers_that_are_none_are_refused(api: httpx.Client, world: World, endpoint: Endpoint, identifiers: Any) -> None:
    refused(api.request(endpoint.method, world.path(endpoint), json={"data": identifiers}), 400, 422)


@pytest.mark.parametrize("sent", [{"data": None}, {}, None, [], "x"], ids=str)
@pytest.mark.parametrize("member", ["workspace", "configuration-version"])
def test_a_null_relationship_of_a_run_is_no_crash(api: httpx.Client, world: World, member: str, sent: Any) -> None:
    good = {"workspace": {"data": wire.ref("workspaces", world.other)}}
    document = {"data": {"type": "runs", "attributes": {}, "relationships": {**good, member: sent}}}
    refused(api.post("runs", json=document), 422, pointer=f"/data/relationships/{member}*" if member == "workspace" else None)


@pytest.mark.parametrize("sent", [{"data": None}, {}, None, [], "x", {"data": []}], ids=str)
def test_a_null_relationship_of_a_rollback_is_422(api: httpx.Client, world: World, sent: Any) -> None:
    document = {"data": {"type": "state-versions", "relationships": {"rollback-state-version": sent}}}
    path = f"workspaces/{world.workspace}/state-versions"
    refused(api.patch(path, json=document), 422, pointer="/data/relationships/rollback-state-version*")


NO_ACTION = {
    "half": b"{",
    "a list": b"[]",
    "a number": b"1",
    "a comment that is a number": b'{"comment": 1, "reason": 1}',
    "data that is a text": b'{"data": "x"}',
}


@pytest.mark.parametrize("body", NO_ACTION.values(), ids=NO_ACTION.keys())
@pytest.mark.parametrize("endpoint", ACTIONS, ids=str)
def test_an_action_with_a_body_that_is_none_is_refused(api: httpx.Client, world: World, endpoint: Endpoint, body: bytes) -> None:
    refused(api.request(endpoint.method, world.path(endpoint), content=body), 400, 422)
    assert wire.attributes(api.get(f"runs/{world.run}"))["status"] == "pending"


@pytest.mark.parametrize("endpoint", [*DOCUMENTS, *RELATIONSHIPS, *ACTIONS], ids=str)
def test_a_body_of_another_type_is_415(api: httpx.Client, world: World, endpoint: Endpoint) -> None:
    for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = api.request(endpoint.method, world.path(endpoint), content=b"{}", headers={"Content-Type": content_type})
        refused(response, 415, says="application/vnd.api\\+json")


@pytest.mark.parametrize(
    "content_type", ["application/vnd.api+json", "application/json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_both_json_types_are_read(api: httpx.Client, content_type: str) -> None:
    sent = json.dumps(wire.document("workspaces", name=wire.fresh("typed"))).encode()
    data(api.post(f"{wire.ORG}/workspaces", content=sent, headers={"Content-Type": content_type}), 201)


def test_a_wrong_or_missing_type_member_is_not_looked_at(api: httpx.Client) -> None:
    for kind in ("", "teams", "workspaces"):
        data(api.post(f"{wire.ORG}/workspaces", json=wire.document(kind, name=wire.fresh("typed"))), 201)
    data(api.post(f"{wire.ORG}/workspaces", json={"data": {"attributes": {"name": wire.fresh("typed")}}}), 201)


def test_snake_case_is_read_and_kebab_case_is_written(api: httpx.Client) -> None:
    sent = {"data": {"attributes": {"name": wire.fresh("snake"), "auto_apply": True, "terraform_version": "1.9.8"}}}
    shown = wire.attributes(api.post(f"{wire.ORG}/workspaces", json=sent), 201)
    assert (shown["auto-apply"], shown["terraform-version"]) == (True, "1.9.8")
    assert not [name for name in shown if "_" in name]


def test_every_problem_is_told_at_once(api: httpx.Client) -> None:
    sent = wire.document("workspaces", name="no blanks please", execution_mode="sometimes", working_directory="../up")
    errors = refused(api.post(f"{wire.ORG}/workspaces", json=sent), 422, pointer="/data/attributes/name")
    assert {error["source"]["pointer"] for error in errors} == {
        "/data/attributes/name",
        "/data/attributes/execution-mode",
        "/data/attributes/working-directory",
    }


@pytest.mark.parametrize("endpoint", [*DOCUMENTS, *RELATIONSHIPS, *BODILESS], ids=str)
def test_an_unknown_id_in_the_path_is_404(api: httpx.Client, world: World, endpoint: Endpoint) -> None:
    path = endpoint.path
    for placeholder, prefix in PREFIXES.items():
        path = path.replace(f"{{{placeholder}}}", prefix + wire.UNKNOWN)
    if path == endpoint.path:
        return  # nothing in this path names a thing
    refused(api.request(endpoint.method, path, json=world.filled(endpoint.good) if endpoint.good else None), 404)


PREFIXES = {
    "name": "no-such-",
    "workspace": "ws-",
    "variable": "var-",
    "configuration": "cv-",
    "project": "prj-",
    "user": "user-",
    "token": "at-",
}


def test_ids_of_another_type_and_odd_texts_in_the_path_are_404(api: httpx.Client, world: World) -> None:
    odd = [
        world.run,
        world.project,
        "x",
        "ws-",
        "ws",
        "ws-" + "1" * 500,
        "ws-%00",
        "%ff%fe",
        "ws-'%22;--",
        "..%2f..%2fetc",
        "%F0%9F%A6%95",
        "*",
    ]
    for ident in odd:
        for path in ("workspaces/{}", "workspaces/{}/vars", "workspaces/{}/runs", "workspaces/{}/current-state-version"):
            refused(api.get(path.format(ident)), 404)
    for path in (
        "runs/{}",
        "plans/{}",
        "applies/{}",
        "configuration-versions/{}",
        "state-versions/{}",
        "projects/{}",
        "state-version-outputs/{}",
    ):
        for ident in (world.workspace, "x", "%00", "run-" + "1" * 16):
            refused(api.get(path.format(ident)), 404)
    refused(api.get(f"plans/{world.apply}"), 404)
    refused(api.get(f"applies/{world.plan}"), 404)


def test_a_variable_of_another_workspace_is_404(api: httpx.Client, world: World) -> None:
    path = f"workspaces/{world.other}/vars/{world.variable}"
    refused(api.get(path), 404)
    refused(api.patch(path, json=wire.document("vars", value="x")), 404)
    refused(api.delete(path), 404)
    data(api.get(f"workspaces/{world.workspace}/vars/{world.variable}"))
