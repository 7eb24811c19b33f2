"""How often one may ask: a leaky bucket for every token, run and address.

Written here because a bucket is ten lines. The library `limits` needs 3 to 5 µs a decision, which would do, but it keeps every
key it ever saw until a timer comes by, cannot take a request back, and brings three more distributions along.

What has proved valid counts for itself alone, however many share its address. Everything else (no credential, a wrong one, one
not seen yet) counts for its address *before* the database is asked; one that turns out valid is taken back. So somebody who
guesses tokens is stopped by address, and does not stop the neighbours' tokens.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from terrapod_core.errors import TooManyRequests
from terrapod_core.metrics.definitions import RATE_LIMITED
from terrapod_core.settings import Limits
from terrapod_core.web.visitors import neighbourhood

MOST_KEYS: Final = 50_000
MOST_PROVED: Final = 20_000
LEAST_SHOWN: Final = 30
"""go-tfe takes two thirds of `X-RateLimit-Limit` for its own speed, and crawls below this."""


class CredentialKind(StrEnum):
    """What was shown with a request."""

    TOKEN = "token"  # noqa: S105 - a word
    """A bearer token, or a browser's cookies."""
    LINK = "link"
    """The token of a signed link."""
    PHASE = "phase"
    """A runner's token."""
    ENGINE = "engine"
    """The token of a run's terraform."""


class Credential(NamedTuple):
    """Something shown that may prove valid. Every request makes one, so it is of the kind that is made fastest."""

    kind: CredentialKind
    digest: str
    """Not the text: nobody finds a token in this process's memory on its account."""

    @classmethod
    def of(cls, kind: CredentialKind, text: str) -> Credential:
        """What was shown."""
        return cls(kind, hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest())


@dataclass(frozen=True)
class Allowance:
    """So many a period, evenly; after a rest `burst` at once."""

    name: str
    per_second: float
    burst: int
    shown: int
    """The number that people set, for `X-RateLimit-Limit`."""


class Meter(Protocol):
    """Counts. The one here is a process's own; one that several servers share needs to offer no more than this."""

    async def take(self, key: str, allowance: Allowance) -> float:
        """Take one: 0.0, or, when there is none, the seconds until there is."""

    async def give_back(self, key: str, allowance: Allowance) -> None:
        """Take the latest back."""


class LocalMeter:
    """Keeps one number a key: the moment at which its bucket will be empty. A bucket that is empty need not be kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most = most
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, key: str, allowance: Allowance) -> float:
        """Take one: 0.0, or the seconds until there is one."""
        now, key = self._clock(), f"{allowance.name} {key}"
        full = allowance.burst / allowance.per_second
        empty_at = max(self._empty_at.get(key, 0.0), now) + 1 / allowance.per_second
        if empty_at - now > full + 1e-9:
            return empty_at - now - full
        self._empty_at[key] = empty_at
        if len(self._empty_at) > self._most:
            self._tidy(now)
        return 0.0

    async def give_back(self, key: str, allowance: Allowance) -> None:
        """Take the latest back."""
        key = f"{allowance.name} {key}"
        if key in self._empty_at:
            self._empty_at[key] -= 1 / allowance.per_second

    def _tidy(self, now: float) -> None:
        for key in [key for key, empty_at in self._empty_at.items() if empty_at <= now]:
            del self._empty_at[key]
        # All are in use: a tenth goes, the longest known first, so that this is not done for every request.
        while len(self._empty_at) > self._most * 9 // 10:
            self._empty_at.popitem(last=False)


class RateLimited(TooManyRequests):
    """Asked too often; knows what the rate headers say."""

    def __init__(self, allowance: Allowance, wait: float) -> None:
        seconds = max(1, math.ceil(wait))
        who = {"address": "from this address", "run": "with this run's token"}.get(allowance.name, "with this token")
        super().__init__(f"too many requests {who}; try again in {seconds} s", retry_after=seconds, code="rate_limited")
        self.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(seconds)}
        if allowance.shown >= LEAST_SHOWN:
            self.headers["X-RateLimit-Limit"] = str(allowance.shown)


class Admitted(NamedTuple):
    """A request on its way: what it was counted for so far."""

    credential: Credential | None
    address: str
    proved: bool


class RateLimits:
    """The limits of one application."""

    def __init__(self, limits: Limits, meter: Meter | None = None) -> None:
        self._meter: Meter = meter or LocalMeter()
        self._address = _allowance("address", limits.requests_per_second_per_address, 1)
        self._token = _allowance("token", limits.requests_per_second_per_token, 1)
        self._run = _allowance("run", limits.requests_per_minute_per_run, 60)
        self._proved: OrderedDict[str, str] = OrderedDict()

    async def admit(self, credential: Credential | None, address: str | None) -> Admitted:
        """Count a request; raises `RateLimited`."""
        owner = self._proved.get(credential.digest) if credential is not None else None
        if credential is not None and owner is not None:
            await self._take(self._allowance_of(credential), owner)
            return Admitted(credential, "", proved=True)
        near = neighbourhood(address)
        await self._take(self._address, near)
        return Admitted(credential, near, proved=False)

    async def prove(self, admitted: Admitted, owner: str | None) -> None:
        """The credential was right: from now on it counts for its owner (a token's or session's id), not for its address.

        `owner` `None` lets a link or a phase's token own itself.
        """
        credential = admitted.credential
        if admitted.proved or credential is None:
            return
        owner = owner or credential.digest
        self._proved[credential.digest] = owner
        if len(self._proved) > MOST_PROVED:
            self._proved.popitem(last=False)
        allowance = self._allowance_of(credential)
        # An owner who has used up their own stays on the address's account: other cookies around one session gain nothing.
        if self._address is not None and (allowance is None or not await self._meter.take(owner, allowance)):
            await self._meter.give_back(admitted.address, self._address)

    def disprove(self, admitted: Admitted) -> None:
        """The credential is not right any more."""
        if admitted.credential is not None:
            self._proved.pop(admitted.credential.digest, None)

    def _allowance_of(self, credential: Credential) -> Allowance | None:
        return self._run if credential.kind in (CredentialKind.PHASE, CredentialKind.ENGINE) else self._token

    async def _take(self, allowance: Allowance | None, key: str) -> None:
        if allowance is not None and (wait := await self._meter.take(key, allowance)):
            RATE_LIMITED.labels(allowance.name).inc()
            raise RateLimited(allowance, wait)


def _allowance(name: str, number: int, seconds: int) -> Allowance | None:
    """`None` for no limit. The burst is two seconds' worth, of a limit by the minute as of one by the second."""
    per_second = number / seconds
    return Allowance(name, per_second, max(1, math.ceil(per_second * 2)), number) if number else None
