"""What a token may be narrowed to, and what becomes of that in tokens made with it."""

from __future__ import annotations

import pytest

from terrapod_core.accounts import APIToken
from terrapod_core.accounts.scopes import MOST_WORKSPACES, PERMISSION, RELATED, WORKSPACES, Narrowing, inherited, scope_of
from terrapod_core.authz import Level, Scope
from terrapod_core.errors import Invalid

LEVELS = ("read", "plan", "write", "admin")


def token(ceiling: str | None = None, workspaces: list[str] | None = None) -> APIToken:
    return APIToken(ceiling=ceiling, workspace_ids=workspaces)


@pytest.mark.parametrize("parent", [None, *LEVELS])
@pytest.mark.parametrize("asked", [None, *LEVELS])
def test_a_child_may_be_as_much_as_its_parent_and_no_more(parent: str | None, asked: str | None) -> None:
    narrowing = Narrowing(asked)
    if parent is not None and asked is not None and LEVELS.index(asked) > LEVELS.index(parent):
        with pytest.raises(Invalid, match=f"at most {parent}") as refused:
            inherited(narrowing, token(parent))
        assert refused.value.problems[0].pointer == PERMISSION
    else:
        assert inherited(narrowing, token(parent)).permission == (asked or parent)


@pytest.mark.parametrize(
    ("parent", "asked", "child"),
    [
        (None, None, None),
        (None, ["b", "a", "b"], ["a", "b"]),
        (["a", "b"], None, ["a", "b"]),
        (["a", "b"], ["b"], ["b"]),
        (["a", "b"], ["a", "b"], ["a", "b"]),
    ],
)
def test_a_child_is_for_its_parents_workspaces_or_some_of_them(
    parent: list[str] | None, asked: list[str] | None, child: list[str] | None
) -> None:
    assert inherited(Narrowing(None, asked), token(None, parent)).workspace_ids == child


@pytest.mark.parametrize(("parent", "asked"), [(["a"], ["b"]), (["a"], ["a", "b"]), ([], ["a"])])
def test_a_child_is_for_no_workspace_that_its_parent_is_not_for(parent: list[str], asked: list[str]) -> None:
    with pytest.raises(Invalid, match="no workspace .*, or you may not see it") as refused:
        inherited(Narrowing(None, asked, RELATED), token(None, parent))
    assert refused.value.problems[0].pointer == RELATED


@pytest.mark.parametrize("word", ["", "Read", "none", "owner", "read "])
def test_an_unknown_level_is_refused(word: str) -> None:
    with pytest.raises(Invalid, match="one of read, plan, write, admin"):
        inherited(Narrowing(word), None)


@pytest.mark.parametrize("asked", [[], [f"ws-{number}" for number in range(MOST_WORKSPACES + 1)]])
def test_a_list_of_workspaces_is_neither_empty_nor_endless(asked: list[str]) -> None:
    with pytest.raises(Invalid, match="at least one|at most 100") as refused:
        inherited(Narrowing(None, asked), None)
    assert refused.value.problems[0].pointer == WORKSPACES


@pytest.mark.parametrize(
    ("row", "scope"),
    [
        (token(), None),
        (token("read"), Scope(Level.READ)),
        (token("admin"), Scope(Level.ADMIN)),
        (token(None, ["a"]), Scope(Level.ADMIN, frozenset({"a"}))),
        (token("plan", ["a", "b"]), Scope(Level.PLAN, frozenset({"a", "b"}))),
        (token("omnipotent"), Scope(Level.NONE)),
        (token(None, []), Scope(Level.ADMIN, frozenset())),
    ],
)
def test_the_gate_is_told_what_the_row_says_and_an_unknown_word_gives_nothing(row: APIToken, scope: Scope | None) -> None:
    assert scope_of(row) == scope


def test_a_parent_with_a_word_of_a_newer_version_has_no_children_with_levels() -> None:
    with pytest.raises(Invalid, match="never gives more"):
        inherited(Narrowing("read"), token("omnipotent"))
