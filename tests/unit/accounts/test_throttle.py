from __future__ import annotations

from datetime import timedelta

import pytest

from terrapod_core.accounts import throttle
from terrapod_core.accounts.throttle import Throttle
from terrapod_core.errors import TooManyRequests
from terrapod_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def doors(clock: FakeClock) -> Throttle:
    return Throttle(clock, limit=3, window=timedelta(minutes=5), sentence="wait")


def test_so_many_attempts_and_then_a_pause_that_is_named(doors: Throttle, clock: FakeClock) -> None:
    assert [doors.charge("a") for _ in range(3)] == [1, 2, 3]
    clock.advance(minutes=2)
    with pytest.raises(TooManyRequests) as refused:
        doors.charge("a")
    assert refused.value.retry_after == 181
    assert doors.charge("b") == 1, "others do not wait"
    clock.advance(minutes=3)
    assert doors.charge("a") == 1


def test_asking_while_closed_does_not_keep_it_closed(doors: Throttle, clock: FakeClock) -> None:
    for _ in range(3):
        doors.charge("a")
    for _ in range(10):
        clock.advance(seconds=20)
        with pytest.raises(TooManyRequests):
            doors.charge("a")
    clock.advance(seconds=100)
    assert doors.charge("a") == 1


def test_a_refund_takes_the_latest_back_and_clearing_all(doors: Throttle) -> None:
    doors.charge("a")
    doors.charge("a")
    doors.refund("a")
    assert doors.charge("a") == 2
    doors.clear("a")
    assert doors.charge("a") == 1
    doors.refund("never seen")


def test_names_without_end_do_not_fill_the_memory(doors: Throttle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_KEYS", 10)
    for number in range(1000):
        doors.charge(str(number))
    assert len(doors._attempts) == 10
