"""Variable sets on the wire: the documents, who is told what, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.wire import Person, attributes, data, document, make_person, ref, refused

UNKNOWN = f"varset-{wire.UNKNOWN}"


@pytest.fixture(scope="module")
def bob(server: Server) -> Iterator[Person]:
    """A user with no role, and things of his own."""
    person = make_person(server, "bob")
    with closing(person.api):
        yield person


@pytest.fixture
def workspace(bob: Person) -> str:
    """One of Bob's, which nobody has admitted."""
    ident: str = wire.make_workspace(bob.api)["id"]
    return ident


@pytest.fixture
def everywhere(api: httpx.Client) -> Iterator[dict[str, Any]]:
    """A global set, gone when the test ends."""
    made = wire.make_varset(api, {"shared": "with all"}, is_global=True)
    yield made
    assert api.delete(f"varsets/{made['id']}").status_code == 204


def test_a_set_as_a_document(api: httpx.Client, workspace: str) -> None:
    made = wire.make_varset(api, {"x": "1"}, workspaces=[workspace], description="d", priority=True)
    assert made == data(api.get(f"varsets/{made['id']}"))
    said = made["attributes"]
    counts = {name: said[f"{name}-count"] for name in ("var", "workspace", "project")}
    assert (said["description"], said["global"], said["priority"], said["unadmitted-workspaces"]) == ("d", False, True, False)
    assert (counts, said["permissions"]) == ({"var": 1, "workspace": 1, "project": 0}, {"can-update": True, "can-destroy": True})
    related = made["relationships"]
    assert related["organization"]["data"] == related["parent"]["data"] == ref("organizations", "default")
    assert related["workspaces"]["data"] == [ref("workspaces", workspace)]
    (held,) = data(api.get(f"varsets/{made['id']}/relationships/vars"))
    assert related["vars"]["data"] == [ref("vars", held["id"])]
    assert held["links"]["self"] == f"/api/v2/varsets/{made['id']}/relationships/vars/{held['id']}"
    assert held["relationships"] == {"varset": {"data": ref("varsets", made["id"]), "links": {"related": f"/api/v2/varsets/{made['id']}"}}}
    with_all = api.get(f"varsets/{made['id']}", params={"include": "vars,workspaces"}).json()
    assert {(one["type"], one["id"]) for one in with_all["included"]} == {("vars", held["id"]), ("workspaces", workspace)}


def test_all_vars_name_the_origin_of_each_value(api: httpx.Client, bob: Person, workspace: str) -> None:
    hard = wire.make_varset(api, {"a": "1"}, workspaces=[workspace], priority=True)
    soft = wire.make_varset(api, {"a": "2", "b": "2", "c": "2"}, workspaces=[workspace], sensitive=True)
    for key in ("a", "b"):
        data(bob.api.post(f"workspaces/{workspace}/vars", json=document("vars", key=key, value="3", category="terraform")), 201)
    found = bob.api.get(f"workspaces/{workspace}/all-vars").json()
    shown = {one["attributes"]["key"]: one["attributes"] for one in found["data"]}
    name = data(bob.api.get(f"workspaces/{workspace}"))["attributes"]["name"]
    of_set = {"type": "varsets", "scope": "workspace"}
    assert {key: (one["value"], one["origin"]) for key, one in shown.items()} == {
        "a": ("1", {**of_set, "id": hard["id"], "name": hard["attributes"]["name"], "priority": True}),
        "b": ("3", {"type": "workspaces", "id": workspace, "name": name, "scope": "workspace", "priority": False}),
        "c": (None, {**of_set, "id": soft["id"], "name": soft["attributes"]["name"], "priority": False}),
    }
    assert found["meta"]["withheld"] == []
    (plain, _) = data(bob.api.get(f"workspaces/{workspace}/vars"))
    assert "origin" not in plain["attributes"]


