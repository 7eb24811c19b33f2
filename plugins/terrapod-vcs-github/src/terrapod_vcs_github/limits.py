"""How often GitHub wants to be asked.

Source: GitHub's documentation, "Rate limits for the REST API": who has asked too often is told so by 403 or 429, with `retry-after`, or
with `x-ratelimit-remaining: 0` and the second of the epoch at which that ends, or with neither, and then a minute is the least.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from gidgethub.sansio import RateLimit

from terrapod_core.plugin import Clock, VCSFailed

if TYPE_CHECKING:
    import httpx

LEAST_SECONDS: Final = 60.0
MOST_SECONDS: Final = 3600.0
"""A limit of GitHub's lasts an hour; whoever says more is mistaken about the time."""


class Limits:
    """Of one connection: until when it is not to ask."""

    def __init__(self, host: str, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._until: datetime | None = None

    def check(self) -> None:
        """Raises `VCSFailed` as long as GitHub wants to be left alone: it would refuse, and take longer to forgive."""
        if self._until is None:
            return
        left = (self._until - self._clock.now()).total_seconds()
        if left > 0:
            raise VCSFailed(f"{self._host}: has been asked too often, and is asked again in {left:.0f} s", retry_after=left)
        self._until = None

    def note(self, response: httpx.Response) -> None:
        """Learn of an answer. Raises `VCSFailed` when it is a refusal for having asked too often."""
        refused = _is_refusal(response)
        seconds = self._seconds(response, refused)
        if seconds is None:
            return
        self._until = self._clock.now() + timedelta(seconds=seconds)
        if refused:
            self.check()

    def _seconds(self, response: httpx.Response, refused: bool) -> float | None:
        after = response.headers.get("retry-after", "")
        if refused and after.isdecimal():
            return _bounded(float(after))
        try:
            limit = RateLimit.from_http(response.headers)
        except (ValueError, OverflowError, OSError):
            limit = None
        if limit is None or limit.remaining > 0:
            return LEAST_SECONDS if refused else None
        return _bounded((limit.reset_datetime - sent_at(response, self._clock)).total_seconds())


def sent_at(response: httpx.Response, clock: Clock) -> datetime:
    """When an answer was sent, by the clock that its other times are of."""
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return clock.now()


def _is_refusal(response: httpx.Response) -> bool:
    if response.status_code == 429:
        return True
    if response.status_code != 403:
        return False
    if "retry-after" in response.headers or response.headers.get("x-ratelimit-remaining") == "0":
        return True
    return b"rate limit" in response.content.lower()


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), MOST_SECONDS)
