from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from terrapod_core.jsonapi import Includes, Rendering, Resource, ResourceObject, attr, to_many, to_one

RENDERING = Rendering(actor="ana", base_url="https://pod.example", now=datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Row:
    id: str
    workspace_id: str | None = None
    plan_id: str | None = None
    current_run_id: str | None = None
    output_ids: tuple[str, ...] = ()


WORKSPACES = Resource(
    type="workspaces",
    attributes=[attr("id", wire="name")],
    relationships=[to_one("current_run", "runs"), to_many("outputs", "outputs", ids_from="output_ids")],
)
RUNS = Resource(type="runs", relationships=[to_one("workspace", "workspaces"), to_one("plan", "plans")])
PLANS = Resource(type="plans")

STORE: dict[str, dict[str, Row]] = {
    "workspaces": {"ws-1": Row("ws-1", current_run_id="run-1"), "ws-2": Row("ws-2", current_run_id="run-2")},
    "runs": {
        "run-1": Row("run-1", workspace_id="ws-1", plan_id="plan-1"),
        "run-2": Row("run-2", workspace_id="ws-1", plan_id="plan-2"),
        "run-3": Row("run-3", workspace_id="ws-secret", plan_id=None),
    },
    "plans": {"plan-1": Row("plan-1"), "plan-2": Row("plan-2")},
}


class Asked:
    """Includes over `STORE`; remembers every query."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, list[str]]] = []
        self.includes = Includes()
        for resource in (WORKSPACES, RUNS, PLANS):
            self.includes.add(resource, self.loader(resource.type))

    def loader(self, type_: str) -> Any:
        def load(session: object, actor: object, ids: Sequence[str]) -> list[Row]:
            assert (session, actor) == ("session", "ana")
            self.queries.append((type_, sorted(ids)))
            return [STORE[type_][ident] for ident in ids if ident in STORE[type_]]

        return load

    def resolve(self, resource: Resource, ids: Iterable[str], *paths: str) -> list[str]:
        rows = [STORE[resource.type][ident] for ident in ids]
        found = self.includes.resolve("session", RENDERING, resource, rows, [tuple(path.split(".")) for path in paths])
        assert all(isinstance(one, ResourceObject) for one in found)
        return [one.id for one in found]


def test_each_type_is_one_query_for_the_whole_page() -> None:
    asked = Asked()
    assert asked.resolve(RUNS, ["run-1", "run-2"], "workspace", "plan") == ["ws-1", "plan-1", "plan-2"]
    assert asked.queries == [("workspaces", ["ws-1"]), ("plans", ["plan-1", "plan-2"])]


def test_a_path_is_followed_step_by_step_and_everything_on_it_is_included() -> None:
    assert Asked().resolve(WORKSPACES, ["ws-1", "ws-2"], "current_run.plan") == ["run-1", "run-2", "plan-1", "plan-2"]


def test_a_path_that_comes_back_does_not_repeat_the_primary_data_nor_load_it_again() -> None:
    asked = Asked()
    assert asked.resolve(WORKSPACES, ["ws-1"], "current_run.workspace.current_run.plan") == ["run-1", "plan-1"]
    assert asked.queries == [("runs", ["run-1"]), ("plans", ["plan-1"])]


def test_two_paths_to_one_thing_include_it_once() -> None:
    asked = Asked()
    assert asked.resolve(RUNS, ["run-1"], "plan", "workspace.current_run.plan") == ["plan-1", "ws-1"]
    assert asked.queries == [("plans", ["plan-1"]), ("workspaces", ["ws-1"])]


def test_unknown_names_and_types_nobody_registered_are_left_out() -> None:
    asked = Asked()
    assert asked.resolve(WORKSPACES, ["ws-1"], "task_stages", "outputs", "nothing.at.all") == []
    assert asked.queries == []


def test_what_the_actor_may_not_see_is_left_out_and_asked_for_once() -> None:
    asked = Asked()
    assert asked.resolve(RUNS, ["run-3"], "workspace.current_run", "plan") == []
    assert asked.queries == [("workspaces", ["ws-secret"])]


CHAIN = Resource(
    type="links",
    relationships=[
        to_one("next", "links", id_from=lambda row: str(int(row.id) + 1)),
        to_one("gone", "links", id_from=lambda row: "-1"),
    ],
)


def along_the_chain(*paths: tuple[str, ...]) -> tuple[list[str], list[Sequence[str]]]:
    """What the paths lead to from link 0 of an endless chain, and the ids each query asked for."""
    asked: list[Sequence[str]] = []

    def load(session: object, actor: object, ids: Sequence[str]) -> list[Row]:
        asked.append(ids)
        return [Row(ident) for ident in ids if ident != "-1"]

    includes = Includes()
    includes.add(CHAIN, load)
    return [one.id for one in includes.resolve(None, RENDERING, CHAIN, [Row("0")], paths)], asked


def test_an_endless_path_is_followed_for_eight_steps() -> None:
    found, asked = along_the_chain(("next",) * 1000)
    assert found == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert len(asked) == 8


def test_what_was_not_found_is_not_asked_for_again_at_a_later_step() -> None:
    assert along_the_chain(("gone",), ("next", "gone")) == (["1"], [["-1", "1"]])


def test_nothing_to_start_from_asks_nothing() -> None:
    asked = Asked()
    assert asked.resolve(RUNS, [], "workspace") == []
    assert asked.queries == []


def test_a_type_is_registered_once() -> None:
    asked = Asked()
    with pytest.raises(ValueError, match="plans can be included already"):
        asked.includes.add(PLANS, asked.loader("plans"))
