"""How often terraform is asked for a snapshot of its state."""

from __future__ import annotations

from contextlib import ExitStack

from terrapod_core.states.pace import MOST_SECONDS, Pace


class Seconds:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_an_idle_server_takes_one_every_twenty_seconds() -> None:
    assert Pace(Seconds()).snapshot_seconds == 20


def test_one_at_a_time_changes_nothing() -> None:
    seconds = Seconds()
    pace = Pace(seconds)
    for _ in range(100):
        with pace.taking():
            seconds.now += 10
    assert pace.snapshot_seconds == 20


def test_the_more_come_at_once_the_less_often_and_afterwards_as_before() -> None:
    seconds = Seconds()
    pace = Pace(seconds)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(pace.taking())
        assert pace.snapshot_seconds == 20, "a short crowd is none"
        seconds.now += 300
        assert 150 < pace.snapshot_seconds <= 160
    seconds.now += 300
    assert pace.snapshot_seconds == 20


def test_it_is_never_more_than_ten_minutes() -> None:
    seconds = Seconds()
    pace = Pace(seconds)
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(pace.taking())
        seconds.now += 300
        assert pace.snapshot_seconds == MOST_SECONDS