def test_a_workspace_that_nobody_admitted_is_told_what_it_does_not_get(
    api: httpx.Client, bob: Person, workspace: str, everywhere: dict[str, Any]
) -> None:
    told = bob.api.get(f"workspaces/{workspace}/all-vars").json()
    assert told["data"] == []
    (one,) = [each for each in told["meta"]["withheld"] if each["id"] == everywhere["id"]]
    assert (one["type"], one["name"]) == ("varsets", everywhere["attributes"]["name"])
    assert "admitted" in one["reason"]
    refused(bob.api.patch(f"workspaces/{workspace}", json=document("workspaces", admitted=True)), 403)
    data(api.patch(f"workspaces/{workspace}", json=document("workspaces", admitted=True)))
    told = bob.api.get(f"workspaces/{workspace}/all-vars").json()
    assert [each["attributes"]["value"] for each in told["data"]] == ["with all"]
    assert attributes(bob.api.get(f"varsets/{everywhere['id']}"))["permissions"] == {"can-update": False, "can-destroy": False}


def test_who_may_not_see_a_set_is_told_the_same_as_of_none(api: httpx.Client, bob: Person) -> None:
    made = wire.make_varset(api, {"x": "1"})
    held = made["relationships"]["vars"]["data"][0]["id"]
    for method, path, body in _changes(held):
        hidden, unknown = (bob.api.request(method, path.replace("{set}", ident), json=body) for ident in (made["id"], UNKNOWN))
        refused(hidden, 404)
        assert hidden.text.replace(made["id"], UNKNOWN) == unknown.text, f"{method} {path}"
    for path in ("varsets/{set}", "varsets/{set}/relationships/vars", f"varsets/{{set}}/relationships/vars/{held}"):
        refused(bob.api.get(path.replace("{set}", made["id"])), 404)
    assert made["id"] not in {one["id"] for one in data(bob.api.get("organizations/default/varsets", params={"page[size]": "100"}))}


def test_who_reads_a_set_may_not_change_it(api: httpx.Client, bob: Person, auditor: Person, workspace: str) -> None:
    made = wire.make_varset(api, {"x": "1"}, workspaces=[workspace])
    held = made["relationships"]["vars"]["data"][0]["id"]
    for person in (bob, auditor):
        for method, path, body in _changes(held):
            refused(person.api.request(method, path.replace("{set}", made["id"]), json=body), 403, says="platform admin")
        refused(person.api.post("organizations/default/varsets", json=document("varsets", name="x")), 403, says="platform admin")
    assert data(api.get(f"varsets/{made['id']}")) == made


