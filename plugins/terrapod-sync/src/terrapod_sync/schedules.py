"""When a workspace is due: after a period, or at the times of a cron expression in a time zone.

Daylight saving, decided once:

* A time that the clock skips is due at the first moment after the gap, once, however many times of the schedule fall into the gap.
* A time that the clock shows twice is due the first time alone.
* An expression that names every hour is about distances, and follows the clock as it is shown: what is skipped is not made up for, what is
  shown twice counts twice. So `*/5 * * * *` goes on every five minutes of real time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from terrapod_sync.cron import Cron

_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_LONGEST: Final = 64
_OF_THE_MACHINE: Final = frozenset({"localtime", "posixrules", "Factory"})
_SECOND: Final = timedelta(seconds=1)


class UnknownZone(ValueError):
    """No time zone of that name; says what is allowed."""


class Schedule(Protocol):
    """When a workspace is due."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due moment later than this one, in UTC; None when there is none before the calendar ends."""
        ...

    def shortest(self) -> timedelta:
        """The shortest time between two due moments, changes of the clock aside."""
        ...


@dataclass(frozen=True)
class Every:
    """A period; it is measured from whatever moment it is asked about."""

    period: timedelta

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Schedule`. Raises `ValueError` for a moment without a time zone."""
        try:
            return _utc(moment) + self.period
        except OverflowError:
            return None

    def shortest(self) -> timedelta:
        """See `Schedule`."""
        return self.period


class At:
    """A cron expression in a time zone. Raises `UnreadableCron` or `UnknownZone`."""

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        self._cron = Cron(expression)
        self._zone = zone_of(zone)

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Schedule`. Raises `ValueError` for a moment without a time zone."""
        moment = _utc(moment)
        best: datetime | None = None
        for local in self._cron.after(self._start(moment)):
            first = self._first(local)
            if best is not None and first >= best:
                return best  # later local times are never first shown earlier than this one
            # None that is later than what was asked for can be better than the first showing of this one.
            later = [due for due in self._due(local, first) if due > moment and (best is None or due < best)]
            best = min(later, default=best)
            if best == first:
                return best
        return best

    def shortest(self) -> timedelta:
        """See `Schedule`."""
        return self._shortest

    @cached_property
    def _shortest(self) -> timedelta:
        return self._cron.shortest()

    def _start(self, moment: datetime) -> datetime:
        """A local time that no due moment after `moment` has, and none earlier than it: before an hour that is shown twice."""
        local = moment.astimezone(self._zone)
        naive = local.replace(tzinfo=None, fold=0)
        twice = local.replace(fold=1).astimezone(UTC) - local.replace(fold=0).astimezone(UTC)
        return naive - twice - _SECOND if twice > timedelta() else naive

    def _first(self, local: datetime) -> datetime:
        """When the clock first shows this local time, or in a gap the first moment after it."""
        shown = local.replace(tzinfo=self._zone).astimezone(UTC)
        if _shows(shown, self._zone, local):
            return shown
        # Read with the offset from before the gap, a skipped time lies after it; with the one from after, before it. The gap's end is
        # where the clock jumps between the two.
        low, high = local.replace(tzinfo=self._zone, fold=1).astimezone(UTC), shown
        while high - low > _SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            low, high = (low, middle) if middle.astimezone(self._zone).replace(tzinfo=None) > local else (middle, high)
        return high

    def _due(self, local: datetime, first: datetime) -> list[datetime]:
        """The moments at which this local time is due."""
        if not self._cron.ticks:
            return [first]
        again = local.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        return [shown for shown in (first, again) if _shows(shown, self._zone, local)]


@lru_cache(maxsize=4096)
def at(expression: str, zone: str = "UTC") -> At:
    """The schedule, read once: thousands of workspaces share a few, and each is asked at every tick. Raises as `At`."""
    return At(expression, zone)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of the IANA name, as `Europe/Berlin`. Raises `UnknownZone`."""
    refusal = "must be a time zone of the IANA database, as UTC or Europe/Berlin"
    if len(name) > _LONGEST or _ZONE.fullmatch(name) is None or name in _OF_THE_MACHINE:
        raise UnknownZone(refusal)
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a directory is an OSError, a name that is none a KeyError
        raise UnknownZone(refusal) from None


def _shows(moment: datetime, zone: ZoneInfo, local: datetime) -> bool:
    """Whether the clock shows this local time at the moment."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0) == local


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment has a time zone")
    return moment.astimezone(UTC)
