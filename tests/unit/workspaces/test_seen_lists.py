"""What is remembered of lists stays within bounds."""

from __future__ import annotations

import pytest

from terrapod_core.workspaces import seen
from terrapod_core.workspaces.seen import SeenLists


def asked(lists: SeenLists, *keys: str, found: int = 0) -> list[str]:
    """Those of the keys whose list had to be asked for."""
    anew: list[str] = []

    def ask(key: str) -> list[str]:
        anew.append(key)
        return ["ws"] * found

    for key in keys:
        lists.ids(key, 1, lambda key=key: ask(key))  # type: ignore[misc]
    return anew


def test_lists_that_hold_nothing_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST_LISTS", 2)
    lists = SeenLists()
    assert asked(lists, "a", "b", "a", "c") == ["a", "b", "c"]
    assert asked(lists, "a", "c", "b") == ["b"], "the one that was not looked at for longest was forgotten"


def test_the_longest_unseen_lists_go_when_there_are_too_many_ids() -> None:
    lists = SeenLists(most=5)
    assert asked(lists, "a", "b", found=2) == ["a", "b"]
    assert asked(lists, "c", found=2) == ["c"]
    assert asked(lists, "b", "c", "a", found=2) == ["a"]


def test_another_generation_is_asked_anew() -> None:
    lists = SeenLists()
    assert lists.ids("a", 1, lambda: ["one"]) == ["one"]
    assert lists.ids("a", 1, lambda: ["two"]) == ["one"]
    assert lists.ids("a", 2, lambda: ["two"]) == ["two"]


def test_a_total_is_counted_anew_under_another_generation_and_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST_LISTS", 2)
    lists = SeenLists()
    assert lists.total("a", 1, lambda: 10) == 10
    assert lists.total("a", 1, lambda: 11) == 10
    assert lists.total("a", 2, lambda: 11) == 11
    assert [lists.total(key, 1, lambda: 3) for key in ("b", "c")] == [3, 3]
    assert lists.total("a", 2, lambda: 12) == 12
