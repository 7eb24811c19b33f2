"""Cron expressions: which are taken, and the local times that they name.

cronsim does the calendar. What it would take without a word, or refuse without saying why, is looked at here before it sees it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final

from cronsim import CronSim, CronSimError

_LONGEST: Final = 128
_NAMES: Final = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
_MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_NAMES: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS: Final = {name: str(number) for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS: Final = {name: str(number) for number, name in enumerate(_DAY_NAMES)}
_ALLOWED: Final = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L or ?",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 (0 and 7 are Sunday), SUN-SAT, 5L for the last Friday, MON#2 for the second Monday, or ?",
}
_FORMS: Final = "* , - /"
_WORD: Final = re.compile(r"[A-Z]{3}")
_PLAIN: Final = re.compile(r"(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?")
_EXTRA: Final = {"day-of-month": re.compile(r"L"), "day-of-week": re.compile(r"[0-7](L|#[1-5])")}
_DAY: Final = timedelta(days=1)
_LEAP_CYCLE: Final = (date(2024, 1, 1), 4 * 366)
"""Where days in a row are looked for. Four years hold every shape of a month's end."""
_SOME_DAY: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - a local time, of no zone
"""From here a tick is looked for: no expression that ever fires leaves fifty years out."""


class UnreadableCron(ValueError):
    """Text that is no cron expression, or one that never fires; says what is allowed."""


class Cron:
    """A cron expression of five fields, or six with seconds first.

    Raises `UnreadableCron`. Local times are naive datetimes: `schedules` gives them a time zone.
    """

    def __init__(self, text: str) -> None:
        fields = _fields(text)
        try:
            self._simulated = CronSim(" ".join(fields), _SOME_DAY)
        except CronSimError as error:
            field = str(error).removeprefix("Bad ")
            raise UnreadableCron(f"never fires: no month it names has that {field}" if _no_such_day(fields) else _refusal(field)) from None
        if next(self.after(_SOME_DAY), None) is None:
            raise UnreadableCron("never fires: no day is all that its day-of-month, month and day-of-week ask for")
        self.ticks = len(self._simulated.hours) == 24
        """Whether it is about distances more than about times of the day: it names every hour."""

    def after(self, local: datetime) -> Iterator[datetime]:
        """The local times later than this one, in order. Ends where the next fifty years, or the calendar, hold none."""
        simulated = copy.copy(self._simulated)
        simulated.dt = local.replace(microsecond=0)
        try:
            yield from simulated
        except (OverflowError, ValueError):  # year 10000
            return

    def shortest(self) -> timedelta:
        """At least this lies between any two local times that it names; where it never fires on two days in a row, more may."""
        seconds, minutes, hours = (sorted(each) for each in (self._simulated.seconds, self._simulated.minutes, self._simulated.hours))
        of_minute = seconds[-1] - seconds[0]
        of_hour = 60 * (minutes[-1] - minutes[0]) + of_minute
        of_day = 3600 * (hours[-1] - hours[0]) + of_hour
        gaps = [later - earlier for earlier, later in pairwise(seconds)]
        gaps += [60 * (later - earlier) - of_minute for earlier, later in pairwise(minutes)]
        gaps += [3600 * (later - earlier) - of_hour for earlier, later in pairwise(hours)]
        gaps.append(86_400 - of_day if self._days_in_a_row() else 2 * 86_400 - of_day)
        return timedelta(seconds=min(gaps))

    def _days_in_a_row(self) -> bool:
        """Whether it ever fires on two days in a row."""
        first, count = _LEAP_CYCLE
        previous = False
        for day in (first + number * _DAY for number in range(count)):
            fires = day.month in self._simulated.months and self._simulated.match_day(day)
            if fires and previous:
                return True
            previous = fires
        return False


def _fields(text: str) -> list[str]:
    """Six fields as cronsim reads them. Raises `UnreadableCron` for what is not one of the forms that are taken."""
    fields = text.upper().split() if text.isascii() and len(text) <= _LONGEST else []
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise UnreadableCron(
            "must be a cron expression of five fields (minute, hour, day-of-month, month, day-of-week), or of six with seconds first,"
            f" in at most {_LONGEST} characters"
        )
    return [_field(name, field) for name, field in zip(_NAMES, fields, strict=True)]


def _field(name: str, text: str) -> str:
    if text == "?" and name.startswith("day-"):
        return "*"
    names = _MONTHS if name == "month" else _DAYS if name == "day-of-week" else {}
    if name == "day-of-week":
        text = text.replace("-SUN", "-7")  # the last day of a range: SAT-SUN
    text = _WORD.sub(lambda word: names.get(word[0], word[0]), text)
    for part in text.split(","):
        extra = _EXTRA.get(name)
        if _PLAIN.fullmatch(part) is None and (extra is None or extra.fullmatch(part) is None):
            raise UnreadableCron(_refusal(name))
    return text


def _refusal(name: str) -> str:
    return f"has no {name} field that can be read: allowed is {_ALLOWED[name]}, with {_FORMS}, and ranges go from the smaller to the larger"


def _no_such_day(fields: list[str]) -> bool:
    """Whether cronsim refused it for a date like 30 February: the day by itself is fine."""
    try:
        CronSim(f"0 0 0 {fields[3]} * *", _SOME_DAY)
        CronSim(f"{' '.join(fields[:3])} * {fields[4]} {fields[5]}", _SOME_DAY)
    except CronSimError:
        return False
    return True
