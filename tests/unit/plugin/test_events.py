"""Events and their way through the database."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from terrapod_core.plugin import Event, RunStatusChanged, UnknownEvent, WorkspaceDeleted

MOVED = RunStatusChanged("run-1", "ws-1", "planning", "plan_queued")


def test_an_event_comes_back_as_it_went() -> None:
    assert Event.restore(MOVED.name(), MOVED.payload()) == MOVED
    assert Event.from_json(MOVED.name(), MOVED.to_json()) == MOVED
    assert MOVED.name() == "RunStatusChanged"
    assert MOVED.payload() == {"run_id": "run-1", "workspace_id": "ws-1", "status": "planning", "previous": "plan_queued"}


def test_a_field_that_a_newer_server_added_is_ignored() -> None:
    assert Event.restore("WorkspaceDeleted", {"workspace_id": "ws-1", "by": "user-1"}) == WorkspaceDeleted("ws-1")


def test_an_event_nobody_defines_is_unknown() -> None:
    with pytest.raises(UnknownEvent, match="no event is called WorkspaceEaten"):
        Event.restore("WorkspaceEaten", {})


@pytest.mark.parametrize("payload", [{}, {"workspace_id": 1}])
def test_a_payload_of_another_form_is_refused(payload: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Event.restore("WorkspaceDeleted", payload)


def test_two_events_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="has the name of one"):

        @dataclass(frozen=True)
        class WorkspaceDeleted(Event):
            """Another."""
