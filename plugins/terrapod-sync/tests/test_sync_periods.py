"""Periods, retries and jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from terrapod_sync.jitter import delay
from terrapod_sync.periods import LONGEST, UnreadablePeriod, parse, text_of
from terrapod_sync.retries import pause_before

TICK = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("366d", LONGEST),
        ("007m", timedelta(minutes=7)),
        ("31622400s", LONGEST),
    ],
)
def test_a_period_is_a_number_and_a_unit(text: str, period: timedelta) -> None:
    assert parse(text) == period


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "0s",
        "00d",
        "-5m",
        "+5m",
        "5 m",
        " 5m",
        "5m\n",
        "5M",
        "1h30m",
        "1.5h",
        "5w",
        "٣m",
        "367d",
        "31622401s",
        "9" * 5000 + "s",
        "000000000030s",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UnreadablePeriod, match="30s, 5m, 2h or 1d, and at most 366d"):
        parse(text)


@given(st.integers(1, int(LONGEST.total_seconds())))
def test_every_whole_number_of_seconds_comes_back_from_its_text(seconds: int) -> None:
    period = timedelta(seconds=seconds)
    assert parse(text_of(period)) == period


def test_the_text_of_a_period_is_its_shortest() -> None:
    assert [text_of(timedelta(seconds=seconds)) for seconds in (90, 600, 7200, 86_400, 90_000)] == ["90s", "10m", "2h", "1d", "25h"]


@pytest.mark.parametrize("period", [timedelta(), timedelta(seconds=-1), LONGEST + timedelta(seconds=1), timedelta(milliseconds=1500)])
def test_what_cannot_be_written_is_refused(period: timedelta) -> None:
    with pytest.raises(UnreadablePeriod):
        text_of(period)


@given(
    st.text(min_size=1, max_size=20),
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(seconds=1), LONGEST),
    st.timedeltas(timedelta(), timedelta(hours=1)),
)
def test_jitter_is_never_early_nor_later_than_a_tenth_and_the_setting(
    workspace: str, tick: datetime, interval: timedelta, at_most: timedelta
) -> None:
    late = delay(workspace, tick, interval, at_most)
    assert timedelta() <= late <= min(interval / 10, at_most)
    assert late == delay(workspace, tick.astimezone(timezone(timedelta(hours=5))), interval, at_most)


def test_jitter_differs_by_workspace_and_by_tick_and_fills_its_bound() -> None:
    interval, at_most = timedelta(minutes=10), timedelta(seconds=30)
    across = [delay(f"ws-{number}", TICK, interval, at_most) for number in range(1000)]
    along = [delay("ws-1", TICK + number * interval, interval, at_most) for number in range(1000)]
    for delays in (across, along):
        assert len(set(delays)) > 900
        assert min(delays) < timedelta(seconds=1)
        assert max(delays) > timedelta(seconds=29)


def test_jitter_is_the_same_after_a_restart() -> None:
    """A known value: a hash that differs between processes would pass every other test here."""
    assert delay("ws-1", TICK, timedelta(minutes=10), timedelta(seconds=30)) == timedelta(milliseconds=15_052)


def test_no_setting_is_no_jitter() -> None:
    assert delay("ws-1", TICK, timedelta(minutes=10), timedelta()) == timedelta()


def test_a_tick_without_a_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="time zone"):
        delay("ws-1", TICK.replace(tzinfo=None), timedelta(minutes=10), timedelta(seconds=30))


def test_a_failed_sync_is_tried_again_after_pauses_that_double() -> None:
    pauses = [pause_before(attempt, pause=timedelta(minutes=5), retries=5) for attempt in range(1, 7)]
    assert pauses == [*(timedelta(minutes=minutes) for minutes in (5, 10, 20, 40, 80)), None]
    assert pause_before(1, pause=timedelta(minutes=5), retries=0) is None
    with pytest.raises(ValueError, match="first retry is 1"):
        pause_before(0, pause=timedelta(minutes=5), retries=5)
