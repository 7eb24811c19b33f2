"""The contract's roles and role assignments, and what they come to for the one who holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import ORG, Person, attributes, data, document, refused

ROLE: dict[str, Any] = {
    "data": {
        "type": "roles",
        "attributes": {
            "name": "developer",
            "description": "Development workspace access",
            "workspace-permission": "write",
            "allow-labels": {"env": "dev"},
            "allow-names": [],
            "deny-labels": {},
            "deny-names": [],
        },
    }
}
"""As the contract prints it."""
BUILT_IN = ("admin", "audit", "everyone")
ASSIGNMENT: dict[str, Any] = {
    "data": {
        "type": "role-assignments",
        "attributes": {"provider-name": "local", "email": "alice@example.com", "roles": ["developer", "sre-reader"]},
    }
}


@pytest.fixture(scope="module")
def bob(server: Server) -> Iterator[Person]:
    """Somebody to whom roles are given here."""
    person = wire.make_person(server, "bob")
    with closing(person.api):
        yield person


@pytest.fixture(autouse=True)
def as_before(api: httpx.Client) -> Iterator[None]:
    """Roles that a test made are gone after it, and with them who held them."""
    before = role_ids(api)
    yield
    for role in role_ids(api)[len(BUILT_IN) :]:
        if role not in before:
            assert api.delete(f"roles/{role}").status_code == 204


def role_ids(api: httpx.Client) -> list[str]:
    """Of all roles, in the order of the list."""
    return [role["id"] for role in data(api.get("roles", params={"page[size]": 100}))]


def make_role(api: httpx.Client, name: str = "", level: str = "read", **sent: Any) -> str:
    """A role; its name."""
    made = data(api.post("roles", json=document("roles", name=name or wire.fresh("role"), workspace_permission=level, **sent)), 201)
    ident: str = made["id"]
    return ident


def give(api: httpx.Client, email: str, *roles: str) -> None:
    """Let a local user hold exactly these."""
    data(api.put("role-assignments", json=document("role-assignments", provider_name="local", email=email, roles=list(roles))))


def test_the_contracts_life_of_a_role(api: httpx.Client) -> None:
    made = data(api.post("roles", json=ROLE), 201)
    assert (made["type"], made["id"], made["links"]["self"]) == ("roles", "developer", "/api/v2/roles/developer")
    sent = ROLE["data"]["attributes"]
    assert {name: made["attributes"][name] for name in sent} == sent
    assert made["attributes"]["built-in"] is False
    assert (made["attributes"]["registry-permission"], made["attributes"]["pool-permission"]) == (None, "read")
    assert made["attributes"]["permissions"] == {"can-update": True, "can-destroy": True, "can-assign": True}
    assert data(api.get("roles/developer")) == made
    errors = refused(api.post("roles", json=ROLE), 409, says="role named developer already")
    assert len(errors) == 1
    changed = attributes(api.patch("roles/developer", json=document("roles", workspace_permission="plan", pool_permission="write")))
    assert (changed["workspace-permission"], changed["pool-permission"], changed["allow-labels"]) == ("plan", "write", {"env": "dev"})
    deleted = api.delete("roles/developer")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for answer in (api.get("roles/developer"), api.delete("roles/developer"), api.patch("roles/developer", json=document("roles"))):
        refused(answer, 404)


def test_the_list_has_built_in_and_custom_roles_by_page(api: httpx.Client) -> None:
    api.post("roles", json=ROLE)
    whole = api.get("roles", params={"page[size]": 100}).json()
    shown = {role["id"]: role["attributes"] for role in whole["data"]}
    assert tuple(shown)[:3] == BUILT_IN
    assert [name for name, role in shown.items() if role["built-in"]] == list(BUILT_IN)
    assert shown["everyone"]["allow-labels"] == {"access": "everyone"}
    assert shown["admin"]["permissions"] == {"can-update": False, "can-destroy": False, "can-assign": True}
    assert "developer" in shown
    paged = api.get("roles", params={"page[size]": 2, "page[number]": 2}).json()
    assert [role["id"] for role in paged["data"]] == list(shown)[2:4]
    assert paged["meta"]["pagination"]["total-count"] == len(shown)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_roles_cannot_be_deleted_or_changed(api: httpx.Client, name: str) -> None:
    assert attributes(api.get(f"roles/{name}"))["built-in"] is True
    refused(api.delete(f"roles/{name}"), 409, says="built-in role and cannot be deleted")
    refused(api.patch(f"roles/{name}", json=document("roles", description="mine")), 409, says="cannot be changed")
    refused(api.post("roles", json=document("roles", name=name, workspace_permission="read")), 422, pointer="/data/attributes/name")


def test_everything_wrong_with_a_role_comes_in_one_answer(api: httpx.Client) -> None:
    sent = document("roles", name="a b", workspace_permission="owner", registry_permission="plan", allow_labels={"": "x"}, deny_names=[""])
    errors = refused(api.post("roles", json=sent), 422, says="one of read, plan, write, admin, not 'owner'")
    assert {error["source"]["pointer"].rpartition("/")[2] for error in errors} == {
        "name", "workspace-permission", "registry-permission", "allow-labels", "deny-names",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("attribute", "value"),
    [(name, value) for name in ROLE["data"]["attributes"] for value in (7, True, [1], [["a"]], {"a": {"b": 1}}, "\U0001f600" * 5000)]
    + [("registry-permission", 1), ("pool-permission", [])],
)
def test_a_wrong_value_is_never_more_than_a_refusal(api: httpx.Client, attribute: str, value: Any) -> None:
    sent = {**ROLE["data"]["attributes"], attribute: value}
    before = role_ids(api)
    refused(api.post("roles", json={"data": {"type": "roles", "attributes": sent}}), 422, pointer=f"/data/attributes/{attribute}*")
    assert role_ids(api) == before


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"data": []}', b'{"data": {"attributes": []}}', b"{"])
@pytest.mark.parametrize(("method", "path"), [("POST", "roles"), ("PATCH", "roles/developer"), ("PUT", "role-assignments")])
def test_what_is_no_document_is_refused(api: httpx.Client, method: str, path: str, body: bytes) -> None:
    refused(api.request(method, path, content=body), 400, 404, 422)


def test_the_contracts_assignment_sets_exactly_these_roles(api: httpx.Client) -> None:
    for name in ("developer", "sre-reader"):
        make_role(api, name)
    given = data(api.put("role-assignments", json=ASSIGNMENT))
    assert (given["type"], given["id"]) == ("role-assignments", "local:alice@example.com")
    sent = ASSIGNMENT["data"]["attributes"]
    assert {name: given["attributes"][name] for name in sent} == sent
    assert given["attributes"]["bound"] is False
    assert given["relationships"]["user"]["data"] is None
    assert given in data(api.get("role-assignments", params={"filter[role]": "sre-reader"}))
    path = "role-assignments/local/alice@example.com"
    removed = api.delete(f"{path}/sre-reader")
    assert (removed.status_code, removed.content) == (204, b"")
    refused(api.delete(f"{path}/sre-reader"), 404)
    assert data(api.get("role-assignments", params={"filter[email]": "Alice@Example.com"}))[0]["attributes"]["roles"] == ["developer"]
    nothing = document("role-assignments", provider_name="local", email="alice@example.com", roles=[])
    assert attributes(api.put("role-assignments", json=nothing))["roles"] == []
    assert data(api.get("role-assignments", params={"filter[email]": "alice@example.com"})) == []


def test_an_assignment_of_a_user_names_them(api: httpx.Client, bob: Person) -> None:
    name = make_role(api)
    give(api, bob.email.upper(), name)
    answer = api.get("role-assignments", params={"filter[email]": bob.email, "include": "user"}).json()
    (shown,) = answer["data"]
    assert (shown["attributes"]["bound"], shown["attributes"]["email"]) == (True, bob.email)
    assert shown["relationships"]["user"]["data"] == wire.ref("users", bob.id)
    assert [one["id"] for one in answer["included"]] == [bob.id]


@pytest.mark.parametrize(
    "email", ["a+b@example.com", "a%b@example.com", "a%2Fb@example.com", "a/b@example.com", "ü?#&@example.com", "a%25@x.y"]
)
def test_an_address_in_a_path_is_any_that_can_be_assigned(api: httpx.Client, email: str) -> None:
    name = make_role(api)
    give(api, email, name)
    assert api.delete(f"role-assignments/local/{quote(email, safe='')}/{name}").status_code == 204
    assert data(api.get("role-assignments", params={"filter[email]": email})) == []


@pytest.mark.parametrize(
    ("wrong", "pointer", "says"),
    [
        ({"provider-name": "nowhere"}, "provider-name", "there are .*local, service"),
        ({"email": "alice"}, "email", "looks like name@example.com"),
        ({"roles": ["nobody"]}, "roles/0", "there are admin, audit"),
        ({"roles": ["audit", "everyone"]}, "roles/1", "everybody holds"),
        ({"roles": "developer"}, "roles", "must be a list"),
        ({"roles": [1]}, "roles/0", "must be a string"),
        ({"roles": None}, "roles", "must be a list"),
    ],
)
def test_an_assignment_that_cannot_be_is_refused(api: httpx.Client, wrong: dict[str, Any], pointer: str, says: str) -> None:
    sent = {"provider-name": "local", "email": "wrong@example.com", "roles": [], **wrong}
    answer = api.put("role-assignments", json={"data": {"type": "role-assignments", "attributes": sent}})
    refused(answer, 422, pointer=f"/data/attributes/{pointer}", says=says)


def test_the_last_platform_admin_stays(api: httpx.Client, server: Server) -> None:
    nothing = document("role-assignments", provider_name="local", email=server.email, roles=[])
    refused(api.put("role-assignments", json=nothing), 409, says="last platform admin")
    refused(api.delete(f"role-assignments/local/{server.email}/admin"), 409, says="last platform admin")
    assert api.get("roles").status_code == 200


def test_auditors_read_roles_and_others_are_refused(api: httpx.Client, auditor: Person, bob: Person) -> None:
    name = make_role(api)
    shown = data(auditor.api.get(f"roles/{name}"))["attributes"]
    assert shown["permissions"] == {"can-update": False, "can-destroy": False, "can-assign": False}
    assert auditor.api.get("roles").status_code == auditor.api.get("role-assignments").status_code == 200
    for path in ("roles", f"roles/{name}", "role-assignments"):
        refused(bob.api.get(path), 403)
    admin = document("role-assignments", provider_name="local", email=bob.email, roles=["admin"])
    for person in (auditor, bob):
        refused(person.api.post("roles", json=ROLE), 403)
        refused(person.api.patch(f"roles/{name}", json=document("roles", workspace_permission="admin")), 403)
        refused(person.api.delete(f"roles/{name}"), 403)
        refused(person.api.put("role-assignments", json=admin), 403)
        refused(person.api.delete(f"role-assignments/local/{bob.email}/{name}"), 403)


WHAT_EACH_LEVEL_GETS: dict[str, tuple[int, ...]] = {
    "none": (404, 404, 404, 404, 404),
    "read": (200, 403, 403, 403, 403),
    "plan": (200, 200, 200, 403, 403),
    "write": (200, 200, 200, 201, 403),
    "admin": (200, 200, 200, 201, 200),
}
"""Show, lock, unlock, make a variable, change the settings."""


@pytest.mark.parametrize("level", WHAT_EACH_LEVEL_GETS)
def test_a_role_gives_its_level_and_no_more(api: httpx.Client, bob: Person, level: str) -> None:
    made = wire.make_workspace(api, labels={"env": "dev"})["id"]
    name = make_role(api, level="admin" if level == "none" else level, allow_labels={"env": "prod" if level == "none" else ["dev", "test"]})
    give(api, bob.email, name)
    answers = (
        bob.api.get(f"workspaces/{made}"),
        bob.api.post(f"workspaces/{made}/actions/lock", json={}),
        bob.api.post(f"workspaces/{made}/actions/unlock"),
        bob.api.post(f"workspaces/{made}/vars", json=document("vars", key="k", value="v", category="env")),
        bob.api.patch(f"workspaces/{made}", json=document("workspaces", description="bob's")),
    )
    assert tuple(answer.status_code for answer in answers) == WHAT_EACH_LEVEL_GETS[level]
    listed = made in {one["id"] for one in data(bob.api.get(f"{ORG}/workspaces", params={"page[size]": 100}))}
    assert listed is (level != "none")


def test_a_deny_of_any_role_wins_over_every_other(api: httpx.Client, bob: Person) -> None:
    workspace = wire.make_workspace(api)
    made, called = workspace["id"], workspace["attributes"]["name"]
    allow, deny = make_role(api, level="admin", allow_names=["ws-*"]), make_role(api, deny_names=[called])
    give(api, bob.email, allow)
    assert bob.api.get(f"workspaces/{made}").status_code == 200
    give(api, bob.email, allow, deny)
    refused(bob.api.get(f"workspaces/{made}"), 404)
    assert made not in {one["id"] for one in data(bob.api.get(f"{ORG}/workspaces", params={"search[name]": called}))}
    # What is bob's own stays his.
    own = wire.make_workspace(bob.api, name=wire.fresh("bobs"))
    data(api.patch(f"roles/{deny}", json=document("roles", deny_names=["*"])))
    assert bob.api.get(f"workspaces/{own['id']}").status_code == 200


def test_a_changed_label_takes_what_the_old_one_gave(api: httpx.Client, bob: Person) -> None:
    made = wire.make_workspace(api, labels={"env": "dev"})["id"]
    give(api, bob.email, make_role(api, level="write", allow_labels={"env": "dev"}))
    assert bob.api.get(f"workspaces/{made}").status_code == 200
    data(api.patch(f"workspaces/{made}", json=document("workspaces", labels={"env": "prod"})))
    refused(bob.api.get(f"workspaces/{made}"), 404)
    assert made not in {one["id"] for one in data(bob.api.get(f"{ORG}/workspaces", params={"page[size]": 100}))}


def counts(server: Server, condition: Callable[[], bool], what: str) -> None:
    """From the next request on; where there are several servers, the others are told a moment later."""
    if len(server.addresses) > 1:
        until(condition, what)
    assert condition()


def test_a_changed_or_deleted_role_counts_from_the_next_request(server: Server, api: httpx.Client, bob: Person) -> None:
    made = wire.make_workspace(api, labels={"env": "dev"})["id"]
    name = make_role(api, level="read", allow_labels={"env": "dev"})
    rename = document("workspaces", description="text")
    give(api, bob.email, name)
    refused(bob.api.patch(f"workspaces/{made}", json=rename), 403)
    data(api.patch(f"roles/{name}", json=document("roles", workspace_permission="admin")))
    counts(server, lambda: bob.api.patch(f"workspaces/{made}", json=rename).status_code == 200, "the changed role to count")
    assert api.delete(f"roles/{name}").status_code == 204
    counts(server, lambda: bob.api.get(f"workspaces/{made}").status_code == 404, "the deleted role to count no more")
    assert data(api.get("role-assignments", params={"filter[email]": bob.email})) == []


def test_what_is_labelled_for_everyone_is_read_by_everyone(server: Server, api: httpx.Client, bob: Person) -> None:
    made = wire.make_workspace(api, labels={"access": "everyone"})["id"]
    assert bob.api.get(f"workspaces/{made}").status_code == 200
    refused(bob.api.patch(f"workspaces/{made}", json=document("workspaces", description="x")), 403)
    give(api, bob.email, make_role(api, deny_labels={"access": "everyone"}))
    counts(server, lambda: bob.api.get(f"workspaces/{made}").status_code == 404, "what the role denies to be gone")


def test_the_platform_role_audit_is_given_and_taken_by_assignment(server: Server, api: httpx.Client, bob: Person) -> None:
    give(api, bob.email, "audit")
    counts(server, lambda: bob.api.get("roles").status_code == 200, "the role to count")
    assert api.delete(f"role-assignments/local/{bob.email}/audit").status_code == 204
    counts(server, lambda: bob.api.get("roles").status_code == 403, "the role to count no more")


def test_the_command_prints_roles(api: httpx.Client, server: Server) -> None:
    make_role(api, "shown", "plan", allow_labels={"env": ["dev", "test"], "bare": None}, allow_names=["n-*"], description="For tests")
    listed = wire.terrapod(server, "roles", "list")
    assert [line.split()[0] for line in listed.splitlines()] == ["NAME", *role_ids(api)]
    shown = wire.terrapod(server, "roles", "show", "shown")
    assert "env=dev, env=test, bare" in shown
    assert "n-*" in shown
