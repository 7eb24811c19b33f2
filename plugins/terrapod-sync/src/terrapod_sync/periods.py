"""Periods, as `30s`, `5m`, `2h` and `1d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

LONGEST: Final = timedelta(days=366)
"""The longest period: a year, leap years too."""
ALLOWED: Final = "a whole number above 0 and s, m, h or d, as 30s, 5m, 2h or 1d, and at most 366d"

_FORM: Final = re.compile(r"([0-9]+)([smhd])")
_UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_DIGITS: Final = 12  # more leading zeros than anybody needs; no number that takes time to read


class UnreadablePeriod(ValueError):
    """Text that is no period; says what is allowed."""


def parse(text: str) -> timedelta:
    """The time between two ticks. Raises `UnreadablePeriod`."""
    match = _FORM.fullmatch(text) if len(text) <= _DIGITS else None
    if match is None:
        raise UnreadablePeriod(f"must be {ALLOWED}")
    number, unit = int(match[1]), _UNITS[match[2]]
    if not 0 < number <= LONGEST // unit:
        raise UnreadablePeriod(f"must be {ALLOWED}")
    return number * unit


def text_of(period: timedelta) -> str:
    """The shortest text that `parse` reads as this period: whole seconds, from 1 s to `LONGEST`; others raise `UnreadablePeriod`."""
    if not timedelta() < period <= LONGEST or period.microseconds:
        raise UnreadablePeriod(f"must be {ALLOWED}")
    unit = next(name for name, length in _UNITS.items() if not period % length)
    return f"{period // _UNITS[unit]}{unit}"
