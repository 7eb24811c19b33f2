"""The table of statuses: what a run may do next, and what it never may."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from terrapod_core.errors import InvalidTransition
from terrapod_core.runs import Run
from terrapod_core.runs.status import ALLOWED, CANCELABLE, CONFIRMABLE, DISCARDABLE, FINAL, RunStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run(status: RunStatus, **fields: object) -> Run:
    return Run(id="run-1", status=status.value, status_timestamps={}, **fields)


def test_every_status_has_its_row() -> None:
    assert set(ALLOWED) == set(RunStatus)


def test_the_final_statuses_are_those_the_cli_stops_at() -> None:
    assert {status.value for status in FINAL} == {"applied", "planned_and_finished", "errored", "canceled", "discarded"}


@pytest.mark.parametrize("status", sorted(FINAL))
@pytest.mark.parametrize("onward", list(RunStatus))
def test_a_run_that_has_ended_never_moves(status: RunStatus, onward: RunStatus) -> None:
    ended = run(status)
    with pytest.raises(InvalidTransition):
        ended.move_to(onward, NOW)
    assert ended.status == status


def test_every_status_but_the_first_can_be_reached() -> None:
    reached, frontier = {RunStatus.PENDING}, [RunStatus.PENDING]
    while frontier:
        for onward in ALLOWED[frontier.pop()] - reached:
            reached.add(onward)
            frontier.append(onward)
    assert reached == set(RunStatus)


def test_every_status_that_is_not_final_can_end_in_an_error_and_in_a_cancel() -> None:
    for status in set(RunStatus) - FINAL:
        assert {RunStatus.ERRORED, RunStatus.CANCELED} <= ALLOWED[status]


def test_only_a_plan_that_waits_can_be_confirmed() -> None:
    assert {status for status, onward in ALLOWED.items() if RunStatus.CONFIRMED in onward} == CONFIRMABLE


def test_what_can_be_discarded_may_become_discarded() -> None:
    assert {status for status, onward in ALLOWED.items() if RunStatus.DISCARDED in onward} == DISCARDABLE


def test_what_waits_for_a_person_is_discarded_and_not_cancelled() -> None:
    assert not CANCELABLE & CONFIRMABLE


def test_moving_stamps_the_moment_under_the_wires_name() -> None:
    moving = run(RunStatus.PENDING)
    moving.move_to(RunStatus.PLAN_QUEUED, NOW)
    assert moving.status_timestamps == {"plan-queued-at": "2026-01-02T03:04:05Z"}


def test_a_plan_without_changes_cannot_be_confirmed() -> None:
    assert not run(RunStatus.PLANNED, has_changes=False, allow_empty_apply=False).is_confirmable
    assert run(RunStatus.PLANNED, has_changes=True, allow_empty_apply=False).is_confirmable
    assert run(RunStatus.PLANNED, has_changes=False, allow_empty_apply=True).is_confirmable
