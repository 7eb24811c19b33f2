"""When a workspace is due: which expressions are taken, and what happens when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from terrapod_sync.cron import Cron, UnreadableCron
from terrapod_sync.schedules import At, Every, UnknownZone, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
EVENING_OF_SPRING = datetime(2026, 3, 28, 20, tzinfo=UTC)
"""Before the night in which 2:00 to 3:00 is skipped in Berlin."""
EVENING_OF_AUTUMN = datetime(2026, 10, 24, 18, tzinfo=UTC)
"""Before the night in which 2:00 to 3:00 is shown twice there."""


def due(expression: str, zone: str, after: datetime, count: int) -> list[str]:
    """The next moments, as the zone's clock shows them, with its offset."""
    schedule, found = At(expression, zone), []
    for _ in range(count):
        moment = schedule.next_after(after)
        assert moment is not None
        assert moment.tzinfo is UTC
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M:%S %z"))
        after = moment
    return found


def test_a_time_that_is_skipped_is_due_at_the_first_moment_after_the_gap() -> None:
    assert due("30 2 * * *", "Europe/Berlin", EVENING_OF_SPRING, 2) == ["29 03:00:00 +0200", "30 02:30:00 +0200"]


def test_several_times_in_one_gap_are_due_once() -> None:
    assert due("0,15,30 2,3 * * *", "Europe/Berlin", EVENING_OF_SPRING, 3) == [
        "29 03:00:00 +0200",
        "29 03:15:00 +0200",
        "29 03:30:00 +0200",
    ]


def test_seconds_first_makes_no_difference_to_that() -> None:
    assert due("10 30 2 * * *", "Europe/Berlin", EVENING_OF_SPRING, 2) == ["29 03:00:00 +0200", "30 02:30:10 +0200"]


def test_a_time_that_is_shown_twice_is_due_the_first_time() -> None:
    assert due("30 2 * * *", "Europe/Berlin", EVENING_OF_AUTUMN, 2) == ["25 02:30:00 +0200", "26 02:30:00 +0100"]


def test_between_the_two_showings_it_is_not_due_again() -> None:
    within_the_second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert due("30 2 * * *", "Europe/Berlin", within_the_second, 1) == ["26 02:30:00 +0100"]


def test_every_hour_goes_on_in_real_time() -> None:
    assert due("30 * * * *", "Europe/Berlin", EVENING_OF_SPRING.replace(hour=23, minute=50), 3) == [
        "29 01:30:00 +0100",
        "29 03:30:00 +0200",
        "29 04:30:00 +0200",
    ]
    assert due("30 * * * *", "Europe/Berlin", EVENING_OF_AUTUMN.replace(hour=23, minute=50), 3) == [
        "25 02:30:00 +0200",
        "25 02:30:00 +0100",
        "25 03:30:00 +0100",
    ]


def test_a_gap_at_midnight_moves_midnight() -> None:
    assert due("0 0 * * *", "America/Sao_Paulo", datetime(2018, 11, 3, 12, tzinfo=UTC), 2) == ["04 01:00:00 -0200", "05 00:00:00 -0200"]


def test_a_day_that_a_country_left_out_is_made_up_for_at_its_end() -> None:
    """Samoa went from 29 to 31 December 2011."""
    assert due("0 12 * * *", "Pacific/Apia", datetime(2011, 12, 29, 20, tzinfo=UTC), 3) == [
        "29 12:00:00 -1000",
        "31 00:00:00 +1400",
        "31 12:00:00 +1400",
    ]


