"""What a role's document may hold, and that everything wrong is said at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from terrapod_core.authz import BUILT_IN, EVERYONE, Level
from terrapod_core.authz.rules import levels_of
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import parse
from terrapod_core.roles.documents import OTHER_LEVELS, WORKSPACE_LEVELS, CreateRole, SetRoles, UpdateRole, columns
from terrapod_core.roles.views import BUILT_IN_ROLES


def create(**sent: Any) -> CreateRole:
    """What the document makes, as it would come over the wire."""
    attributes = {"name": "dev", "workspace-permission": "write", **{name.replace("_", "-"): value for name, value in sent.items()}}
    return parse(json.dumps({"data": {"type": "roles", "attributes": attributes}}).encode(), CreateRole)


def refused(**sent: Any) -> list[tuple[str | None, str]]:
    """Pointer and sentence of everything that is wrong."""
    with pytest.raises(Invalid) as caught:
        columns(create(**sent))
    return [(problem.pointer, problem.detail) for problem in caught.value.problems]


def test_the_contracts_document_is_taken_as_it_is() -> None:
    sent = {
        "description": "Development workspace access",
        "allow_labels": {"env": "dev"},
        "allow_names": [],
        "deny_labels": {},
        "deny_names": [],
    }
    assert columns(create(**sent)) == {"workspace_permission": "write", **sent}


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 64, "...", "_", "-x", "administrator", "everyone-else"])
def test_a_name_has_letters_digits_and_three_signs(name: str) -> None:
    columns(create(name=name))


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "a%", "é", "a\n", ".", "..", "a:b", "٣"])
def test_any_other_name_is_refused(name: str) -> None:
    (problem,) = refused(name=name)
    assert problem[0] == "/data/attributes/name"


@pytest.mark.parametrize("name", ["admin", "audit", "everyone", "Admin", "EVERYONE"])
def test_no_role_is_called_like_a_built_in_one(name: str) -> None:
    assert refused(name=name) == [("/data/attributes/name", f"{name} is the name of a built-in role; choose another")]


@pytest.mark.parametrize("word", ["", "owner", "Read", "none", "custom", "read "])
def test_an_unknown_level_is_refused_with_those_that_are_known(word: str) -> None:
    found = dict(refused(workspace_permission=word, registry_permission=word, pool_permission=word))
    assert "one of read, plan, write, admin," in found["/data/attributes/workspace-permission"]
    for other in ("registry-permission", "pool-permission"):
        assert "one of read, write, admin," in found[f"/data/attributes/{other}"]


def test_nothing_is_planned_on_registry_and_pools() -> None:
    assert [pointer for pointer, _ in refused(workspace_permission="plan", registry_permission="plan", pool_permission="plan")] == [
        "/data/attributes/registry-permission",
        "/data/attributes/pool-permission",
    ]


def test_every_level_that_may_be_sent_is_one_that_the_gate_knows() -> None:
    for word in WORKSPACE_LEVELS:
        assert Level.NONE not in levels_of(word, None, "read").values()
    for word in OTHER_LEVELS:
        assert Level.NONE not in levels_of("read", word, word).values()


def test_a_label_has_one_value_several_or_none() -> None:
    values = columns(create(allow_labels={"one": "a", "several": ["a", "b", None], "bare": None, "empty": ""}))
    assert values["allow_labels"] == {"one": "a", "several": ["a", "b", ""], "bare": "", "empty": ""}


def test_texts_are_composed_and_a_name_is_kept_once() -> None:
    values = columns(create(allow_names=["e\u0301*", "\u00e9*"], deny_labels={"u\u0308": ["o\u0308"]}))
    assert (values["allow_names"], values["deny_labels"]) == (["\u00e9*"], {"\u00fc": ["\u00f6"]})


GOOD_LIMITS: list[dict[str, Any]] = [
    {"allow_labels": {f"k{n}": "v" for n in range(50)}},
    {"allow_labels": {"k": [str(n) for n in range(50)]}},
    {"allow_labels": {"k" * 255: "v" * 256}},
    {"allow_names": [f"n{n}" for n in range(200)]},
    {"deny_names": ["n" * 255, "*" * 10, "a*" * 10]},
    {"description": "x" * 1024},
]
BAD_LIMITS: list[tuple[dict[str, Any], str]] = [
    ({"allow_labels": {f"k{n}": "v" for n in range(51)}}, "at most 50 keys, not 51"),
    ({"deny_labels": {"k": [str(n) for n in range(51)]}}, "at most 50 values, not 51"),
    ({"allow_labels": {"k" * 256: "v"}}, "1 to 255 printable"),
    ({"allow_labels": {"": "v"}}, "1 to 255 printable"),
    ({"allow_labels": {"a\tb": "v"}}, "1 to 255 printable"),
    ({"allow_labels": {"k": "v" * 257}}, "at most 256 printable"),
    ({"allow_labels": {"k": ["v", "a\u200bb"]}}, "at most 256 printable"),
    ({"allow_labels": {"k": []}}, "is empty"),
    ({"deny_labels": {"\u00e9": "a", "e\u0301": "b"}}, "twice"),
    ({"allow_names": [f"n{n}" for n in range(201)]}, "at most 200 names, not 201"),
    ({"allow_names": ["n" * 256]}, "1 to 255 printable"),
    ({"allow_names": [""]}, "1 to 255 printable"),
    ({"deny_names": ["a\nb"]}, "1 to 255 printable"),
    ({"deny_names": ["a*" * 11]}, r"at most 10 \*"),
    ({"description": "x" * 1025}, "at most 1024"),
]


@pytest.mark.parametrize("sent", GOOD_LIMITS)
def test_up_to_a_limit_all_is_well(sent: dict[str, Any]) -> None:
    columns(create(**sent))


@pytest.mark.parametrize(("sent", "says"), BAD_LIMITS)
def test_what_is_over_a_limit_is_refused_where_it_stands(sent: dict[str, Any], says: str) -> None:
    (attribute,) = sent
    with pytest.raises(Invalid, match=says) as caught:
        columns(create(**sent))
    assert {problem.pointer for problem in caught.value.problems} == {f"/data/attributes/{attribute.replace('_', '-')}"}
    assert all(len(problem.detail) < 400 for problem in caught.value.problems)


def test_everything_wrong_is_said_at_once() -> None:
    found = refused(name="a b", workspace_permission="x", pool_permission="y", allow_names=["", "*" * 11], deny_labels={"": [], "k": "\n"})
    assert [pointer for pointer, _ in found] == [
        "/data/attributes/name",
        "/data/attributes/workspace-permission",
        "/data/attributes/pool-permission",
        *["/data/attributes/deny-labels"] * 3,
        *["/data/attributes/allow-names"] * 2,
    ]


WRONG_TYPES: dict[str, list[Any]] = {
    "name": [None, 1, ["a"], {}],
    "description": [1, [], {}],
    "workspace-permission": [None, 4, ["read"]],
    "registry-permission": [1, True],
    "allow-labels": [[], "env=dev", 1, {"a": 1}, {"a": {"b": "c"}}, {"a": [["b"]]}, {"a": [1]}],
    "allow-names": ["a", {"a": "b"}, [1], [None], [["a"]]],
    "deny-labels": [True],
    "deny-names": [0],
}


@pytest.mark.parametrize(("attribute", "value"), [(name, value) for name, values in WRONG_TYPES.items() for value in values])
def test_a_value_of_another_type_is_refused_where_it_stands(attribute: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        create(**{attribute.replace("-", "_"): value})
    assert all((problem.pointer or "").startswith(f"/data/attributes/{attribute}") for problem in caught.value.problems)


def test_a_new_role_needs_a_name_and_a_level() -> None:
    with pytest.raises(Invalid) as caught:
        parse(b'{"data": {"attributes": {}}}', CreateRole)
    assert [problem.pointer for problem in caught.value.problems] == ["/data/attributes/name", "/data/attributes/workspace-permission"]


def test_a_change_says_only_what_changes() -> None:
    assert columns(UpdateRole()) == {}
    assert columns(UpdateRole(pool_permission=None, allow_labels=None)) == {"pool_permission": "read", "allow_labels": {}}


@pytest.mark.parametrize("attributes", [{}, {"roles": "dev"}, {"roles": [1]}, {"email": 1}, {"provider-name": None}])
def test_an_assignment_says_who_and_what(attributes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        parse(json.dumps({"data": {"attributes": attributes}}).encode(), SetRoles)


def test_the_built_in_roles_are_those_of_the_gate() -> None:
    assert {role.name for role in BUILT_IN_ROLES} == BUILT_IN | {EVERYONE.name}
    everyone = BUILT_IN_ROLES[-1]
    assert frozenset(everyone.allow_labels.items()) == EVERYONE.allow.labels
    assert levels_of(everyone.workspace_permission, everyone.registry_permission, everyone.pool_permission) == EVERYONE.levels
