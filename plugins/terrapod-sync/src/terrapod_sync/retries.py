"""When a failed sync is tried again."""

from __future__ import annotations

from datetime import timedelta


def pause_before(attempt: int, *, pause: timedelta, retries: int) -> timedelta | None:
    """How long after a failure the retry `attempt` (1 for the first) starts: `pause` × 2ⁿ⁻¹. None when it was the last that may be."""
    if attempt < 1:
        raise ValueError("the first retry is 1")
    return pause * (1 << (attempt - 1)) if attempt <= retries else None
