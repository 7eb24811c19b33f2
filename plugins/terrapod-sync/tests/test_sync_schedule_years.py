"""Years of schedules, against croniter: another library, which knows nothing of the one that the product uses.

Where the two differ, this says what was decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import example, given, settings, strategies as st

from terrapod_sync.schedules import At

ZONES = {
    "Europe/Berlin": 2026,
    "America/New_York": 2026,
    "Australia/Lord_Howe": 2026,  # its clock moves by half an hour
    "America/Sao_Paulo": 2018,  # its clock moved at midnight; since 2019 it does not
    "Asia/Kathmandu": 2026,  # 5:45 ahead
    "UTC": 2026,
}
"""With a year in which both of their changes fall, where they have any."""
FIXED = [
    "30 2 * * *",
    "0 30 2 * * *",
    "15,45 0-3 * * *",
    "0 9-17/2 * * MON-FRI",
    "0 0 * * *",
    "0 0 1 * *",
    "0 12 L * *",
    "30 1 * * 0#1",
    "0 3 * * FRI#2",
    "0 0 * * 5L",
    "0 2 * * SUN",
    "5 4 1,15 * TUE",
    "0 0 29 2 *",
    "10 20 5 6 7 *",
    "0 0 ? JAN,JUL MON",
    "30 */6 * * *",
    "0 0 */4 * * *",
    "*/20 8 * * *",
]
TICKING = ["0 * * * *", "45 * * * SUN"]
OFTEN = ["*/5 * * * *", "*/20 * * * * *", "* * * * *", "15 10 * * * *", "50 0-23 * * *"]


def ours(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    due, found = At(expression, zone), []
    moment = due.next_after(start)
    while moment is not None and moment < end:
        found.append(moment)
        moment = due.next_after(moment)
    return found


def theirs(expression: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """What croniter says, without a moment that comes twice."""
    turned = re.sub(r"(\d)L\b", r"L\1", expression)  # it writes the last Friday L5
    times = croniter(turned, start.astimezone(ZoneInfo(zone)), second_at_beginning=True)
    last = start
    while (moment := times.get_next(datetime).astimezone(UTC)) < end:
        if moment > last:
            yield moment
        last = max(last, moment)


def year_of(zone: str) -> tuple[datetime, datetime]:
    start = datetime(ZONES[zone], 1, 1, tzinfo=UTC)
    return start, start.replace(year=start.year + 1)


def changes(zone: str) -> list[datetime]:
    """The hours, in UTC, in which the clock of the zone changes in its year."""
    start, end = year_of(zone)
    hours = [start + timedelta(hours=number) for number in range(int((end - start) / timedelta(hours=1)))]
    clock = ZoneInfo(zone)
    return [hour for hour in hours if hour.astimezone(clock).utcoffset() != (hour + timedelta(hours=1)).astimezone(clock).utcoffset()]


def test_four_of_the_zones_change_their_clocks_twice() -> None:
    assert {zone: len(changes(zone)) for zone in ZONES} == {
        "Europe/Berlin": 2,
        "America/New_York": 2,
        "Australia/Lord_Howe": 2,
        "America/Sao_Paulo": 2,
        "Asia/Kathmandu": 0,
        "UTC": 0,
    }


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", FIXED)
def test_a_year_of_times_of_the_day_is_croniters_without_its_second_showing(expression: str, zone: str) -> None:
    """croniter fires again when the clock shows a time for the second time."""
    start, end = year_of(zone)
    expected = [moment for moment in theirs(expression, zone, start, end) if not moment.astimezone(ZoneInfo(zone)).fold]
    assert ours(expression, zone, start, end) == expected
    assert expected or "29 2" in expression


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", TICKING)
def test_a_year_of_ticks_is_croniters(expression: str, zone: str) -> None:
    start, end = year_of(zone)
    expected = list(theirs(expression, zone, start, end))
    assert ours(expression, zone, start, end) == expected
    assert expected


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone not in ("UTC", "Asia/Kathmandu")])
@pytest.mark.parametrize("expression", OFTEN)
def test_around_a_change_of_the_clock_ticks_are_croniters(expression: str, zone: str) -> None:
    for change in changes(zone):
        start, end = change - timedelta(hours=2), change + timedelta(hours=3)
        assert ours(expression, zone, start, end) == list(theirs(expression, zone, start, end))


def instants(zone: str, day: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each minute of two days around this one as a moment, and as the clock shows it."""
    for number in range(48 * 60):
        moment = day - timedelta(days=1) + timedelta(minutes=number)
        yield moment, moment.astimezone(ZoneInfo(zone))


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.one_of(st.none(), st.sets(st.integers(0, 4), min_size=1, max_size=3)),
    zone=st.sampled_from([zone for zone in ZONES if zone not in ("UTC", "Asia/Kathmandu")]),
    which=st.integers(0, 1),
)
@example(minutes={0, 15, 30}, hours={0}, zone="America/Sao_Paulo", which=0)
@settings(max_examples=60, deadline=None)
def test_minute_by_minute_around_a_change_the_rules_hold(minutes: set[int], hours: set[int] | None, zone: str, which: int) -> None:
    """Without any library: each minute is looked at, and the rules of docs/reference/sync-schedules-and-policies.md are applied to it."""
    change = changes(zone)[which]
    expression = f"{','.join(map(str, minutes))} {'*' if hours is None else ','.join(map(str, hours))} * * *"
    expected, before = set(), None
    for moment, shown in instants(zone, change):
        named = shown.minute in minutes and (hours is None or shown.hour in hours)
        if named and (hours is None or not shown.fold):
            expected.add(moment)
        skipped: list[datetime] = [] if before is None or hours is None else between(before, shown)
        if any(local.minute in minutes and local.hour in (hours or ()) for local in skipped):
            expected.add(moment)
        before = shown
    start, end = change - timedelta(days=1), change + timedelta(days=1)
    assert ours(expression, zone, start - timedelta(seconds=1), end) == sorted(expected)


def between(before: datetime, shown: datetime) -> list[datetime]:
    """The minutes that the clock skipped between two that follow each other."""
    skipped: list[datetime] = []
    local = before.replace(tzinfo=None) + timedelta(minutes=1)
    while local < shown.replace(tzinfo=None):
        skipped.append(local)
        local += timedelta(minutes=1)
    return skipped
