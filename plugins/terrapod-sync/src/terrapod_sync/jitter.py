"""How much later than due a sync starts, so that thousands on one schedule do not start at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

SHARE: Final = 10
"""A start is late by less than this part of its interval: a tenth."""
_STEPS: Final = 1 << 64


def delay(workspace_id: str, tick: datetime, interval: timedelta, at_most: timedelta) -> timedelta:
    """From 0 up to a tenth of the interval and `at_most`, in whole milliseconds.

    The same for the same workspace and tick in every process and after every restart, and another one at the next tick.
    """
    if tick.tzinfo is None:
        raise ValueError("a tick is a moment, with a time zone")
    bound = max(min(interval / SHARE, at_most), timedelta())
    told = f"{workspace_id}\n{tick.astimezone(UTC).isoformat()}".encode()
    number = int.from_bytes(blake2b(told, digest_size=8).digest())
    return timedelta(milliseconds=(bound // timedelta(milliseconds=1)) * number // _STEPS)