def _changes(variable: str) -> list[tuple[str, str, Any]]:
    """Every request that changes a set."""
    new = document("vars", key="y", value="1", category="env")
    return [
        ("PATCH", "varsets/{set}", document("varsets", name="mine")),
        ("PUT", "varsets/{set}", document("varsets", name="mine")),
        ("DELETE", "varsets/{set}", None),
        ("POST", "varsets/{set}/relationships/vars", new),
        ("PATCH", f"varsets/{{set}}/relationships/vars/{variable}", new),
        ("DELETE", f"varsets/{{set}}/relationships/vars/{variable}", None),
        *(
            (method, f"varsets/{{set}}/relationships/{kind}", {"data": []})
            for kind in ("workspaces", "projects")
            for method in ("POST", "PATCH", "DELETE")
        ),
    ]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (document("varsets"), "/data/attributes/name"),
        (document("varsets", name=""), "/data/attributes/name"),
        (document("varsets", name="x" * 91), "/data/attributes/name"),
        (document("varsets", name="a\nb"), "/data/attributes/name"),
        (document("varsets", name=7), "/data/attributes/name"),
        (document("varsets", name="x", description="y" * 513), "/data/attributes/description"),
        (document("varsets", name="x", priority="yes"), "/data/attributes/priority"),
        (document("varsets", name="x", unadmitted_workspaces=1), "/data/attributes/unadmitted-workspaces"),
        (document("varsets", name="x", **{"global": "no"}), "/data/attributes/global"),
        (document("varsets", {"parent": ref("projects", "prj-x")}, name="x"), "/data/relationships/parent"),
        (document("varsets", {"stacks": [ref("stacks", "st-x")]}, name="x"), "/data/relationships/stacks"),
        (document("varsets", {"workspaces": [ref("workspaces", f"ws-{wire.UNKNOWN}")]}, name="x"), "/data/relationships/workspaces"),
        (document("varsets", {"projects": [ref("projects", f"prj-{wire.UNKNOWN}")]}, name="x"), "/data/relationships/projects"),
        (document("varsets", {"workspaces": None}, name="x"), "/data/relationships/workspaces"),
        (document("varsets", {"workspaces": {"id": "ws-x"}}, name="x"), "/data/relationships/workspaces/data"),
        (document("varsets", {"vars": [ref("vars", "var-x")]}, name="x"), "/data/relationships/vars/data/0"),
        (document("varsets", {"vars": [{"attributes": {"key": "k"}}]}, name="x"), "/data/relationships/vars/data/0/attributes/category"),
        (
            document("varsets", {"vars": [{"attributes": {"key": "LD_PRELOAD", "category": "env"}}]}, name="x"),
            "/data/relationships/vars/data/0/attributes/key",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_document_is_422_and_pointed_to(api: httpx.Client, sent: dict[str, Any], pointer: str) -> None:
    refused(api.post("organizations/default/varsets", json=sent), 422, pointer=pointer)


def test_other_refusals(api: httpx.Client, workspace: str, everywhere: dict[str, Any]) -> None:
    made = wire.make_varset(api, {"x": "1"})
    of, held = f"varsets/{made['id']}", made["relationships"]["vars"]["data"][0]["id"]
    refused(api.post("organizations/default/varsets", json=document("varsets", name=made["attributes"]["name"])), 422, says="taken")
    refused(api.patch(of, json=document("varsets", {"vars": [ref("vars", held)]})), 422, pointer="/data/relationships/vars")
    refused(api.post(f"{of}/relationships/vars", json=document("vars", key="x", category="terraform")), 422, says="taken")
    refused(api.post(f"{of}/relationships/workspaces", json={"data": [ref("workspaces", f"ws-{wire.UNKNOWN}")]}), 422, pointer="/data")
    refused(api.post(f"{of}/relationships/workspaces", json={"data": [{"type": "workspaces"}]}), 422, pointer="/data/0/id")
    refused(api.post(f"{of}/relationships/projects", json={"data": [ref("projects", workspace)]}), 422, pointer="/data")
    refused(api.post(f"{of}/relationships/stacks", json={"data": []}), 404)
    refused(
        api.post(f"varsets/{everywhere['id']}/relationships/workspaces", json={"data": [ref("workspaces", workspace)]}), 422, says="global"
    )
    refused(api.post("organizations/other/varsets", json=document("varsets", name="x")), 404)
    refused(api.get("organizations/other/varsets"), 404)
    refused(api.get(f"workspaces/ws-{wire.UNKNOWN}/varsets"), 404)
    refused(api.get(f"projects/prj-{wire.UNKNOWN}/varsets"), 404)
    refused(api.get(f"workspaces/{workspace}/vars/{held}"), 404)
    refused(api.patch(f"vars/{held}", json=document("vars", value="2")), 404)
    refused(api.delete(f"vars/{held}"), 404)


def test_pages(api: httpx.Client) -> None:
    word = wire.fresh("paged")
    for number in range(3):
        wire.make_varset(api, {}, name=f"{word}-{number}")
    found = api.get("organizations/default/varsets", params={"q": word, "page[size]": "2", "page[number]": "2"}).json()
    assert [one["attributes"]["name"] for one in found["data"]] == [f"{word}-2"]
    assert found["meta"]["pagination"] == {
        "current-page": 2, "page-size": 2, "prev-page": 1, "next-page": None, "total-pages": 2, "total-count": 3,
    }  # fmt: skip
