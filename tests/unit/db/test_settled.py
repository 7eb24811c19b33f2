"""Exact totals of histories of which only the end is counted anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from terrapod_core.db import SETTLES, SettledCounts
from terrapod_core.db.settled import LIVELY

START = datetime(2026, 6, 1, tzinfo=UTC)


class History:
    """Moments, and what was asked of them."""

    def __init__(self, number: int) -> None:
        self.moments = [START + timedelta(minutes=each) for each in range(number)]
        self.counted: list[int] = []

    def count(self, since: datetime | None, before: datetime | None) -> int:
        found = [each for each in self.moments if (since is None or each >= since) and (before is None or each < before)]
        self.counted.append(len(found))
        return len(found)

    def add(self, number: int) -> None:
        """So many more, a minute after the other."""
        for _ in range(number):
            self.moments.append(self.moments[-1] + timedelta(minutes=1))

    @property
    def until(self) -> datetime:
        return self.moments[-1] - SETTLES


def test_what_is_settled_is_counted_once() -> None:
    history, counts = History(1000), SettledCounts()
    assert counts.total("ws-1", history.until, history.count) == 1000
    history.counted.clear()
    history.add(7)
    assert counts.total("ws-1", history.until, history.count) == 1007
    assert history.counted == [61 + 7], "the last hour, its first minute included, and what came since"


def test_a_history_that_goes_on_is_settled_anew() -> None:
    history, counts = History(1000), SettledCounts()
    counts.total("ws-1", history.until, history.count)
    history.add(2 * LIVELY)
    assert counts.total("ws-1", history.until, history.count) == 1000 + 2 * LIVELY
    history.counted.clear()
    assert counts.total("ws-1", history.until, history.count) == 1000 + 2 * LIVELY
    assert history.counted == [61]


def test_what_still_waits_is_not_settled_however_old() -> None:
    """A version that was announced long ago may still become final: the caller says so, and it is counted where it stands."""
    history, counts = History(1000), SettledCounts()
    waits = history.moments.pop(500)
    assert counts.total("ws-1", waits, history.count) == 999
    history.moments.insert(500, waits)
    assert counts.total("ws-1", history.until, history.count) == 1000


def test_histories_are_told_apart_and_only_so_many_are_remembered() -> None:
    one, other, counts = History(100), History(200), SettledCounts(most=1)
    for _ in range(2):
        assert counts.total("ws-1", one.until, one.count) == 100
        assert counts.total("ws-2", other.until, other.count) == 200