def test_a_step_from_a_star_does_not_make_days_an_alternative() -> None:
    """Debian's cron: when either of the two fields of days begins with `*`, both have to hold; else one of them. croniter differs."""
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert due("0 0 */2 * MON", "UTC", start, 2) == ["15 00:00:00 +0000", "29 00:00:00 +0000"]
    assert due("0 0 13 * FRI", "UTC", start, 3) == ["05 00:00:00 +0000", "12 00:00:00 +0000", "13 00:00:00 +0000"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 0 * * 7", "0 0 * * SUN"),
        ("0 0 * * 0", "0 0 * * sun"),
        ("0 0 ? * 1", "0 0 * * MON"),
        ("0 0 1 ? *", None),
        ("0 0 * * FRIL", "0 0 * * 5L"),
        ("0 0 * * 7L", "0 0 * * 0L"),
        ("0 0 * * SAT-SUN", "0 0 * * 6,0"),
        ("0 0 1 JAN,dec *", "0 0 1 1,12 *"),
        ("  0   0 * * *  ", "0 0 0 * * *"),
        ("0 0 L * ?", "0 0 L * *"),
    ],
)
def test_two_ways_to_write_one_thing(one: str, other: str | None) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    if other is None:
        with pytest.raises(UnreadableCron, match="no month field that can be read"):
            Cron(one)
    else:
        assert due(one, "UTC", start, 20) == due(other, "UTC", start, 20)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("* * * * " + "1," * 80 + "1", "at most 128 characters"),
        ("٣ * * * *", "five fields"),
        ("60 * * * *", "no minute field"),
        ("60 * * * * *", "no second field"),
        ("* 24 * * *", "no hour field"),
        ("* * 0 * *", "no day-of-month field"),
        ("* * 32 * *", "no day-of-month field"),
        ("* * LW * *", "no day-of-month field"),
        ("* * L/2 * *", "no day-of-month field"),
        ("* * * 13 *", "no month field"),
        ("* * * MON *", "no month field"),
        ("* * * * 8", "no day-of-week field"),
        ("* * * * JAN", "no day-of-week field"),
        ("* * * * FRI-MON", "from the smaller to the larger"),
        ("* 22-2 * * *", "from the smaller to the larger"),
        ("* * * * L", "no day-of-week field"),
        ("* * * * 1#6", "no day-of-week field"),
        ("* * * * 1-5#2", "no day-of-week field"),
        ("? * * * *", "no minute field"),
        ("*/0 * * * *", "no minute field"),
        ("1,,2 * * * *", "no minute field"),
        ("1/2/3 * * * *", "no minute field"),
        ("-1 * * * *", "no minute field"),
        ("* * 30 2 *", "never fires"),
        ("* * 31 4,6,9,11 *", "never fires"),
        ("* * 30 2 ?", "never fires"),
        ("* * */20 * 1L", "never fires"),
        ("* * * * MON#5,*/9L", "no day-of-week field"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_is_allowed(expression: str, complaint: str) -> None:
    with pytest.raises(UnreadableCron, match=complaint):
        Cron(expression)


@given(st.text(alphabet="0123456789*,-/L#? MONSUJA", max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_an_expression_that_fires_or_is_refused(text: str) -> None:
    try:
        schedule = At(text)
    except UnreadableCron:
        return
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = schedule.next_after(start)
    assert first is not None
    assert first > start
    second = schedule.next_after(first)
    assert second is not None
    assert second - first >= schedule.shortest()


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("* * * * * *", 1),
        ("*/20 * * * * *", 20),
        ("*/45 * * * * *", 15),
        ("50 * * * * *", 60),
        ("0,59 * * * *", 60),
        ("5,50 */2 * * *", 45 * 60),
        ("0,59 0,23 * * *", 60),
        ("0,59 0,23 1 * *", 59 * 60),
        ("59 23 L * *", 2 * 86_400),
        ("0 0 31,1 * *", 86_400),
        ("0 0 * * SAT-SUN", 86_400),
    ],
)
def test_the_shortest_distance_is_found(expression: str, seconds: int) -> None:
    assert Cron(expression).shortest() == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Base",
        "europe/berlin",
        "Europe",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "posixrules",
        "UTC\0",
        "Ü",
        "A" * 65,
        "UTC+1",
    ],
)
def test_a_name_that_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone, match="as UTC or Europe/Berlin"):
        zone_of(name)


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "EST5EDT"])
def test_names_of_every_shape_are_taken(name: str) -> None:
    assert zone_of(name).key == name


def test_a_period_is_measured_from_the_moment_that_is_asked_about() -> None:
    moment = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert Every(timedelta(hours=1)).next_after(moment) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert Every(timedelta(hours=1)).shortest() == timedelta(hours=1)


def test_where_the_calendar_ends_nothing_is_due() -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert Every(timedelta(seconds=1)).next_after(end) is None
    assert At("0 0 * * *").next_after(end) is None


def test_a_moment_without_a_zone_is_a_mistake_of_the_caller() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for schedule in (Every(timedelta(hours=1)), At("0 0 * * *")):
        with pytest.raises(ValueError, match="time zone"):
            schedule.next_after(naive)


def test_parts_of_a_second_do_not_lose_a_tick() -> None:
    moment = datetime(2026, 1, 1, 11, 59, 59, 999_999, tzinfo=UTC)
    assert At("0 12 * * *").next_after(moment) == datetime(2026, 1, 1, 12, tzinfo=UTC)
