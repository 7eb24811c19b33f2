"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long a condition may take before the test that waits for it fails. Only a failing test ever waits so long."""

LOOK_SECONDS = 0.05


def until(condition: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """Ask again and again until the answer is truthy, and return it. Raises `AssertionError` naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}; the last answer was {answer!r}")
        time.sleep(LOOK_SECONDS)
